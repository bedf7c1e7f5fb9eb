import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from hptransfer.lm.model import Decoder
from hptransfer.lm.rule import decoder_rule, forward_scales, init_stds
from hptransfer.lm.stack import initial_weights
from hptransfer.runs.config import ModelConfig, RunSpec
from hptransfer.runs.decoder_tensors import parameter_count, tensor_layout


@given(
    heads=st.integers(1, 4),
    head_dim=st.integers(1, 8),
    depth=st.integers(1, 3),
    context=st.integers(1, 9),
    ratio=st.integers(1, 4),
)
def test_layout_is_the_module(heads: int, head_dim: int, depth: int, context: int, ratio: int) -> None:
    config = ModelConfig(
        width=heads * head_dim, heads=heads, depth=depth, context=context, vocab=257, mlp_ratio=ratio
    )
    found = {name: tuple(p.shape) for name, p in Decoder(config).named_parameters()}
    assert found == {t.name: t.shape for t in tensor_layout(config)}
    assert parameter_count(config) == sum(math.prod(shape) for shape in found.values())


def test_parameter_count_golden() -> None:
    # 2 embeddings, per block 12 D^2 + 2 D, final norm, readout
    assert (
        parameter_count(ModelConfig(width=128))
        == (512 + 64) * 128 + 2 * (12 * 128**2 + 256) + 128 + 512 * 128
    )


def run_of(rule: str, width: int = 64) -> RunSpec:
    return RunSpec(model=ModelConfig(width=width, vocab=257), rule=rule, base_width=16, lr=0.01)


def test_init_stds_golden() -> None:
    sp, mup = init_stds(run_of("sp")), init_stds(run_of("mup"))
    assert sp["token_embedding.weight"] == mup["token_embedding.weight"] == 1.0
    assert sp["blocks.0.qkv.weight"] == pytest.approx(64**-0.5)
    assert sp["blocks.1.projection.weight"] == pytest.approx(64**-0.5 / 2)  # / sqrt(2 x depth)
    assert sp["blocks.1.mlp_out.weight"] == pytest.approx(256**-0.5 / 2)
    assert sp["readout.weight"] == pytest.approx(64**-0.5)
    assert mup["readout.weight"] == pytest.approx(16**0.5 / 64)  # variance ~ 1/n^2, equal at the base
    assert mup | {"readout.weight": 0} == sp | {"readout.weight": 0}


def test_weights_have_the_stds_and_gains_are_one() -> None:
    run = run_of("mup")
    stds = init_stds(run)
    for name, weight in initial_weights(run).items():
        if stds[name] == 0:
            assert (weight == 1).all()
        else:
            assert weight.std().item() == pytest.approx(stds[name], rel=0.1)


def test_variants_of_a_seed_share_their_draws() -> None:
    sp, mup = initial_weights(run_of("sp")), initial_weights(run_of("mup"))
    assert torch.equal(sp["blocks.0.qkv.weight"], mup["blocks.0.qkv.weight"])
    torch.testing.assert_close(sp["readout.weight"] / 2, mup["readout.weight"])  # m**(-1/2) with m = 4


def test_attention_scale_golden() -> None:
    sp, mup = run_of("sp"), run_of("mup")
    assert forward_scales(sp).attention == pytest.approx(1 / math.sqrt(16))
    assert forward_scales(mup).attention == pytest.approx(math.sqrt(4) / 16)


def test_future_tokens_are_not_seen() -> None:
    config = ModelConfig(width=16, heads=2, context=8, vocab=257)
    model = Decoder(config)
    tokens = torch.arange(16).reshape(2, 8)
    changed = tokens.clone()
    changed[:, 5:] += 100
    scale = torch.tensor(0.5)
    a, b = model(tokens, scale), model(changed, scale)
    assert torch.equal(a[:, :5], b[:, :5])
    assert not torch.equal(a[:, 5:], b[:, 5:])


def test_impossible_runs_are_refused() -> None:
    with pytest.raises(ValidationError, match="heads must divide width"):
        ModelConfig(width=10, heads=3)
    with pytest.raises(ValidationError, match="Extra inputs"):
        ModelConfig(widht=10)  # type: ignore[call-arg]


def test_run_id_is_the_spec() -> None:
    run = run_of("sp")
    assert run.run_id == run_of("sp").run_id
    assert run.run_id != run_of("mup").run_id
    assert run.run_id != run.model_copy(update={"lr": 0.0100000001}).run_id
    assert RunSpec.model_validate_json(run.model_dump_json()).run_id == run.run_id


def test_rules_are_read_in_sp_coordinates() -> None:
    assert decoder_rule("mup-tp5-table3").coordinates == "sp"
    table3, mup = run_of("mup-tp5-table3"), run_of("mup")
    assert init_stds(table3) == pytest.approx(init_stds(mup))
