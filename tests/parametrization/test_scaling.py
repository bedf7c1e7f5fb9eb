import copy
import math
import pickle
from collections import Counter

import pytest
import torch
from small_models import Transformer, batch, build, train
from torch import nn

import hptransfer as hpt
from hptransfer.errors import RuleError
from hptransfer.parametrization.hf_models import build as build_hf

BASE, WIDTH = 16, 64


def scaled(rule="mup", width: int = WIDTH, **kwargs) -> tuple[Transformer, hpt.Scaling]:
    model = build(width)
    return model, hpt.parametrize(model, base=build(BASE, seed=1), rule=rule, **kwargs)


def stds(model: nn.Module) -> dict[str, float]:
    return {n: p.detach().double().std(correction=0).item() for n, p in model.named_parameters()}


def test_the_four_lines() -> None:
    model = build(64)
    scaling = hpt.parametrize(model, base=build(16), rule="sp+embd")
    scaling.init_(model)
    optimizer = torch.optim.AdamW(scaling.param_groups(model, lr=3e-3, weight_decay=0.1))
    done = scaling.verify(model, optimizer)
    assert (done.tensors, done.lr_factor, done.modules) == (len(list(model.parameters())), 1.0, 2)
    lrs = {n: g["lr"] for g in optimizer.param_groups for n in g["names"]}
    assert lrs["tokens.weight"] == lrs["positions.weight"] == 3e-3 * 4
    assert {lr for n, lr in lrs.items() if n not in ("tokens.weight", "positions.weight")} == {3e-3}
    assert "m = 4" in repr(scaling)


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
    assert len(model.readout._forward_pre_hooks) <= 1


def test_a_seed_redraws_by_name_alone() -> None:
    model, scaling = scaled("mup-tp5-table8")
    scaling.init_(model, seed=5)
    first = copy.deepcopy(model.state_dict())
    torch.randn(7)
    scaling.init_(model, seed=5)
    assert all(torch.equal(first[n], w) for n, w in model.state_dict().items())
    scaling.init_(model, seed=6)
    assert not torch.equal(first["readout.weight"], model.readout.weight)


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


def test_attention_scale_is_set_where_the_head_dimension_grows() -> None:
    model, scaling = scaled("mup")
    scaling.init_(model)
    assert [b.attn.scaling for b in model.blocks] == pytest.approx([8**-0.5 / 4] * 2)  # head_dim 8 -> 32
    model, scaling = scaled("sp")
    scaling.init_(model)
    assert model.blocks[0].attn.scaling == pytest.approx(32**-0.5)


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


def test_few_groups() -> None:
    model, scaling = scaled("mup")
    groups = scaling.param_groups(model, lr=0.1, weight_decay=0.1)
    assert len(groups) == 3  # embeddings; matrices and readout; vectors, which do not decay
    assert Counter(n for g in groups for n in g["names"]) == Counter(n for n, _ in model.named_parameters())


def settings(groups: list[dict], key: str) -> dict[str, float]:
    return {n: g[key] for g in groups for n in g["names"]}


def test_weight_decay_conventions() -> None:
    """Per step AdamW shrinks by LR x lambda: what that product is, convention by convention."""
    model, scaling = scaled("mup-tp5-table3")
    hidden, embedding = "blocks.0.up.weight", "tokens.weight"
    kwargs = {"lr": 0.01, "weight_decay": 0.1}
    coupled = scaling.param_groups(model, **kwargs)
    assert settings(coupled, "weight_decay")[hidden] == 0.1
    mup = scaling.param_groups(model, decay="mup", **kwargs)
    assert settings(mup, "weight_decay")[hidden] == pytest.approx(0.4)
    assert settings(mup, "weight_decay")[embedding] == pytest.approx(0.1)
    free = scaling.param_groups(model, decay="independent", **kwargs)
    for name in (hidden, embedding, "readout.weight"):
        assert settings(free, "weight_decay")[name] * settings(free, "lr")[name] == pytest.approx(0.1)
    assert settings(free, "weight_decay")["norm.weight"] == 0
    kept = scaling.param_groups(model, no_decay=["tokens*"], **kwargs)
    assert settings(kept, "weight_decay")[embedding] == 0


def test_the_mup_convention_does_not_depend_on_coordinates() -> None:
    model, scaling = scaled("mup")
    _, other = scaled("mup", coordinates="mup")
    a = scaling.param_groups(model, lr=0.01, weight_decay=0.1, decay="mup")
    b = other.param_groups(model, lr=0.04, weight_decay=0.1, decay="mup")
    assert settings(a, "lr") == pytest.approx(settings(b, "lr"))
    assert settings(a, "weight_decay") == pytest.approx(settings(b, "weight_decay"))


