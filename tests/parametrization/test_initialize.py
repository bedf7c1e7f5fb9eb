"""Initial weights: the std that each tensor ends up with."""

import copy

import pytest
import torch
from small_models import BASE, WIDTH, Transformer, build, scaled, stds
from torch import nn

import hptransfer as hpt
from hptransfer.errors import RuleError
from hptransfer.parametrization.hf_models import build as build_hf
from hptransfer.parametrization.initialize import base_std


def test_init_follows_the_base_by_ratio() -> None:
    model, scaling = scaled("mup")
    base = stds(build(BASE, seed=1))
    gains = model.norm.weight.clone()
    found = stds(scaling.init_(model))
    assert found["tokens.weight"] == pytest.approx(base["tokens.weight"])
    assert found["blocks.1.up.weight"] == pytest.approx(base["blocks.1.up.weight"] / 2)
    assert found["readout.weight"] == pytest.approx(base["readout.weight"] / 4)
    assert torch.equal(model.norm.weight, gains)


def test_init_is_idempotent_and_keeps_the_model_s_own_draws() -> None:
    model, scaling = scaled("mup")
    before = model.readout.weight.clone()
    once = copy.deepcopy(scaling.init_(model)).state_dict()
    twice = scaling.init_(model).state_dict()
    for name in once:
        torch.testing.assert_close(once[name], twice[name], rtol=1e-6, atol=0)
    ratio = model.readout.weight / before
    assert ratio.std() < 1e-6 * ratio.mean().abs()  # rescaled, not redrawn


def test_a_seed_redraws_by_name_alone() -> None:
    model, scaling = scaled("mup-tp5-table8")
    scaling.init_(model, seed=5)
    first = copy.deepcopy(model.state_dict())
    torch.randn(7)
    scaling.init_(model, seed=5)
    assert all(torch.equal(first[n], w) for n, w in model.state_dict().items())
    scaling.init_(model, seed=6)
    assert not torch.equal(first["readout.weight"], model.readout.weight)


def test_frozen_weights_stay_and_so_does_what_the_model_computes() -> None:
    model, base = build(WIDTH), build(BASE)
    for parameter in (*model.blocks.parameters(), *model.readout.parameters()):
        parameter.requires_grad_(False)
    scaling = hpt.parametrize(model, base=base, rule="mup-tp5-table8")
    assert scaling.factors == scaling.attention == ()
    scaling.init_(model)
    frozen = {p.name for p in scaling.tensors if p.frozen}
    assert "blocks.0.up.weight" in frozen
    assert "tokens.weight" not in frozen
    assert torch.equal(model.readout.weight, build(WIDTH).readout.weight)
    model.readout.weight.requires_grad_(True)
    with pytest.raises(
        RuleError, match="must not have been frozen when mup-tp5-table8 was applied, but readout"
    ):
        scaling.param_groups(model, lr=1.0)


def test_drawn_biases_keep_the_base_s_std_as_the_table_says() -> None:
    model, scaling = scaled("mup-tp5-table8")
    scaling.init_(model)
    rows = {row.tensor: row.init_std for row in scaling.table()}
    found = stds(model)
    for name in ("blocks.0.up.bias", "blocks.1.down.bias"):
        assert found[name] == pytest.approx(rows[name])
        assert rows[name] > 2 * stds(build(WIDTH))[name]


def test_a_bias_around_another_value_is_left_alone() -> None:
    def make(n: int) -> nn.Module:
        model = nn.Linear(n, n)
        nn.init.normal_(model.bias, -4.6, 1.0)  # as the steps of a state-space model
        return model

    model = make(64)
    before = model.bias.clone()
    hpt.parametrize(model, base=make(16)).init_(model)
    assert torch.equal(model.bias, before)


def test_a_rule_may_scale_the_init_of_vectors() -> None:
    rule = hpt.rule_from({"like": "mup", "roles": {"vector": {"init": -0.5}}})

    def make(n: int) -> nn.Module:
        torch.manual_seed(0)
        return nn.ParameterDict({"w": torch.randn(n, n), "v": torch.randn(n)})

    model = make(64)
    scaling = hpt.parametrize(model, base=make(16), rule=rule)
    scaling.init_(model)
    assert stds(model)["v"] == pytest.approx({r.tensor: r.init_std for r in scaling.table()}["v"])


def test_weight_normalisation_has_the_rule_s_std() -> None:
    def make(n: int) -> nn.Module:
        torch.manual_seed(0)
        layers = [nn.Linear(3, n), nn.utils.parametrizations.weight_norm(nn.Linear(n, n)), nn.Linear(n, 3)]
        return nn.Sequential(*layers)

    model, base = make(64), make(16)
    hpt.parametrize(model, base=base, rule="mup").init_(model)
    wanted = base[1].weight.std(correction=0).item() / 2
    assert model[1].weight.std(correction=0).item() == pytest.approx(wanted, rel=1e-5)


