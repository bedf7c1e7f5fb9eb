from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_study import study

from hptransfer.errors import SpecError
from hptransfer.study.spec import load_study

TEXT = """
name: tiny
variants: [sp, mup]
widths: [32, 64]
lr: {low: 2^-12, high: 2**-4, extend: 1}
train: {steps: 5, eps: 1e-9}
targets: [1024]
"""


def write(folder: Path, text: str | bytes) -> Path:
    path = folder / "spec.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_a_spec_is_read_with_its_defaults(tmp_path: Path) -> None:
    spec = load_study(write(tmp_path, TEXT))
    assert spec.lr.low == 2**-12
    assert spec.lr.high == 2**-4
    assert spec.lr.count == 9
    assert spec.base == 32
    run = spec.run("mup", 64, 0, 0)
    assert (run.rule, run.model.width, run.train.steps, run.train.eps) == ("mup", 64, 5, 1e-9)


def test_mup_coordinates_hold_the_grid_still_and_sp_coordinates_shift_by_the_ratio() -> None:
    spec = study()
    assert [spec.lr_at(k, 64, "mup") for k in (-1, 0, 1)] == [2**-13, 2**-12, 2**-11]
    assert [spec.lr_at(k, 64, "sp") for k in (-1, 0, 1)] == [2**-14, 2**-13, 2**-12]
    same = study(lr={"low": 2**-12, "high": 2**-7, "coordinates": "sp"})
    assert same.lr_at(0, 64, "sp") == 2**-12
    assert same.lr_at(0, 64, "mup") == 2**-11


@given(st.integers(-20, 40), st.sampled_from([24, 40, 48, 56, 72]), st.floats(1.1, 8))
def test_lr_is_exact_to_the_last_bit_between_coordinates(index: int, width: int, factor: float) -> None:
    spec = study(lr={"low": 1e-4, "high": 1e-2, "factor": factor}, widths=[24, width] if width > 24 else [24])
    mup, sp = spec.lr_at(index, width, "mup"), spec.lr_at(index, width, "sp")
    assert sp == pytest.approx(mup * 24 / width, rel=2**-51)
    assert mup == pytest.approx(1e-4 * factor**index, rel=1e-12)


def test_listed_weight_decays_make_variants_of_their_own() -> None:
    spec = study(weight_decays=[0, "2^-4", 0.01])
    assert list(spec.variants_with_decay())[:3] == ["sp wd=0", "sp wd=0.0625", "sp wd=0.01"]
    assert spec.run("mup wd=0.01", 32, 0, 0).train.weight_decay == 0.01
    assert study().variants_with_decay() == {"sp": ("sp", 0.0), "mup": ("mup", 0.0)}


def test_listed_optimizers_make_variants_of_their_own() -> None:
    train = {"steps": 5, "optimizer": ["adamw", "sgd"], "momentum": 0.8}
    spec = study(train=train, weight_decays=[0, 0.1])
    assert list(spec.variants_with_decay())[:4] == [
        "sp adamw wd=0",
        "sp adamw wd=0.1",
        "sp sgd wd=0",
        "sp sgd wd=0.1",
    ]
    assert set(spec.optimizers().values()) == {"adamw", "sgd"}
    run = spec.run("mup sgd wd=0.1", 64, 0, 0)
    assert (run.rule, run.train.optimizer, run.train.momentum) == ("mup", "sgd", 0.8)
    assert spec.run("mup adamw wd=0", 64, 0, 0).train.momentum is None  # it has none
    assert list(study(train={"steps": 5, "optimizer": ["lion"]}).variants_with_decay()) == [
        "sp lion",
        "mup lion",
    ]


def test_a_variant_s_lr_is_in_the_coordinates_of_its_optimizer() -> None:
    spec = study(train={"steps": 5, "optimizer": ["adamw", "sgd"]})
    assert spec.run("mup adamw", 64, 0, 0).lr == 2**-13
    assert spec.run("mup sgd", 64, 0, 0).lr == 2**-12  # under SGD both coordinates are one


@pytest.mark.parametrize(
    ("train", "text"),
    [
        ({"optimizer": []}, "'lion' or 'muon', or a list of them, but got \\[\\]"),
        ({"optimizer": ["adamw", "adagrad"]}, "or a list of them, but got \\['adamw', 'adagrad'\\]"),
        ({"optimizer": {"adamw": 1}}, "or a list of them, but got {'adamw': 1}"),
        ({"optimizer": ["sgd", "sgd"]}, "given once, but got sgd, sgd"),
        ({"optimizer": ["adamw", "lion"], "momentum": 0.9}, "momentum must go with sgd or muon"),
    ],
)
def test_a_list_of_optimizers_is_of_known_ones(train: dict[str, Any], text: str) -> None:
    with pytest.raises(SpecError, match=text):
        study(train={"steps": 5, **train})


def test_an_adaptive_study_compares_optimizers_of_one_kind_of_coordinates() -> None:
    adaptive = {"goal": "law", "precision": 0.3}
    study(adaptive=adaptive, train={"steps": 5, "optimizer": ["adamw", "lion"]})
    with pytest.raises(SpecError, match="sgd alone or those without it, but got adamw, sgd"):
        study(adaptive=adaptive, train={"steps": 5, "optimizer": ["adamw", "sgd"]})


def test_a_seed_seeds_weights_and_batches() -> None:
    run = study(seeds=[3]).run("sp", 32, 0, 3)
    assert (run.seed, run.data_seed) == (3, 3)


def test_what_does_not_decide_a_run_or_a_plan_does_not_change_the_hash() -> None:
    assert study().spec_hash == study(workers=1, targets=[4096], tolerance=0.02, name="other").spec_hash
    assert study().spec_hash != study(seeds=[1]).spec_hash


@pytest.mark.parametrize(
    "text",
    [
        "",
        "just words",
        "- a\n- b",
        "a: [1",
        "a: b: c",
        "\tname: x",
        b"\xff\xfe\x00",
        "? [a]\n: b",
        "[" * 5000,
    ],
    ids=["empty", "words", "list", "open", "nested", "tab", "binary", "odd key", "deep"],
)
def test_a_file_that_is_no_spec_is_one_line(tmp_path: Path, text: str | bytes) -> None:
    path = write(tmp_path, text)
    with pytest.raises(SpecError) as caught:
        load_study(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_loading_a_spec_runs_no_code(tmp_path: Path) -> None:
    path = write(tmp_path, f"name: !!python/object/apply:os.mkdir [{tmp_path / 'made'}]\n")
    with pytest.raises(SpecError, match="must be plain YAML"):
        load_study(path)
    assert not (tmp_path / "made").exists()


def test_a_file_that_cannot_be_read_or_is_far_too_large(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="No such file"):
        load_study(tmp_path / "absent.yaml")
    with pytest.raises(SpecError, match="directory"):
        load_study(tmp_path)
    with pytest.raises(SpecError, match="at most 1 MiB"):
        load_study(write(tmp_path, "#" * (1 << 20) + "x"))


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)


anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
)


KEYS = ["name", "variants", "widths", "base_width", "lr", "seeds", "weight_decays", "model", "train", "stack"]


@given(st.dictionaries(st.sampled_from(KEYS), anything, min_size=1))
def test_whatever_a_spec_holds_it_is_taken_or_refused_in_one_line(changes: dict[str, Any]) -> None:
    refusal = ""
    try:
        study(**changes)
    except SpecError as error:
        refusal = str(error)
    assert len(refusal.splitlines()) <= 1