def test_eps_rules() -> None:
    model, scaling = scaled("mup-tp5-table8")
    names = ("tokens.weight", "blocks.0.up.weight", "readout.weight")
    for eps_rule, expected in (("rule", (1, 1, 1)), ("fixed", (1, 1, 1)), ("scaled", (1 / 4, 1 / 4, 1 / 4))):
        found = settings(scaling.param_groups(model, lr=1, eps=1e-8, eps_rule=eps_rule), "eps")
        assert [found[n] / 1e-8 for n in names] == pytest.approx(expected)
    model, scaling = scaled("completep")
    found = settings(scaling.param_groups(model, lr=1, eps=1e-8), "eps")
    assert found["blocks.0.up.weight"] == pytest.approx(2.5e-9)


class Lion(torch.optim.Optimizer):
    """Sign momentum (arXiv:2302.06675), as packages write it."""

    def __init__(self, params, lr=1e-4, betas=(0.9, 0.99), weight_decay=0.0) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure=None) -> None:
        for group in self.param_groups:
            for p in group["params"]:
                m = self.state[p].setdefault("m", torch.zeros_like(p))
                p.mul_(1 - group["lr"] * group["weight_decay"])
                p.sub_((m * group["betas"][0] + p.grad * (1 - group["betas"][0])).sign(), alpha=group["lr"])
                m.mul_(group["betas"][1]).add_(p.grad, alpha=1 - group["betas"][1])


@pytest.mark.parametrize(
    ("kind", "make", "family"),
    [
        ("adamw", torch.optim.AdamW, "adam"),
        ("adam", torch.optim.Adam, "adam"),
        ("lion", Lion, "adam"),
        ("sgd", torch.optim.SGD, "sgd"),
    ],
)
def test_optimizers(kind: str, make, family: str) -> None:
    model, scaling = scaled("mup-tp5-table8", optimizer=family)
    scaling.init_(model)
    optimizer = make(scaling.param_groups(model, lr=1e-3, weight_decay=0.01, optimizer=kind), lr=1.0)
    losses = train(model, optimizer, 3)
    assert all(math.isfinite(loss) for loss in losses)
    scaling.verify(model, optimizer)


@pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="this torch has no Muon")
@pytest.mark.parametrize(("adjust", "factor"), [("original", 1), ("match_rms_adamw", 1 / 2)])
def test_muon_takes_the_matrices_and_adamw_the_rest(adjust: str, factor: float) -> None:
    model, scaling = scaled("mup")
    scaling.init_(model)
    muon = torch.optim.Muon(
        scaling.muon_groups(model, lr=0.02, weight_decay=0.1, adjust=adjust), adjust_lr_fn=adjust
    )
    adamw = torch.optim.AdamW(scaling.param_groups(model, lr=1e-3, weight_decay=0.1, matrices=False))
    lrs = settings(muon.param_groups, "lr")
    assert set(lrs) == {n for n in lrs if n.split(".")[-2] in ("qkv", "out", "up", "down")}
    assert set(lrs.values()) == {0.02 * factor}  # the rule's Adam exponents are not applied to it as well
    assert len(lrs) + len(settings(adamw.param_groups, "lr")) == len(list(model.parameters()))
    for step in range(2):
        model(batch(step)).logsumexp(-1).mean().backward()
        muon.step(), adamw.step()
    scaling.verify(model, [muon, adamw])
    with pytest.raises(RuleError, match="not there"):
        scaling.verify(model, adamw)


def test_muon_refuses_multipliers_on_matrices() -> None:
    model, scaling = scaled("u-mup")
    with pytest.raises(RuleError, match="without_multipliers"):
        scaling.muon_groups(model, lr=1.0)


def test_a_multiplier_that_goes_with_depth_is_in_the_forward_pass() -> None:
    depth = {"hidden": {"multiplier": -0.5}}
    rule = hpt.rule_from({"like": "mup", "coordinates": "mup", "name": "deep", "depth": depth})
    scaling = hpt.parametrize(build(WIDTH, depth=8), base=build(BASE, depth=2), rule=rule)
    factors = {factor.module: factor.on_input for factor in scaling.factors}
    assert factors["blocks.5.up"] == factors["blocks.0.attn.qkv"] == 1 / 2
    assert "readout" not in factors
    rows = {row.tensor: row.multiplier for row in scaling.table()}
    assert rows["blocks.5.up.weight"] == 1 / 2


