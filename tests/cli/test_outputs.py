import os

import numpy as np
import pytest

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


def test_unwritable_outputs_are_found_before_the_work(run, csv, tmp_path):
    path = csv(table())
    (tmp_path / "file").write_text("")
    for out, message in [
        (tmp_path, "is a directory"),
        (tmp_path / "none" / "fit.json", "which is not a directory"),
        (tmp_path / "file" / "fit.json", "which is not a directory"),
        (path, "is also read"),
    ]:
        code, printed, errors = run("fit", path, "--json", out)
        assert (code, printed) == (2, "")
        assert errors.startswith(f"error: cannot write {out}: it ")
        assert message in errors
    if os.geteuid():  # root may write anywhere
        (tmp_path / "sealed").mkdir(mode=0o500)
        assert "not writable" in run("fit", path, "--json", tmp_path / "sealed" / "fit.json")[2]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_disk_that_fails_is_one_line_too(run, csv):
    code, _, errors = run("fit", csv(table(widths=[64])), "--json", "/dev/full")
    assert code == 2
    assert errors == "error: No space left on device: /dev/full\n"
