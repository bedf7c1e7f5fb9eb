"""One study with the real trainer, at the smallest size that is still training."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from small_study import study, without_wall_times

pytest.importorskip("torch")
pytest.importorskip("tokenizers")

from hptransfer.errors import StoreError
from hptransfer.lm.stack import stack_key
from hptransfer.study.planner import plan
from hptransfer.study.run import run_study
from hptransfer.study.spec import StudySpec


@pytest.fixture
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StudySpec:
    monkeypatch.setenv("HPTRANSFER_CACHE", str(tmp_path / "cache"))
    words = random.Random(0)
    for number in range(12):
        text = " ".join(words.choice(("the", "learning", "rate", "of", "wide", "models")) for _ in range(500))
        (tmp_path / f"{number}.txt").write_text(text)
    return study(
        widths=[8, 16],
        lr={"low": "2^-8", "high": "2^-5", "factor": 8, "extend": 1, "extend_by": 1},
        model={"depth": 1, "heads": 2, "context": 8, "vocab": 257},
        train={"steps": 4, "batch_size": 2},
        data={
            "source": "text",
            "files": str(tmp_path / "*.txt"),
            "validation_fraction": 0.3,
            "validation_tokens": 64,
        },
    )


def test_a_study_trains_and_a_restart_after_a_loss_gives_the_same(spec: StudySpec, tmp_path: Path) -> None:
    whole = run_study(spec, tmp_path / "whole")
    assert whole.failures == ()
    assert whole.trained == len(whole.rows) >= 8
    assert all(row["status"] == "done" for row in whole.rows)
    assert all(0 < float(row["loss"]) < float(row["initial_loss"]) for row in whole.rows)  # type: ignore[arg-type]
    one = run_study(spec.model_copy(update={"workers": 1}), tmp_path / "one")
    assert without_wall_times(one.csv) == without_wall_times(whole.csv)


def test_runs_trained_on_other_text_are_not_mixed(spec: StudySpec, tmp_path: Path) -> None:
    run_study(spec, tmp_path / "out")
    (tmp_path / "0.txt").write_text("something else " * 300)
    assert run_study(spec, tmp_path / "out").trained == 0  # nothing to train, nothing to mix
    grown = spec.model_copy(update={"seeds": (0, 1)})
    with pytest.raises(StoreError, match=r"same text, but .*use another folder"):
        run_study(grown, tmp_path / "out")


def test_runs_of_a_stack_may_be_trained_in_one(spec: StudySpec) -> None:
    many = spec.model_copy(update={"weight_decays": (0.0, 0.1), "seeds": (0, 1), "stack": 64})
    losses = {run.run_id: float(run.index) for stack in plan(many, {}) for run in stack.runs}
    stacks = plan(many, losses)
    assert any(stack.round for stack in stacks)
    for stack in stacks:
        assert len({stack_key(run.spec) for run in stack.runs}) == 1
