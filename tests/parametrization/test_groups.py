"""Optimizer groups: what each tensor's group holds, and what is refused."""

import math
from collections import Counter

import pytest
import torch
from small_models import batch, scaled, settings
from torch import nn

import hptransfer as hpt
from hptransfer.errors import RuleError, VerifyError


def test_few_groups() -> None:
    model, scaling = scaled("mup")
    groups = scaling.param_groups(model, lr=0.1, weight_decay=0.1)
    assert len(groups) == 3  # embeddings; matrices and readout; vectors, which do not decay
    assert Counter(n for g in groups for n in g["names"]) == Counter(n for n, _ in model.named_parameters())


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


def test_frozen_tensors_are_left_out() -> None:
    model, scaling = scaled()
    scaling.apply_(model).tokens.requires_grad_(False)
    optimizer = torch.optim.AdamW(scaling.param_groups(model, lr=1.0))
    assert "tokens.weight" not in settings(optimizer.param_groups, "lr")
    scaling.verify(model, optimizer)


def test_nothing_decays_and_eps_is_torch_s_where_nothing_is_said() -> None:
    model, scaling = scaled("mup")
    groups = scaling.param_groups(model, lr=0.01)
    assert set(settings(groups, "weight_decay").values()) == {0.0}
    assert set(settings(groups, "eps").values()) == {1e-8}
    assert set(settings(scaling.muon_groups(model, lr=0.02), "weight_decay").values()) == {0.0}


def test_groups_of_sgd_have_no_eps() -> None:
    model, scaling = scaled("mup", optimizer="sgd")
    groups = scaling.param_groups(model, lr=0.1, weight_decay=0.3)
    assert not any("eps" in group for group in groups)
    assert settings(groups, "lr")["tokens.weight"] == pytest.approx(0.1 * 4)


def test_muon_needs_a_matrix_and_a_known_length_of_its_update() -> None:
    model = nn.Embedding(5, 8)
    scaling = hpt.parametrize(model, base=nn.Embedding(5, 4))
    with pytest.raises(RuleError, match="must have hidden matrices to train"):
        scaling.muon_groups(model, lr=0.02)
    with pytest.raises(RuleError, match="adjust must be one of original, match_rms_adamw"):
        scaling.muon_groups(model, lr=0.02, adjust="both")  # type: ignore[arg-type]


def test_constants_by_role_tensor_and_layer_are_in_the_groups_and_known_to_verify() -> None:
    model, scaling = scaled("mup", coordinates="mup")
    plain = settings(scaling.param_groups(model, lr=0.02, weight_decay=0.1, decay="mup"), "lr")
    factors = {"*.qkv.weight": 0.5, "embedding": 10, "blocks.0": 0.25}
    groups = scaling.param_groups(model, lr=0.02, weight_decay=0.1, decay="mup", factors=factors)
    found = {name: lr / plain[name] for name, lr in settings(groups, "lr").items()}
    expected = dict.fromkeys(plain, 1.0)
    expected |= {name: 0.25 for name in plain if name.startswith("blocks.0.")}
    expected |= {name: 0.5 for name in plain if name.endswith("qkv.weight")}
    expected |= {"tokens.weight": 10.0, "positions.weight": 10.0}
    assert found == pytest.approx(expected)
    scaling.apply_(model)
    optimizer = torch.optim.AdamW(groups)
    assert scaling.verify(model, optimizer).lr_factor == 1
    optimizer.param_groups[0]["lr"] *= 2
    with pytest.raises(VerifyError):
        scaling.verify(model, optimizer)


