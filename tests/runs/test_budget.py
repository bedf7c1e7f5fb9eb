from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from hptransfer.runs.budget import budget_steps
from hptransfer.runs.config import ModelConfig, RunSpec, TrainConfig
from hptransfer.runs.decoder_tensors import counted_parameters, parameter_count


def test_tokens_per_parameter_golden() -> None:
    model = ModelConfig(width=64, depth=2, context=32, vocab=300)
    blocks = 2 * (12 * 64**2 + 2 * 64) + 64
    assert counted_parameters(model, "without_embeddings") == blocks
    assert counted_parameters(model, "all") == parameter_count(model) == blocks + (300 + 32 + 300) * 64
    train = TrainConfig(tokens_per_param=20, batch_size=8, params_counted="without_embeddings")
    assert budget_steps(model, train) == math.ceil(20 * blocks / (8 * 32))
    everything = train.model_copy(update={"params_counted": "all"})
    assert budget_steps(model, everything) == math.ceil(20 * parameter_count(model) / (8 * 32))
    run = RunSpec(model=model, train=train, base_width=32, lr=1.0)
    assert 20 * blocks <= run.tokens < 20 * blocks + 8 * 32


@given(width=st.sampled_from([32, 64, 96, 256]), ratio=st.floats(0.01, 50), batch=st.integers(1, 64))
def test_a_budget_is_met_to_less_than_a_step(width: int, ratio: float, batch: int) -> None:
    model = ModelConfig(width=width)
    run = RunSpec(
        model=model, train=TrainConfig(tokens_per_param=ratio, batch_size=batch), base_width=32, lr=1.0
    )
    wanted = ratio * parameter_count(model)
    assert wanted <= run.tokens * (1 + 1e-12)
    assert run.tokens < wanted + batch * model.context


def test_a_tied_tensor_and_a_readout_bias_are_counted_once() -> None:
    tied = ModelConfig(width=64, vocab=300, tied=True, biases=("readout",))
    untied = ModelConfig(width=64, vocab=300)
    assert parameter_count(untied) - parameter_count(tied) == 300 * 64 - 300
    assert counted_parameters(tied, "without_embeddings") == counted_parameters(untied, "without_embeddings")