def test_the_fan_in_of_stacks_and_transposed_convolutions() -> None:
    class Experts(nn.Module):
        def __init__(self, n: int) -> None:
            super().__init__()
            self.up = nn.Parameter(torch.randn(4, 2 * n, n) * n**-0.5)

    class Stack(Experts):
        """Says nothing of its layout."""

    def make(n: int) -> nn.Module:
        return nn.Sequential(nn.Conv2d(3, n, 3), nn.ConvTranspose2d(n, 4 * n, 2, 2), Experts(n))

    model = make(64)
    hpt.parametrize(model, base=make(16), rule="mup").init_(model, std="rule", seed=0)
    assert model[2].up.std().item() == pytest.approx(64**-0.5, rel=0.02)
    assert model[1].weight.std().item() == pytest.approx((64 * 4) ** -0.5, rel=0.02)
    stack = Stack(16)
    with pytest.raises(RuleError, match=r"must know the fan-in, but the module of up \[4, 8, 4\]"):
        hpt.parametrize(stack, base=Stack(4), rule="mup").init_(stack, std="rule")


def test_a_padding_row_stays_zero() -> None:
    model = nn.Embedding(5, 32, padding_idx=2)
    hpt.parametrize(model, base=nn.Embedding(5, 8, padding_idx=2)).init_(model, seed=0)
    assert (model.weight[2] == 0).all()
    assert (model.weight[3] != 0).all()


def test_the_rule_s_own_init() -> None:
    model, scaling = scaled("mup")
    found = stds(scaling.init_(model, seed=0, std="rule"))
    assert found["tokens.weight"] == pytest.approx(1, rel=0.1)
    assert found["blocks.0.up.weight"] == pytest.approx(1 / 8, rel=0.05)  # 1/sqrt(64)
    assert found["blocks.0.down.weight"] == pytest.approx(128**-0.5, rel=0.05)
    assert found["readout.weight"] == pytest.approx(
        BASE**0.5 / WIDTH, rel=0.1
    )  # variance 1/n^2, equal at base


def test_the_rule_s_own_init_goes_by_the_fan_in_of_a_transposed_layer_too() -> None:
    pytest.importorskip("transformers")
    model = build_hf("gpt2", 64)
    scaling = hpt.parametrize(model, base=build_hf("gpt2", 16), rule="mup")
    found = stds(scaling.init_(model, seed=0, std="rule"))
    assert found["transformer.h.0.mlp.c_fc.weight"] == pytest.approx(1 / 8, rel=0.05)  # [64, 256], 1/sqrt(64)
    assert found["transformer.h.0.mlp.c_proj.weight"] == pytest.approx(1 / 16, rel=0.05)


def test_lora_s_zeros_stay_zero() -> None:
    class Lora(nn.Module):
        def __init__(self, n: int) -> None:
            super().__init__()
            self.embedding = nn.Embedding(5, n)
            self.lora_A, self.lora_B = nn.Linear(n, 2, bias=False), nn.Linear(2, n, bias=False)
            nn.init.zeros_(self.lora_B.weight)

    model = Lora(32)
    hpt.parametrize(model, base=Lora(8)).init_(model, seed=1, std="rule")
    assert (model.lora_B.weight == 0).all()
    assert model.lora_A.weight.std() > 0


def test_a_meta_base_gives_shapes_alone() -> None:
    with torch.device("meta"):
        base = Transformer(BASE)
    model = build(WIDTH)
    scaling = hpt.parametrize(model, base=base)
    with pytest.raises(RuleError, match="build it on the CPU, or take the rule's own init"):
        scaling.init_(model)
    scaling.init_(model, std="rule")
    with pytest.raises(RuleError, match="std must be 'base' or 'rule'"):
        scaling.init_(model, std="both")
    with pytest.raises(RuleError, match="is on the meta device"):
        scaling.init_(Transformer(WIDTH).to("meta"), std="rule")


class Experts(nn.Module):
    """Mixture-of-experts' matrices as one tensor, [experts, out, in]."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.up = nn.Parameter(torch.randn(4, 32, width) / width)


def test_the_rule_s_own_init_of_experts_and_of_convolutions_goes_by_what_one_output_sums_over() -> None:
    def make(width: int) -> nn.Module:
        parts = {"experts": Experts(width), "conv": nn.Conv1d(width, width, 5)}
        return nn.ModuleDict(parts | {"back": nn.ConvTranspose1d(width, 2 * width, 5)})

    model = make(256)
    scaling = hpt.parametrize(model, base=make(64), overrides={"experts.up": "hidden"})
    found = stds(scaling.init_(model, seed=0, std="rule"))
    assert found["experts.up"] == pytest.approx(256**-0.5, rel=0.02)
    assert found["conv.weight"] == pytest.approx((5 * 256) ** -0.5, rel=0.02)
    assert found["back.weight"] == pytest.approx((5 * 256) ** -0.5, rel=0.02)


def test_base_std_of_a_tensor() -> None:
    assert base_std(torch.tensor([1.0, 3.0])) == 1.0  # of the whole, not estimated from a sample
    assert base_std(torch.ones(5)) == base_std(torch.tensor([3.0])) == 0.0
    assert base_std(torch.empty(5, device="meta")) is None


def test_draws_do_not_depend_on_order_or_on_the_rest_of_the_model() -> None:
    def make(width: int, *names: str) -> nn.Module:
        return nn.ModuleDict({name: nn.Linear(width, width) for name in names})

    both, one = make(32, "a", "b"), make(32, "b")
    hpt.parametrize(both, base=make(8, "a", "b")).init_(both, seed=3, std="rule")
    hpt.parametrize(one, base=make(8, "b")).init_(one, seed=3, std="rule")
    assert torch.equal(both["b"].weight, one["b"].weight)
    assert not torch.equal(both["a"].weight, both["b"].weight)
