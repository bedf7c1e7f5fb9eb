"""A model's plan: whose it is, and that it outlives the model."""

import copy
import pickle

import pytest
import torch
from small_models import WIDTH, build, scaled

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