def test_constants_on_several_settings_of_a_tensor() -> None:
    model, scaling = scaled("mup", coordinates="mup")
    own = {"readout": {"lr": 2, "weight_decay": 0, "eps": 4}, "*.qkv": {"weight_decay": 3}}
    plain = scaling.param_groups(model, lr=0.02, weight_decay=0.1)
    before = {key: settings(plain, key) for key in ("lr", "weight_decay", "eps")}
    groups = scaling.param_groups(model, lr=0.02, weight_decay=0.1, factors=own)
    after = {key: settings(groups, key) for key in before}
    assert after["lr"]["readout.weight"] == 2 * before["lr"]["readout.weight"]
    assert after["weight_decay"]["readout.weight"] == 0
    assert after["eps"]["readout.weight"] == 4 * before["eps"]["readout.weight"]
    qkv = "blocks.1.attn.qkv.weight"
    assert after["weight_decay"][qkv] == pytest.approx(3 * before["weight_decay"][qkv])
    assert after["lr"][qkv] == before["lr"][qkv]
    scaling.apply_(model)
    scaling.verify(model, torch.optim.AdamW(groups))
    with pytest.raises(VerifyError, match="weight_decay"):
        scaling.verify(model, torch.optim.AdamW(plain))


@pytest.mark.parametrize(
    ("factors", "says"),
    [
        ({"nothing.*": 2}, "a key of factors must be a role .* but 'nothing.\\*' fits none"),
        ({"embedding": 0}, "must be positive and finite, but factors\\['embedding'\\] is 0"),
        ({"embedding": {"beta1": 2}}, "a factor must be on lr, weight_decay, eps, but .* is on 'beta1'"),
        ({"embedding": {"eps": 0}}, "finite, but factors\\['embedding'\\]\\['eps'\\] is 0"),
        ({"embedding": "ten"}, "is 'ten'"),
    ],
)
def test_constants_that_fit_nothing(factors: dict, says: str) -> None:
    model, scaling = scaled("mup")
    with pytest.raises(RuleError, match=says):
        scaling.param_groups(model, lr=1.0, factors=factors)


def test_vectors_and_what_the_model_marks_do_not_decay() -> None:
    class Model(nn.Module):
        def __init__(self, n: int) -> None:
            super().__init__()
            self.A_log = nn.Parameter(torch.randn(n, 4))
            self.mix, self.table, self.rest = nn.Linear(n, n), nn.Embedding(5, n), nn.Embedding(5, n)
            self.mix.weight._no_weight_decay = True

        def no_weight_decay(self) -> set[str]:
            return {"table.weight"}

    model = Model(16)
    scaling = hpt.parametrize(model, base=Model(4), rule="mup")
    found = settings(scaling.param_groups(model, lr=1.0, weight_decay=0.1), "weight_decay")
    assert {name for name, decay in found.items() if decay} == {"rest.weight"}
    rows = {row.tensor: row.weight_decay for row in scaling.table()}
    assert {name for name, decay in rows.items() if decay} == {"rest.weight"}


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_dimensions_that_grow_differently(optimizer: str) -> None:
    """Width x 4, MLP x 2: as the mup package's, by fan_out / fan_in under SGD; Adam's vectors by no width."""

    def make(n: int, mlp: int) -> nn.Module:
        return nn.Sequential(nn.Embedding(7, n), nn.Linear(n, mlp), nn.Linear(mlp, n), nn.Linear(n, 7))

    rule, ratio = ("mup", 4) if optimizer == "adam" else ("mup-tp5-table3", 4)
    model, base = make(64, 32), make(16, 16)
    scaling = hpt.parametrize(
        model, base=base, rule=rule, optimizer=optimizer, coordinates="mup", width_ratio=ratio
    )
    found = settings(scaling.param_groups(model, lr=1.0), "lr")
    if optimizer == "adam":
        expected = {"0.weight": 1, "1.weight": 1 / 4, "1.bias": 1, "2.weight": 1 / 4, "2.bias": 1}
    else:
        expected = {"0.weight": 4, "1.weight": 2 / 4, "1.bias": 2, "2.weight": 4 / 2, "2.bias": 4}
    assert {name: found[name] for name in expected} == pytest.approx(expected)
    assert found["3.weight"] == pytest.approx(1 / 4)
