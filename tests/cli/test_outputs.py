import os

import pytest
from tests.cli.sweep_text import table


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