def test_depth_under_completep() -> None:
    model = build(WIDTH, depth=8)
    scaling = hpt.parametrize(
        model, base=build(BASE, depth=2), rule="completep", residual=["blocks.*.attn.out", "blocks.*.down"]
    )
    assert (scaling.ratio, scaling.depth_ratio) == (4, 4)
    plain = copy.deepcopy(model.blocks[7].down)
    scaling.init_(model)
    with torch.no_grad():
        plain.weight.copy_(model.blocks[7].down.weight)
    x = torch.randn(2, 2 * WIDTH)
    torch.testing.assert_close(model.blocks[7].down(x), plain(x) / 4)
    model(batch(0))
    groups = scaling.param_groups(model, lr=1.0, eps=1.0)
    assert settings(groups, "eps")["blocks.5.up.weight"] == pytest.approx(1 / 16)
    assert settings(groups, "eps")["tokens.weight"] == pytest.approx(1 / 4)
    assert settings(groups, "lr")["blocks.5.up.weight"] == pytest.approx(1 / 4)
    scaling.verify(model, torch.optim.AdamW(groups))


@pytest.mark.parametrize("name", ["gpt2", "llama", "mixtral", "t5"])
def test_known_architectures_are_scaled_from_their_config(name: str) -> None:
    pytest.importorskip("transformers")
    model = build_hf(name, 32)
    given = hpt.parametrize(model, base=build_hf(name, 16), rule="mup")
    found = hpt.parametrize(model, base_width=16, width=32, heads="fixed", rule="mup")
    assert [(t.name, t.role, t.tensor.base_shape) for t in found.tensors] == [
        (t.name, t.role, t.tensor.base_shape) for t in given.tensors
    ]
    assert found.attention == given.attention
    grown = hpt.parametrize(model, base_width=16, rule="sp")
    assert grown.ratio == 2
    found.init_(model)
    found.verify(model, torch.optim.AdamW(found.param_groups(model, lr=1e-3)))


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


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: hpt.parametrize(build(16), base=build(16)), "same shape in both.* other="),
        (lambda: hpt.parametrize(build(16), base=build(64)), "are the two swapped"),
        (
            lambda: hpt.parametrize(build(64, depth=4), base=build(16)),
            "has 2 times the base's blocks; completep",
        ),
        (lambda: hpt.parametrize(build(64, depth=4), base=build(16), rule="completep"), "give residual="),
        (lambda: hpt.parametrize(build(64), base=nn.Linear(3, 3)), "only in the model"),
        (lambda: hpt.parametrize(build(64)), "one of base= .* and base_width="),
        (
            lambda: hpt.parametrize(build(64), base=build(16), base_width=16),
            "one of base= .* and base_width=",
        ),
        (lambda: hpt.parametrize(build(64), base_width=16), "Hugging Face config, but Transformer has none"),
        (lambda: hpt.parametrize(build(64), base=build(16), rule="mupp"), "did you mean 'mup'"),
        (lambda: hpt.parametrize(build(64), base=build(16), attention={"x.*": "scaling"}), "matches none"),
        (
            lambda: hpt.parametrize(build(64), base=build(16), attention={"*.attn": "sale"}),
            "attn.sale must be a number",
        ),
    ],
)
def test_two_builds_that_do_not_fit(make, says: str) -> None:
    with pytest.raises(RuleError, match=says) as caught:
        make()
    assert "\n" not in str(caught.value)


def test_a_narrower_model_where_it_is_meant() -> None:
    assert hpt.parametrize(build(8), base=build(16), narrower=True).ratio == 0.5


def test_a_model_at_the_base_width_needs_another_to_tell_roles() -> None:
    scaling = hpt.parametrize(build(16), base=build(16, seed=1), other=build(32))
    assert scaling.ratio == 1
    assert {t.role for t in scaling.tensors} == {"embedding", "hidden", "vector", "readout"}


def test_widths_that_do_not_grow_alike_need_a_ratio() -> None:
    def make(a: int, b: int) -> nn.Module:
        return nn.ModuleDict({"x": nn.Embedding(5, a), "y": nn.Embedding(5, b)})

    with pytest.raises(RuleError, match=r"grow by \[2.0, 4.0\]; give width_ratio="):
        hpt.parametrize(make(8, 16), base=make(4, 4))
    assert hpt.parametrize(make(8, 16), base=make(4, 4), width_ratio=2).ratio == 2
    with pytest.raises(RuleError, match="grow the same way"):
        hpt.parametrize(make(8, 2), base=make(4, 4))


