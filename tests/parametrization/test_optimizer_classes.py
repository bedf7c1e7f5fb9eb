"""What a live optimizer acts as: by its class and by the keys of its groups."""

from types import SimpleNamespace

import pytest
import torch
from small_models import batch, loss_of, scaled, settings
from torch import nn

import hptransfer as hpt
from hptransfer.errors import RuleError, VerifyError
from hptransfer.parametrization.optimizer_classes import acting_as


def named(title: str, module: str = "theirs", **attributes) -> object:
    return type(title, (), {"__module__": module, **attributes})()


@pytest.mark.parametrize(
    ("optimizer", "group", "expected"),
    [
        (named("AdamW8bit"), {}, "adamw"),
        (named("PagedAdamW8bit"), {}, "adamw"),
        (named("AdamW4bit"), {}, "adamw"),
        (named("_AdamW"), {}, "adamw"),
        (named("Adam8bit"), {}, "adam"),
        (named("Adam8bit", "bitsandbytes.optim.adam"), {}, "adamw"),
        (named("FusedAdam", adam_w_mode=1), {}, "adamw"),
        (named("FusedAdam", adam_w_mode=0), {}, "adam"),
        (named("DeepSpeedCPUAdam", adamw_mode=True), {}, "adamw"),
        (named("AdamWScheduleFree"), {}, "adamw"),
        (named("SGDScheduleFree"), {}, "sgd"),
        (named("Lion8bit"), {}, "lion"),
        (named("NAdam"), {"decoupled_weight_decay": True}, "adamw"),
        (named("NAdam"), {"decoupled_weight_decay": False}, "adam"),
        (named("Adafactor"), {"scale_parameter": False, "relative_step": False}, "adamw"),
        (named("MuonWithAuxAdam"), {"use_muon": True}, "muon"),
        (named("SingleDeviceMuonWithAuxAdam"), {"use_muon": False}, "adamw"),
        (named("Dion"), {"algorithm": "lion"}, "lion"),
        (named("Dion"), {"algorithm": "dion"}, "muon"),
        (named("Mine", acts_as="sgd"), {}, "sgd"),
    ],
)
def test_what_a_class_acts_as(optimizer, group, expected: str) -> None:
    assert acting_as(optimizer, group).name == expected


@pytest.mark.parametrize(
    ("optimizer", "group", "says"),
    [
        (named("LAMB"), {}, "LAMB is not supported: its step is LR x the size of the weight"),
        (named("FusedLAMB"), {}, "not supported"),
        (named("SOAP"), {}, "preconditioned step"),
        (named("DistributedShampoo"), {}, "preconditioned step"),
        (named("Prodigy"), {}, "estimates the LR by itself"),
        (named("Adafactor"), {"scale_parameter": True, "relative_step": False}, "scale_parameter=False"),
        (named("Adafactor"), {}, "scale_parameter=False"),
        (named("Sophia"), {}, 'Sophia is not known; say what it acts as: optimizer.acts_as = "adamw"'),
        (named("Mine", acts_as="adamx"), {}, "acts_as must be one of adamw, adam"),
        (named("Dion"), {"algorithm": "galore"}, "algorithm 'galore' is not known"),
    ],
)
def test_what_is_refused(optimizer, group, says: str) -> None:
    found = acting_as(optimizer, group)
    assert found.name is None
    assert says in found.why
    assert "\n" not in found.why


def test_a_subclass_is_what_it_derives_from() -> None:
    class Ours(torch.optim.AdamW):
        pass

    assert acting_as(Ours([nn.Parameter(torch.ones(1))]), {}).name == "adamw"


@pytest.mark.parametrize(
    ("optimizer", "group", "expected"),
    [
        (named("Muon", defaults={"adjust_lr_fn": None}), {"adjust_lr_fn": None}, "original"),
        (
            named("Muon", defaults={"adjust_lr_fn": None}),
            {"adjust_lr_fn": "match_rms_adamw"},
            "match_rms_adamw",
        ),
        (named("Muon", defaults={"adjust_lr": ""}), {"adjust_lr": "rms_norm"}, "match_rms_adamw"),
        (named("Muon", defaults={"adjust_lr": ""}), {"adjust_lr": "spectral_norm"}, "original"),
        (named("Muon", adjust_lr_fn=None, adjust_lr=lambda self: 0), {}, "match_rms_adamw"),
        (named("Muon", scale_mode="spectral"), {}, "match_rms_adamw"),
        (named("MuonWithAuxAdam", defaults={}), {"adjust_lr_fn": "match_rms_adamw"}, "original"),
    ],
)
def test_how_long_muon_s_update_is(optimizer, group, expected: str) -> None:
    assert acting_as(optimizer, group).adjust == expected


def test_moonlight_keeps_use_muon_in_its_state() -> None:
    a, b = object(), object()
    optimizer = named("Muon", state={a: {"use_muon": True}, b: {"use_muon": False}})
    assert [acting_as(optimizer, {}, p).name for p in (a, b)] == ["muon", "adamw"]


class MuonWithAuxAdam(torch.optim.Optimizer):
    """Keller Jordan's checks of a group's keys, without its step."""

    def __init__(self, groups) -> None:
        for group in groups:
            if group["use_muon"]:
                group["momentum"] = 0.95
                assert set(group) == {"params", "lr", "momentum", "weight_decay", "use_muon"}
            else:
                group["betas"] = (0.9, 0.95)
                assert set(group) == {"params", "lr", "betas", "eps", "weight_decay", "use_muon"}
        super().__init__(groups, {})


