"""The examples of training code of one's own run through studies, at a smaller size."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from hptransfer.study.run import run_study
from hptransfer.study.spec import StudySpec, load_study
from hptransfer.workers.user_code.command import run_user_code

pytest.importorskip("torch")

ROOT = Path(__file__).parents[2]
SMALL = [f"trial.cwd={ROOT}", "train.steps=8", "workers=2"]


def example(name: str, *changes: str) -> StudySpec:
    """The example's study, its `python` being this one."""
    path = ROOT / "examples" / "own_code" / f"{name}.yaml"
    spec = load_study(path, [*SMALL, *changes])
    assert spec.trial.command is not None
    words = [sys.executable if word == "python" else word for word in spec.trial.command]
    return spec.model_copy(update={"trial": spec.trial.model_copy(update={"command": tuple(words)})})


@pytest.mark.slow
def test_the_script_in_nanogpt_s_style_is_swept(tmp_path: Path) -> None:
    spec = example("nanogpt", "widths=[16, 32]", "lr.low=2^-6", "lr.high=2^-5", "lr.extend=0")
    result = run_study(spec, tmp_path)
    assert result.failures == ()
    assert [(row["width"], row["status"]) for row in result.rows] == [(16, "done")] * 2 + [(32, "done")] * 2
    assert all(2.0 < float(row["loss"]) < 6.0 for row in result.rows)  # type: ignore[arg-type]
    assert len({row["params"] for row in result.rows}) == 2


@pytest.mark.slow
def test_the_trainer_script_gives_a_run(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    spec = example("trainer")
    record = run_user_code(spec.run("mup", 32, 3, 0), spec.trial, tmp_path)
    assert record.error is None
    assert record.status == "done"
    assert 0.5 < record.loss < 4.5  # chance is log 64 = 4.16
    assert record.engine["result"] == {"rule": "mup"}
