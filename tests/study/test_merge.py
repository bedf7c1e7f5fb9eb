from __future__ import annotations

from pathlib import Path
from typing import Any

import fake_trainer
import pytest
from small_study import study, without_wall_times

from hptransfer.errors import SpecError
from hptransfer.study.merge import merge, united
from hptransfer.study.run import load_result, run_study
from hptransfer.study.spec import StudySpec
from hptransfer.study.store import Store


def finished(folder: Path, spec: StudySpec) -> Path:
    """A study's folder with its grid in it, without training."""
    from hptransfer.study.planner import plan

    with Store(folder) as store:
        store.begin(spec, {})
        for stack in plan(spec, {}):
            store.add(stack.stack_id, [(run.spec, fake_trainer._record(run.spec, 0.1)) for run in stack.runs])
    return folder


def grid(**changes: Any) -> StudySpec:
    return study(**{"lr": {"low": "2^-8", "high": "2^-5", "extend": 0}, "base_width": 32, **changes})


def test_two_halves_make_the_study_that_was_run_in_one(tmp_path: Path, faults: Path) -> None:
    halves = [finished(tmp_path / f"{v}", grid(name=v, variants=[v])) for v in ("sp", "mup")]
    done = merge(tmp_path / "both", halves)
    assert (done.taken, done.known, done.planned) == (16, 0, 0)
    whole = run_study(grid(), tmp_path / "whole", train=fake_trainer.NAME)
    assert len(load_result(tmp_path / "both").rows) == 16
    merged = run_study(done.spec, tmp_path / "both", train=fake_trainer.NAME)
    assert merged.trained == 0
    assert without_wall_times(merged.csv) == without_wall_times(whole.csv)


def test_runs_that_are_there_already_stay_and_what_nobody_has_trained_is_planned(tmp_path: Path) -> None:
    first = finished(tmp_path / "a", grid(variants=["sp"]))
    second = finished(tmp_path / "b", grid(variants=["sp"], widths=[64, 128], seeds=[0, 1]))
    done = merge(first, [second])
    assert done.spec.widths == (32, 64, 128)
    assert (done.taken, done.known) == (12, 4)  # width 64 with seed 0 was there
    assert done.planned == 4  # width 32 with seed 1
    assert merge(first, [second]).taken == 0


def test_a_merge_that_is_refused_leaves_nothing(tmp_path: Path) -> None:
    folders = [finished(tmp_path / str(steps), grid(train={"steps": steps})) for steps in (10, 11)]
    with pytest.raises(SpecError, match="agree in `train`"):
        merge(tmp_path / "both", folders)
    assert not (tmp_path / "both").exists()


def test_a_price_may_differ() -> None:
    assert united([grid(), grid(cost={"price": 2})]).cost == grid().cost


def test_grids_on_one_lattice_are_joined() -> None:
    low, high = (
        grid(lr={"low": a, "high": b, "extend": 0}) for a, b in (("2^-12", "2^-9"), ("2^-8", "2^-5"))
    )
    assert (united([high, low]).lr.low, united([low, high]).lr.high) == (2**-12, 2**-5)


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"train": {"steps": 11}}, "agree in `train`"),
        ({"lr": {"low": 3e-4, "high": 1e-2}}, "one lattice"),
        ({"lr": {"low": "2^-8", "high": "2^-5", "factor": 4}}, "one lattice"),
        ({"base_width": 64}, "one base width"),
        ({"weight_decays": [0.0]}, "`weight_decays`"),
    ],
)
def test_studies_that_do_not_fit_together_are_refused_in_one_line(changes: dict[str, Any], part: str) -> None:
    with pytest.raises(SpecError, match=part) as caught:
        united([grid(), grid(name="other", **changes)])
    assert "\n" not in str(caught.value)
