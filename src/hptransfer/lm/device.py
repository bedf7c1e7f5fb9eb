"""Devices: which one trains, how many members fit, what happens where they do not."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, TypeVar

import torch
from torch.utils._pytree import tree_map

from hptransfer.errors import ExecutorError
from hptransfer.runs.config import ModelConfig, RunSpec
from hptransfer.runs.decoder_tensors import parameter_count
from hptransfer.runs.train_config import TrainConfig

T = TypeVar("T")
R = TypeVar("R")
SHARE = 0.8  # of the free memory that a stack is sized to; the rest is the compiler's and the allocator's
_COPIES = 6  # of a member's weights: themselves, two moments, gradient, and the next weights and moment
KINDS = ("cpu", "cuda", "mps")


def chosen_device(name: str | None = None, dtype: str = "float32") -> str:
    """The device that trains: the one named, or HPTRANSFER_DEVICE, or CUDA, or MPS, or the CPU.

    Args:
        name: cpu, cuda, cuda:1, mps; None or auto: the best there is.
        dtype: of the runs; MPS has no float64.

    Raises:
        ExecutorError: there is no such device here.
    """
    name = name or os.environ.get("HPTRANSFER_DEVICE") or "auto"
    found = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if dtype == "float64":
        found["mps"] = False
    if name == "auto":
        return next(kind for kind in ("cuda", "mps", "cpu") if found[kind])
    if not found.get(name.partition(":")[0]):
        valid = ", ".join(kind for kind in KINDS if found[kind])
        raise ExecutorError(f"the device must be one that is here, but got {name!r}; valid: {valid}")
    return name


def move(tree: T, device: str) -> T:
    """A nested tuple or dict of tensors, on the device."""
    moved: T = tree_map(lambda x: x.to(device) if isinstance(x, torch.Tensor) else x, tree)
    return moved


def member_bytes(model: ModelConfig, train: TrainConfig) -> int:
    """Memory of one member in training, roughly, bytes: weights, moments, and what backward is to read.

    Activations counted a token: in each block the inputs of norms, matrices and attention (8 widths and
    the MLP's hidden dimension three times) and attention's weights (heads x context, twice); logits and their
    gradient three times.
    """
    size = 8 if train.dtype == "float64" else 4
    tokens = train.batch_size // train.accumulation * model.context
    block = 8 * model.width + 3 * model.hidden + 2 * model.query_heads * model.context
    return size * (_COPIES * parameter_count(model) + tokens * (model.depth * block + 3 * model.vocab))


def free_bytes(device: str) -> float:
    """Free memory of the device, bytes; infinite on the CPU, where the planner's cap holds."""
    if not device.startswith("cuda"):
        return math.inf
    free, _ = torch.cuda.mem_get_info(device)
    return float(free)


def fitting(runs: Sequence[RunSpec], free: float) -> list[Sequence[RunSpec]]:
    """The runs in as few equal stacks as the free memory allows; at least one run each."""
    most = max(1, int(min(SHARE * free / member_bytes(runs[0].model, runs[0].train), len(runs))))
    count = math.ceil(len(runs) / most)
    cuts = [len(runs) * i // count for i in range(count + 1)]
    return [runs[a:b] for a, b in pairwise(cuts)]


def halving(train: Callable[[Sequence[T]], list[R]], members: Sequence[T]) -> list[R]:
    """What training gives of the members, in order; out of memory halves the stack and goes on.

    Args:
        train: of a stack.
        members: of the stack.

    Raises:
        torch.OutOfMemoryError: one member alone does not fit.
    """
    try:
        return train(members)
    except torch.OutOfMemoryError:
        if len(members) == 1:
            raise
    # Outside the except clause, whose traceback would hold on to what is to be freed.
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    middle = len(members) // 2
    return halving(train, members[:middle]) + halving(train, members[middle:])


def static(state: Any, device: str) -> None:
    """Say that a state's tensors stay where they are: a CUDA graph may then write to them."""
    if device.startswith("cuda"):
        tree_map(torch._dynamo.mark_static_address, state)
