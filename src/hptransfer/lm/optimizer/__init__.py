"""Optimizers written for one tensor of one run, so that vmap can lift them over a stack."""

from __future__ import annotations

from hptransfer.lm.optimizer.adam import adam, adamw
from hptransfer.lm.optimizer.lion import lion
from hptransfer.lm.optimizer.muon import muon
from hptransfer.lm.optimizer.scalars import Moments, Scalars, Update
from hptransfer.lm.optimizer.sgd import sgd
from hptransfer.runs.decoder_tensors import TensorLayout
from hptransfer.runs.train_config import TrainConfig

__all__ = ["Moments", "Scalars", "Update", "moment_count", "update_for"]

_UPDATES: dict[str, Update] = {"adamw": adamw, "adam": adam, "sgd": sgd, "lion": lion}
_MOMENTS = {"adamw": 2, "adam": 2, "sgd": 1, "lion": 1, "muon": 1}


def update_for(train: TrainConfig, tensor: TensorLayout) -> Update:
    """The optimizer of a tensor: Muon takes the hidden matrices, and leaves the rest to AdamW."""
    name = _optimizer(train, tensor)
    return muon(train.muon_adjust) if name == "muon" else _UPDATES[name]


def moment_count(train: TrainConfig, tensor: TensorLayout) -> int:
    """How many moments the optimizer of a tensor keeps."""
    return _MOMENTS[_optimizer(train, tensor)]


def _optimizer(train: TrainConfig, tensor: TensorLayout) -> str:
    return "adamw" if train.optimizer == "muon" and tensor.role != "hidden" else train.optimizer
