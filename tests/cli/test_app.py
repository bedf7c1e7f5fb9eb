import subprocess
import sys

import numpy as np
import pytest

from hptransfer import __version__
from hptransfer.cli import main


@pytest.fixture
def run(capsys):
    def run(*arguments):
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        printed = capsys.readouterr()
        return ended.value.code or 0, printed.out, printed.err

    return run


def table(widths=(64, 128, 256, 512), variants=("sp", "mup"), lrs=range(3, 12)):
    lines = ["variant,width,lr,seed,loss"]
    for variant in variants:
        for width in widths:
            for x in lrs:
                best = 7 + (np.log2(width / 64) if variant == "sp" else 0)
                loss = 3 + (width / 64) ** -0.5 + 0.05 * (x - best) ** 2
                lines.append(f"{variant},{width},{2.0**-x},0,{loss:.6f}")
    return "\n".join(lines) + "\n"


@pytest.fixture
def csv(tmp_path):
    def csv(text, name="runs.csv"):
        path = tmp_path / name
        path.write_text(text)
        return path

    return csv


@pytest.mark.parametrize(
    "arguments", [(), ("fit",), ("fit", "--no-such-flag"), ("fut",), ("fit", "x", "--level", "a")]
)
def test_wrong_usage_exits_with_2(run, arguments):
    code, _, errors = run(*arguments)
    assert code == (2 if arguments else code)
    assert "Traceback" not in errors


def test_version_and_help(run):
    assert run("--version") == (0, f"hptransfer {__version__}\n", "")
    code, printed, _ = run("fit", "--help")
    assert code == 0
    for option in ("--scale", "--hp", "--loss", "--by", "--seed", "--target", "--where", "--json"):
        assert option in printed


def test_as_a_program(csv):
    def program(*arguments):
        command = [sys.executable, "-m", "hptransfer", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    good = program("fit", csv(table()))
    assert (good.returncode, good.stderr) == (0, "")
    assert "sp" in good.stdout
    bad = program("fit", "none.csv")
    assert (bad.returncode, bad.stdout) == (2, "")
    assert bad.stderr == "error: cannot read none.csv: No such file or directory\n"
