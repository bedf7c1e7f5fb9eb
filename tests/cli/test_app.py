import subprocess
import sys

import pytest
from tests.cli.sweep_text import table

from hptransfer import __version__


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
