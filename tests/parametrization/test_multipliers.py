"""Forward multipliers: on which module, and how large."""

import copy

import pytest
import torch
from small_models import BASE, WIDTH, batch, build, scaled, train
from torch import nn

import hptransfer as hpt
from hptransfer.errors import RuleError
from hptransfer.parametrization.hf_models import MODELS
from hptransfer.parametrization.hf_models import build as build_hf


def test_forward_multipliers_are_the_table_s() -> None:
    """Table 8: the readout x 1/m; table 9: embedding x sqrt(m), readout x 1/sqrt(m); no bias in it."""
    ids = batch(0)
    for rule, embedding, readout in (("mup-tp5-table8", 1, 1 / 4), ("mup-tp5-table9", 2, 1 / 2)):
        model, scaling = scaled(rule)
        plain = copy.deepcopy(model)
        scaling.apply_(model)
        torch.testing.assert_close(model.tokens(ids), plain.tokens(ids) * embedding)
        x = torch.randn(3, WIDTH)
        torch.testing.assert_close(model.readout(x), plain.readout(x) * readout)
    model, scaling = scaled("u-mup")
    up = copy.deepcopy(model.blocks[0].up)
    scaling.apply_(model)
    torch.testing.assert_close(model.blocks[0].up(x), (up(x) - up.bias) / 2 + up.bias)


def test_tied_logits_get_a_multiplier() -> None:
    model, base = build(WIDTH, tied=True), build(BASE, tied=True)
    scaling = hpt.parametrize(model, base=base, rule="mup")
    scaling.init_(model)
    x = torch.randn(2, WIDTH)
    torch.testing.assert_close(model.readout(x), x @ model.tokens.weight.T / 4)
    groups = scaling.param_groups(model, lr=1.0)
    assert {n: g["lr"] for g in groups for n in g["names"]}["tokens.weight"] == 4
    train(model, torch.optim.AdamW(groups, lr=1e-3), 1)
    assert hpt.parametrize(model, base=base, rule="sp").factors == ()


def test_a_multiplier_that_goes_with_depth_is_in_the_forward_pass() -> None:
    depth = {"hidden": {"multiplier": -0.5}}
    rule = hpt.rule_from({"like": "mup", "coordinates": "mup", "name": "deep", "depth": depth})
    scaling = hpt.parametrize(build(WIDTH, depth=8), base=build(BASE, depth=2), rule=rule)
    factors = {factor.module: factor.on_input for factor in scaling.factors}
    assert factors["blocks.5.up"] == factors["blocks.0.attn.qkv"] == 1 / 2
    assert "readout" not in factors
    rows = {row.tensor: row.multiplier for row in scaling.table()}
    assert rows["blocks.5.up.weight"] == 1 / 2


def test_what_architectures_multiply_by_themselves_is_taken_off() -> None:
    """Gemma's embedding x sqrt(width), T5's tied logits x width**-1/2: mup wants 1 and 1/m in all."""
    pytest.importorskip("transformers")
    factors = {}
    for name in ("gemma", "t5"):
        scaling = hpt.parametrize(build_hf(name, 64), base=build_hf(name, 16), rule="mup")
        factors |= {(name, f.module): f.on_input * f.on_output for f in scaling.factors}
        assert hpt.parametrize(build_hf(name, 64), base=build_hf(name, 16), rule="sp").factors == ()
    assert factors == {
        ("gemma", "model.embed_tokens"): pytest.approx(1 / 2),
        ("gemma", "lm_head"): pytest.approx(1 / 4),
        ("t5", "lm_head"): pytest.approx(1 / 2),
    }


def test_a_multiplier_without_a_place_is_never_silent() -> None:
    class Raw(nn.Module):
        def __init__(self, n: int) -> None:
            super().__init__()
            self.positions = nn.Parameter(torch.randn(3, n))
            self.head = nn.Linear(n, 2)

    with pytest.raises(RuleError, match=r"multiplier on positions of 1.41421 .*hpt.without_multipliers"):
        hpt.parametrize(Raw(8), base=Raw(4), rule="mup-tp5-table9")
    rule = hpt.without_multipliers(hpt.get_rule("mup-tp5-table9"))
    assert hpt.parametrize(Raw(8), base=Raw(4), rule=rule).factors == ()

    def attention(n: int) -> nn.Module:
        return nn.MultiheadAttention(n, 2)

    with pytest.raises(RuleError, match="MultiheadAttention"):
        hpt.parametrize(attention(8), base=attention(4), rule="ntk")


@pytest.mark.parametrize(("depth", "factor"), [(8, 1 / 2), (2, 1), (1, 2**0.5)])
def test_a_residual_branch_is_divided_by_the_root_of_the_depth_ratio(depth: int, factor: float) -> None:
    scaling = hpt.parametrize(
        build(WIDTH, depth=depth), base=build(BASE, depth=2), rule="depth-mup", residual=["*.down"]
    )
    found = {f.module: f.on_output for f in scaling.factors}
    assert found == pytest.approx({f"blocks.{i}.down": factor for i in range(depth)} if factor != 1 else {})
    assert all(f.on_input == 1 for f in scaling.factors)


def test_a_residual_pattern_that_matches_nothing() -> None:
    with pytest.raises(RuleError, match=r"a residual pattern must match a module, but 'x\.\*' matches none"):
        hpt.parametrize(build(WIDTH, depth=4), base=build(BASE), rule="depth-mup", residual=["x.*"])


@pytest.mark.parametrize("name", [name for name in MODELS if name != "bert"])
def test_the_ends_of_the_residual_branches_are_known(name: str) -> None:
    """One after attention (T5's decoder: two) and one after the MLP, Mamba's mixer alone, in every block."""
    with torch.device("meta"):
        model, base = build_hf(name, 32, depth=4), build_hf(name, 16)
    rule = hpt.without_multipliers(hpt.get_rule("depth-mup"))
    scaling = hpt.parametrize(model, base=base, rule=rule, attention=False)
    factors = [f.on_output for f in scaling.factors if f.why == "residual branch"]
    assert factors == [pytest.approx(2**-0.5)] * (4 * {"mamba": 1, "t5": 5}.get(name, 2))
