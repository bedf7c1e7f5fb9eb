from __future__ import annotations

import io
from pathlib import Path

import fake_trainer
from rich.console import Console
from small_study import study

from hptransfer.study.run import run_study


def said(folder: Path, **changes: object) -> str:
    text = io.StringIO()
    run_study(study(**changes), folder, train=fake_trainer.NAME, console=Console(file=text, width=400))
    return " ".join(line for line in text.getvalue().splitlines() if line.startswith("note:"))


def test_an_edited_spec_says_what_it_replaces(tmp_path: Path) -> None:
    assert said(tmp_path) == ""
    assert said(tmp_path) == ""  # the same again
    assert said(tmp_path, workers=1) == ""  # what decides no run
    told = said(tmp_path, widths=[32], lr={"low": "2^-12", "high": "2^-8"})
    assert "the spec has changed since the last start (lr.high, widths)" in told
    assert "report.html" in told
    assert "finished runs are kept in the store" in told
