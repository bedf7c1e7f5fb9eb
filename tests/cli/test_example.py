from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from tests.cli.study_commands import invoke


def test_the_command_that_is_printed_gives_an_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    code, output = invoke("example")
    assert code == 0
    assert "wrote widths.csv: 816 runs of decoders" in output
    line = re.search(r"try: +hptransfer (.*)", output)
    assert line is not None
    code, output = invoke(*shlex.split(line[1]), "--no-suggest", "--draws", "200")
    assert code == 0
    assert "The answer for width 256" in output


def test_another_file_of_that_name_is_left_alone(tmp_path: Path) -> None:
    mine = tmp_path / "my runs.csv"
    assert invoke("example", "decay", "--out", mine)[0] == 0
    code, output = invoke("example", "decay", "--out", mine)  # the same again is no harm
    assert code == 0
    assert f"fit '{mine}' --coordinates sp --target 192" in output
    mine.write_text("width,lr,loss\n")
    code, output = invoke("example", "decay", "--out", mine)
    assert code == 2
    assert "exists and is another file" in output
    assert mine.read_text() == "width,lr,loss\n"


def test_an_unknown_example_is_one_line(tmp_path: Path) -> None:
    code, output = invoke("example", "nothing")
    assert (code, output) == (
        2,
        "error: an example must be one of widths, decay, tokens, demo, but got 'nothing'\n",
    )