def test_one_class_of_muon_and_adam() -> None:
    model, scaling = scaled("mup")
    scaling.init_(model)
    groups = scaling.one_optimizer_groups(model, lr=0.02, others_lr=1e-3, weight_decay=0.1)
    assert scaling.verify(model, MuonWithAuxAdam(groups)).tensors == len(list(model.parameters()))
    groups[-1]["use_muon"] = True
    with pytest.raises(VerifyError, match="optimizer"):
        scaling.verify(model, SimpleNamespace(param_groups=groups, **{"acts_as": "muon"}))
    with pytest.raises(RuleError, match="style must be one of use_muon, algorithm"):
        scaling.one_optimizer_groups(model, lr=1, others_lr=1, style="x")  # type: ignore[arg-type]


def test_dion_s_words() -> None:
    model, scaling = scaled("mup")
    groups = scaling.one_optimizer_groups(model, lr=0.02, others_lr=1e-3, style="algorithm")
    assert {group["algorithm"] for group in groups} == {"muon", "adamw"}
    assert all(("epsilon" in group) == (group["algorithm"] == "adamw") for group in groups)


@pytest.mark.parametrize("groups_adjust", ["original", "match_rms_adamw"])
def test_groups_carry_the_length_of_muon_s_update(groups_adjust: str) -> None:
    model, scaling = scaled("mup")
    scaling.init_(model)
    adam = torch.optim.AdamW(scaling.param_groups(model, lr=1e-3, matrices=False))
    groups = scaling.muon_groups(model, lr=0.02, adjust=groups_adjust)
    muon = torch.optim.Muon(groups, adjust_lr_fn="original")
    assert {group["adjust_lr_fn"] for group in muon.param_groups} == {groups_adjust}
    scaling.verify(model, [muon, adam])
    other = {"original": "match_rms_adamw", "match_rms_adamw": "original"}[groups_adjust]
    muon.param_groups[0]["adjust_lr_fn"] = other
    with pytest.raises(VerifyError, match="adjust_lr_fn"):
        scaling.verify(model, [muon, adam])


def test_beside_muon_eta_is_in_mup_coordinates() -> None:
    model, scaling = scaled("mup")  # in SP coordinates by itself
    scaling.muon_groups(model, lr=0.02)
    lrs = settings(scaling.param_groups(model, lr=1e-3, matrices=False), "lr")
    assert lrs["tokens.weight"] == pytest.approx(1e-3)
    assert lrs["readout.weight"] == pytest.approx(1e-3 / 4)


def test_decay_of_muon() -> None:
    model, scaling = scaled("mup")
    for decay, factor in (("coupled", 1), ("mup", 2), ("independent", 1 / 0.01)):
        groups = scaling.muon_groups(model, lr=0.02, weight_decay=0.1, decay=decay, adjust="match_rms_adamw")
        (found,) = set(settings(groups, "weight_decay").values())
        assert found == pytest.approx(0.1 * factor)


class Experts(nn.Module):
    def __init__(self, n: int) -> None:
        super().__init__()
        self.up = nn.Parameter(torch.randn(4, 2 * n, n))


def test_stacks_of_experts() -> None:
    def build(n: int) -> nn.Module:
        return nn.Sequential(nn.Linear(8, n), nn.Linear(n, n), Experts(n), nn.Linear(n, 10))

    model = build(64)
    scaling = hpt.parametrize(model, base=build(16))
    assert "2.up" not in settings(scaling.muon_groups(model, lr=0.02), "lr")
    assert "2.up" in settings(scaling.param_groups(model, lr=1e-3, matrices=False), "lr")
    muon = scaling.muon_groups(model, lr=0.02, stacks=["2.up"])
    rest = scaling.param_groups(model, lr=1e-3, matrices=False)
    assert "2.up" in settings(muon, "lr")
    assert "2.up" not in settings(rest, "lr")


def test_adam_is_not_adamw_where_something_decays() -> None:
    model, scaling = scaled("mup")
    scaling.apply_(model)
    groups = scaling.param_groups(model, lr=1e-3, weight_decay=0.1, decay="mup")
    with pytest.raises(VerifyError, match=r"optimizer +adamw +adam\n"):
        scaling.verify(model, torch.optim.Adam(groups))
    groups = scaling.param_groups(model, lr=1e-3, weight_decay=0.1, decay="mup")  # Adam has marked the others
    scaling.verify(model, torch.optim.Adam(groups, decoupled_weight_decay=True))
    scaling.verify(model, torch.optim.Adam(scaling.param_groups(model, lr=1e-3)))


def test_refused_where_it_is_live() -> None:
    class LAMB(torch.optim.Optimizer):
        pass

    model, scaling = scaled("mup")
    scaling.apply_(model)
    with pytest.raises(VerifyError, match="LAMB is not supported"):
        scaling.verify(model, LAMB(scaling.param_groups(model, lr=1e-3), {}))


def test_adafactor_of_transformers() -> None:
    transformers = pytest.importorskip("transformers")
    model, scaling = scaled("mup")
    scaling.init_(model)
    groups = scaling.param_groups(model, lr=1e-3, eps=None)
    optimizer = transformers.Adafactor(groups, scale_parameter=False, relative_step=False)
    loss_of(model, batch(0)).backward()
    optimizer.step()
    scaling.verify(model, optimizer)
