from __future__ import annotations

import pytest

from hptransfer.errors import SpecError
from hptransfer.study.paper_presets import ABLATIONS
from hptransfer.study.planner import plan
from hptransfer.study.presets import PRESETS, SIZES, preset


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("size", SIZES)
def test_every_preset_is_a_study_that_can_be_planned(name: str, size: str) -> None:
    spec = preset(name, size)
    assert spec.name == f"{name}-{size}"
    if size != "paper":  # of 6400 runs
        assert {stack.width for stack in plan(spec, {})} == set(spec.widths)
    assert max(spec.targets) > max(spec.widths)


def test_kalra_sweeps_sixteen_parametrizations_and_eight_decays() -> None:
    for name in ("kalra2026-step", "kalra2026-tpp"):
        spec = preset(name, "paper")
        assert len(spec.variants_with_decay()) == 128
        assert spec.widths == (128, 256, 512, 1024, 2048)
    run = preset("kalra2026-tpp", "paper").run("mup wd=0.001", 256, 0, 0)
    assert run.train.tokens_per_param == 20
    assert run.train.params_counted == "without_embeddings"
    assert run.train.steps is None


def test_lingle_grid_is_two_to_minus_ten_by_four() -> None:
    spec = preset("lingle2024", "paper")
    assert [spec.lr_at(i, 512, "mup") for i in range(spec.lr.count)] == [
        2.0**e for e in (-10, -8, -6, -4, -2)
    ]
    assert preset("lingle2024", "tiny").run("mup", 64, 0, 0).model.norm == "rmsnorm"


@pytest.mark.parametrize("ablation", ABLATIONS["lingle2024"])
@pytest.mark.parametrize("size", SIZES)
def test_every_ablation_of_lingle_is_a_study_at_every_size(ablation: str, size: str) -> None:
    spec = preset("lingle2024", size, ablation)
    change = ABLATIONS["lingle2024"][ablation]
    assert spec.variants == (change.rule,)
    run = spec.run(next(iter(spec.variants_with_decay())), max(spec.widths), 0, 0)
    if "gains" in change.model:
        assert run.model.gains == change.model["gains"]
    if "weight_decay" in change.train:
        assert run.train.weight_decay == change.train["weight_decay"]


def test_keys_can_be_given_anew() -> None:
    assert preset("lingle2024", overrides=["seeds=[3]"]).seeds == (3,)


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (("kalra", "tiny"), "kalra2026-step, kalra2026-tpp, lingle2024"),
        (("lingle2024", "huge"), "tiny, small, paper"),
        (("kalra2026-step", "tiny", "lion"), "baseline"),
    ],
)
def test_unknown_names_are_refused_with_the_valid_ones(arguments: tuple[str, ...], match: str) -> None:
    with pytest.raises(SpecError, match=match):
        preset(*arguments)