def test_attention_without_a_scale_to_set_is_never_silent() -> None:
    class Attention(nn.Module):
        def __init__(self, n: int) -> None:
            super().__init__()
            self.qkv = nn.Linear(n, 3 * n)

    def make(n: int) -> nn.Module:
        return nn.ModuleDict({"e": nn.Embedding(5, n), "attn": Attention(n)})

    with pytest.raises(RuleError, match=r"attn \(Attention\) keeps no scale to set.* attention=False"):
        hpt.parametrize(make(8), base=make(4), rule="mup")
    assert hpt.parametrize(make(8), base=make(4), rule="mup", attention=False).attention == ()
    assert hpt.parametrize(make(8), base=make(4), rule="sp").attention == ()

    def functional(n: int) -> nn.Module:
        return nn.ModuleDict({"e": nn.Embedding(5, n), "q_proj": nn.Linear(n, n)})

    with pytest.raises(RuleError, match=r"by its tensor q_proj.weight, has attention"):
        hpt.parametrize(functional(8), base=functional(4), rule="mup")


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


def test_another_model_is_refused() -> None:
    model, scaling = scaled()
    with pytest.raises(RuleError, match=r"but tokens.weight is \(11, 32\), not \(11, 64\)"):
        scaling.init_(build(32))
    with pytest.raises(RuleError, match=r"blocks.2.norm1.weight was not in the one"):
        scaling.param_groups(build(WIDTH, depth=3), lr=1.0)
    del model.readout
    with pytest.raises(RuleError, match=r"readout\.weight is not in the model given"):
        scaling.init_(model)


@pytest.mark.parametrize(
    ("kwargs", "says"),
    [
        ({"lr": 0.0}, "lr must be positive and finite, but got 0.0"),
        ({"lr": math.nan}, "lr must be positive"),
        ({"lr": 1.0, "weight_decay": -1}, "weight_decay must be positive"),
        ({"lr": 1.0, "eps": 0}, "eps must be positive"),
        ({"lr": 1.0, "decay": "both"}, "decay must be one of coupled, independent, mup"),
        ({"lr": 1.0, "eps_rule": "x"}, "eps_rule must be one of rule, fixed, scaled"),
        ({"lr": 1.0, "optimizer": "lbfgs"}, "optimizer must be one of adamw, adam, sgd, lion"),
        ({"lr": 1.0, "optimizer": "sgd"}, "parametrize.*optimizer='sgd'"),
        ({"lr": 1.0, "no_decay": ["bias$"]}, "matches none"),
        ({"lr": 1.0, "weight_decay": 1, "optimizer": "adam", "decay": "mup"}, "use AdamW"),
    ],
)
def test_bad_settings(kwargs, says: str) -> None:
    model, scaling = scaled()
    with pytest.raises(RuleError, match=says):
        scaling.param_groups(model, **kwargs)


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


def test_a_scaling_and_a_scaled_model_can_be_copied_and_pickled() -> None:
    model, scaling = scaled("mup-tp5-table9")
    scaling.init_(model)
    groups = scaling.param_groups(model, lr=0.01)
    for again in (copy.deepcopy, lambda thing: pickle.loads(pickle.dumps(thing))):
        twin, same = again(model), again(scaling)
        assert same.rule == scaling.rule
        assert [g["lr"] for g in same.param_groups(twin, lr=0.01)] == [g["lr"] for g in groups]
        same.verify(twin, torch.optim.AdamW(same.param_groups(twin, lr=0.01)))


def test_frozen_tensors_are_left_out() -> None:
    model, scaling = scaled()
    scaling.apply_(model).tokens.requires_grad_(False)
    optimizer = torch.optim.AdamW(scaling.param_groups(model, lr=1.0))
    assert "tokens.weight" not in settings(optimizer.param_groups, "lr")
    scaling.verify(model, optimizer)


@pytest.mark.parametrize(("coordinates", "eta"), [("sp", 4.0), ("mup", 1.0)])
def test_a_bias_of_fixed_length_goes_by_the_models_width(coordinates: str, eta: float) -> None:
    def classifier(width: int) -> nn.Module:
        return nn.Sequential(nn.Embedding(100, width), nn.Linear(width, width), nn.Linear(width, 100))

    model = classifier(64)
    scaling = hpt.parametrize(model, base=classifier(16), rule="mup", coordinates=coordinates)
    lrs = {n: g["lr"] for g in scaling.param_groups(model, lr=1.0) for n in g["names"]}
    assert lrs["2.bias"] == lrs["1.bias"] == eta
