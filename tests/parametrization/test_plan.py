"""A model's plan: whose it is, and that it outlives the model."""

import copy
import math
import pickle

import pytest
import torch
from small_models import BASE, WIDTH, Transformer, build, scaled, stds
from torch import nn

import hptransfer as hpt
from hptransfer.errors import RuleError


def test_another_model_is_refused() -> None:
    model, scaling = scaled()
    with pytest.raises(RuleError, match=r"but tokens.weight is \(11, 32\), not \(11, 64\)"):
        scaling.init_(build(32))
    with pytest.raises(RuleError, match=r"blocks.2.norm1.weight was not in the one"):
        scaling.param_groups(build(WIDTH, depth=3), lr=1.0)
    del model.readout
    with pytest.raises(RuleError, match=r"readout\.weight is not in the model given"):
        scaling.init_(model)


def test_a_scaling_and_a_scaled_model_can_be_copied_and_pickled() -> None:
    model, scaling = scaled("mup-tp5-table9")
    scaling.init_(model)
    groups = scaling.param_groups(model, lr=0.01)
    for again in (copy.deepcopy, lambda thing: pickle.loads(pickle.dumps(thing))):
        twin, same = again(model), again(scaling)
        assert same.rule == scaling.rule
        assert [g["lr"] for g in same.param_groups(twin, lr=0.01)] == [g["lr"] for g in groups]
        same.verify(twin, torch.optim.AdamW(same.param_groups(twin, lr=0.01)))


def test_the_table_is_in_units_of_the_base() -> None:
    _, scaling = scaled("mup-tp5-table8")
    base = stds(build(BASE, seed=1))
    rows = {row.tensor: row for row in scaling.table()}
    assert list(rows) == [plan.name for plan in scaling.tensors]
    hidden, readout = rows["blocks.0.up.weight"], rows["readout.weight"]
    assert (hidden.role, hidden.shape) == ("hidden", (2 * WIDTH, WIDTH))
    assert hidden.init_std == pytest.approx(base["blocks.0.up.weight"] / 2)  # x m^-1/2, m = 4
    assert readout.init_std == pytest.approx(base["readout.weight"])
    assert (hidden.multiplier, hidden.lr, hidden.eps) == (1, 1 / 4, 1)
    assert (readout.multiplier, readout.lr) == (1 / 4, 1)
    assert (hidden.weight_decay, rows["norm.weight"].weight_decay) == (1, 0)
    assert rows["norm.weight"].init_std == 0  # gains are ones


def test_the_init_of_a_base_without_weights_is_not_known() -> None:
    with torch.device("meta"):
        scaling = hpt.parametrize(Transformer(WIDTH), base=Transformer(BASE))
    assert all(math.isnan(row.init_std) for row in scaling.table())


def test_muon_takes_hidden_tensors_of_two_dimensions() -> None:
    def make(width: int) -> nn.Module:
        return nn.ModuleDict({"conv": nn.Conv1d(width, width, 3), "mix": nn.Linear(width, width)})

    scaling = hpt.parametrize(make(8), base=make(4))
    assert [plan.name for plan in scaling.tensors if plan.is_matrix] == ["mix.weight"]


def test_a_ramp_acts_on_its_role_alone_by_the_tensor_s_own_ratio() -> None:
    rule = hpt.rule_from({"like": "sp+embd", "name": "falling", "ramps": {"embedding": {"exponent": -1}}})
    _, scaling = scaled(rule)
    assert [scaling.ramp("tokens.weight", share) for share in (0, 0.5, 1)] == [1, 1 / 2, 1 / 4]
    assert scaling.ramp("readout.weight", 1.0) == 1
    assert scaled("sp")[1].ramp("tokens.weight", 1.0) == 1


def test_its_text_names_the_rule_and_what_was_found() -> None:
    _, scaling = scaled("mup-tp5-table8")
    assert repr(scaling) == (
        "Scaling(mup-tp5-table8, mup coordinates, adam; m = 4, depth x 1; 2 embedding, 16 vector, 8 hidden, "
        "1 readout; 1 forward multiplier, 2 attention scales)"
    )
