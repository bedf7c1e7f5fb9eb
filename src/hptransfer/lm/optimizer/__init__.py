"""Optimizers written for one tensor of one run, so that vmap can lift them over a stack.

What is to be known of each besides its update stands in `hptransfer.parametrization.optimizers`.
"""

from __future__ import annotations

from hptransfer.lm.optimizer.adam import adam, adamw
from hptransfer.lm.optimizer.lion import lion
from hptransfer.lm.optimizer.muon import muon
from hptransfer.lm.optimizer.scalars import Moments, Scalars, Update
from hptransfer.lm.optimizer.sgd import sgd
from hptransfer.parametrization.optimizers import Optimizer, get_optimizer
from hptransfer.runs.decoder_tensors import TensorLayout
from hptransfer.runs.train_config import TrainConfig

__all__ = ["Moments", "Scalars", "Update", "moment_count", "optimizer_of", "update_for"]

_UPDATES: dict[str, Update] = {"adamw": adamw, "adam": adam, "sgd": sgd, "lion": lion}


def optimizer_of(train: TrainConfig, tensor: TensorLayout) -> Optimizer:
    """The optimizer of a tensor: Muon takes the hidden matrices, and leaves the rest to AdamW."""
    return get_optimizer(train.optimizer).of_role(tensor.role)


def update_for(train: TrainConfig, tensor: TensorLayout) -> Update:
    """The update function of a tensor."""
    name = optimizer_of(train, tensor).name
    return muon(train.muon_adjust) if name == "muon" else _UPDATES[name]


def moment_count(train: TrainConfig, tensor: TensorLayout) -> int:
    """How many moments the optimizer of a tensor keeps."""
    return optimizer_of(train, tensor).moments
