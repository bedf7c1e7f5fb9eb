from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hptransfer.errors import SpecError
from hptransfer.study.overrides import apply_overrides
from hptransfer.study.spec import load_study

TEXT = """
name: tiny
variants: [sp]
widths: [32, 64]
lr: {low: 2^-12, high: 2^-4}
train: {steps: 5}
"""


def test_keys_are_given_anew_by_their_path_and_the_original_is_left_alone() -> None:
    data = {"train": {"steps": 5, "eps": 1e-9}, "seeds": [0]}
    found = apply_overrides(data, ["train.steps=7", "executor.kind=ray", "seeds=[1, 2]"])
    assert found == {
        "train": {"steps": 7, "eps": 1e-9},
        "seeds": [1, 2],
        "executor": {"kind": "ray"},
    }
    assert data == {"train": {"steps": 5, "eps": 1e-9}, "seeds": [0]}


def test_a_spec_is_loaded_with_changes_and_the_engine_changes_no_run(tmp_path: Path) -> None:
    path = tmp_path / "spec.yaml"
    path.write_text(TEXT)
    plain = load_study(path)
    spec = load_study(path, ["executor.kind=slurm", "executor.partition=gpu", "workers=3", "trial.retries=5"])
    assert (spec.executor.kind, spec.executor.partition, spec.workers) == ("slurm", "gpu", 3)
    assert spec.spec_hash == plain.spec_hash
    assert spec.run("sp", 32, 0, 0).run_id == plain.run("sp", 32, 0, 0).run_id


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        ("steps", ["KEY=VALUE", "'steps'"]),
        ("=3", ["KEY=VALUE"]),
        ("train.steps=[1", ["YAML", "train.steps=[1"]),
        ("name.first=3", ["section", "`name` is 'tiny'"]),
        ("train.stepz=3", ["`train.stepz: 3`", "`train.steps`"]),
        ("executor.kind=cloud", ["`executor`", "`kind` must be one of local, ray, slurm", "'cloud'"]),
        ("executor.address=auto", ["`executor`", "`address`", "kind ray only", "'local'"]),
    ],
)
def test_a_change_that_cannot_be_made_is_one_line(tmp_path: Path, change: str, parts: list[str]) -> None:
    path = tmp_path / "spec.yaml"
    path.write_text(TEXT)
    with pytest.raises(SpecError) as caught:
        load_study(path, [change])
    text = str(caught.value)
    assert "\n" not in text
    for part in parts:
        assert part in text


@given(st.text(max_size=20))
def test_whatever_a_change_says_it_is_made_or_refused_in_one_line(change: str) -> None:
    refusal = ""
    try:
        apply_overrides({"a": {"b": 1}}, [change])
    except SpecError as error:
        refusal = str(error)
    assert len(refusal.splitlines()) <= 1
