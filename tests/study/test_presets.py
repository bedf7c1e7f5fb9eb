from __future__ import annotations

import pytest

from hptransfer.errors import SpecError
from hptransfer.runs.config import RunSpec
from hptransfer.runs.decoder_tensors import counted_parameters, parameter_count
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


def paper_run(name: str, width: int, ablation: str = "baseline") -> RunSpec:
    """A run of a paper's experiment at a width, whether the paper has trained that width or not."""
    run = preset(name, "paper", ablation).example_run(width)
    assert run.base_width == 128
    return run


@pytest.mark.parametrize("width", [128, 256, 2048])
def test_kalra2026_has_its_parameters(width: int) -> None:
    run = paper_run("kalra2026-step", width)
    n, vocab, context, depth = width, 50_304, 1024, 12
    by_hand = vocab * n + context * n + depth * (12 * n * n + 2 * n) + n + vocab * n
    assert parameter_count(run.model) == by_hand
    assert (run.steps, run.tokens) == (10_000, 10_000 * 16 * 16 * 1024)
    counted = counted_parameters(run.model, "without_embeddings")
    assert 0 <= paper_run("kalra2026-tpp", width).tokens - 20 * counted < 16 * 16 * 1024


@pytest.mark.parametrize("width", [128, 512, 2048])
def test_lingle2024_has_its_parameters(width: int) -> None:
    run = paper_run("lingle2024", width)
    n, vocab, depth = width, 32_100, 24
    assert parameter_count(run.model) == 2 * vocab * n + depth * 12 * n * n
    assert counted_parameters(run.model, "without_embeddings") == depth * 12 * n * n
    assert (run.model.d_head, run.model.query_heads) == (128, n // 128)
    assert run.train.batch_size * run.model.context == 2**18
    assert (run.steps, run.train.clip, run.train.final_lr) == (125_000, 1.0, 1e-4)


def test_lingle2024_ablations_have_their_parameters() -> None:
    n, depth, vocab = 256, 24, 32_100
    baseline = parameter_count(paper_run("lingle2024", n).model)
    more = {
        "biases": depth * (3 * n + n + 4 * n + n) + vocab,
        "gains-vector": (2 * depth + 1) * n,
        "gains-scalar": 2 * depth + 1,
        # One head of keys and of values instead of two each; an MLP of 5 n.
        "multi-query": depth * (-2 * 128 * n + 2 * n * n),
        "swiglu": depth * (3 * n * int(2.67 * n) - 8 * n * n),
        "sp-gpt": depth * 9 * n + vocab + (2 * depth + 1) * n,
        "large-scale": -12 * 12 * n * n,
    }
    for name in ABLATIONS["lingle2024"]:
        run = paper_run("lingle2024", n, name)
        assert parameter_count(run.model) - baseline == more.get(name, 0), name
        assert run.train.batch_size in (256, 1024, 4096, 8192)


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
