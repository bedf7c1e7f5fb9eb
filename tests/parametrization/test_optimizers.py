"""The registry of optimizers: one entry each, complete and without contradictions."""

from typing import get_args

import pytest
import torch

from hptransfer.errors import RuleError
from hptransfer.parametrization.optimizers import (
    DECAY_KINDS,
    OPTIMIZERS,
    OptimizerName,
    family,
    get_optimizer,
)


def test_every_name_that_a_spec_may_have_has_an_entry() -> None:
    assert tuple(OPTIMIZERS) == get_args(OptimizerName)


def test_default_momentum() -> None:
    """SGD's usual 0.9, and what Muon's authors and torch have."""
    found = {name: entry.momentum for name, entry in OPTIMIZERS.items() if entry.momentum is not None}
    assert found == {"sgd": 0.9, "muon": 0.95}


def test_tensors_that_each_keeps_beside_a_weight() -> None:
    """Two moments under Adam; one of momentum under SGD, Lion (arXiv:2302.06675) and Muon."""
    found = {name: entry.moments for name, entry in OPTIMIZERS.items()}
    assert found == {"adamw": 2, "adam": 2, "sgd": 1, "lion": 1, "muon": 1}


def test_sgd_alone_is_of_its_family() -> None:
    assert [name for name in OPTIMIZERS if family(name) == "sgd"] == ["sgd"]
    with pytest.raises(RuleError, match="one of adamw, adam, sgd, lion, muon, but got 'lbfgs'"):
        get_optimizer("lbfgs")


def test_adam_alone_has_one_convention_of_decay() -> None:
    kinds = {name: [k for k in DECAY_KINDS if o.takes_decay(k)] for name, o in OPTIMIZERS.items()}
    assert kinds.pop("adam") == ["coupled"]
    assert all(found == list(DECAY_KINDS) for found in kinds.values())


def test_muon_leaves_all_but_hidden_matrices_to_adamw() -> None:
    assert get_optimizer("muon").of_role("hidden").name == "muon"
    assert get_optimizer("muon").of_role("readout").name == "adamw"
    assert get_optimizer("lion").of_role("readout").name == "lion"


@pytest.mark.parametrize("name", ["adamw", "adam", "sgd"])
def test_hyperparameters_moments_and_decay_are_those_of_torch(name: str) -> None:
    entry = get_optimizer(name)
    weight = torch.nn.Parameter(torch.ones(3))
    kind = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam, "sgd": torch.optim.SGD}[name]
    more = {} if entry.momentum is None else {"momentum": entry.momentum}
    optimizer = kind([weight], lr=0.1, weight_decay=0.5, **more)
    assert entry.hyperparameters == optimizer.defaults.keys() & {"betas", "eps", "momentum"}
    assert entry.class_word in kind.__name__.lower()
    weight.grad = torch.zeros(3)
    optimizer.step()
    state = [value for value in optimizer.state[weight].values() if value is not None and value.shape == (3,)]
    assert len(state) == entry.moments
    # With a gradient of zero only decay moves the weight: by LR x lambda, unless Adam normalises it.
    assert bool((state[0] != 0).all()) == entry.decay_in_gradient
