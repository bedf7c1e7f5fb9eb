from __future__ import annotations

import pytest

from hptransfer.runs.config import RunSpec
from hptransfer.runs.decoder_tensors import counted_parameters, parameter_count
from hptransfer.study.paper_presets import ABLATIONS
from hptransfer.study.presets import preset


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
