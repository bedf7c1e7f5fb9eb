"""Devices: which one trains, how many runs fit, what happens where they do not."""

from __future__ import annotations

import gc
import math
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Any, TypeVar, cast

import torch
from torch.utils._pytree import tree_map

from hptransfer.errors import ExecutorError
from hptransfer.runs.config import ModelConfig, RunSpec
from hptransfer.runs.decoder_tensors import parameter_count
from hptransfer.runs.train_config import TrainConfig

T = TypeVar("T")
R = TypeVar("R")
SHARE = 0.8  # of the free memory that a stack is sized to; the rest is the compiler's and the allocator's
# Activations of the runs that a compiled step trains at once on a CPU, bytes. Measured with a process on
# each of two cores, widths 64 to 512, in processor time a run: in float32 one run at a time is quickest
# (stacks of 4 take 1.3 times as long at width 64); with bfloat16 products, which are quick where they are
# large, two at widths 128 and 256 (one takes 1.3 and 1.1 times as long, four 1.05 at 128).
CACHE_BYTES = 10e6
CACHE_BYTES_BFLOAT16 = 40e6
_COPIES = 6  # of a run's weights: themselves, two moments, gradient, and the next weights and moment
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
        raise ExecutorError(f"the device must be available, but got {name!r}; valid: {valid}")
    return name


def device_facts(device: str) -> dict[str, str | bool]:
    """What a record says of its accelerator beside `device`; nothing of a CPU, which the session names."""
    if not device.startswith("cuda"):
        return {}
    deterministic = torch.are_deterministic_algorithms_enabled()
    return {"device_name": torch.cuda.get_device_name(device), "deterministic": deterministic}


def move(tree: T, device: str) -> T:
    """A nested tuple or dict of tensors, on the device."""
    moved: T = tree_map(lambda x: x.to(device) if isinstance(x, torch.Tensor) else x, tree)
    return moved


def run_bytes(model: ModelConfig, train: TrainConfig) -> int:
    """Memory of one run in training, roughly, bytes: weights, moments, and what backward is to read.

    Activations counted a token: in each block the inputs of norms, matrices and attention (8 widths and
    the MLP's hidden dimension three times) and attention's weights (heads x context, twice); logits and their
    gradient three times.
    """
    return _number_bytes(train) * _COPIES * parameter_count(model) + activation_bytes(model, train)


def activation_bytes(model: ModelConfig, train: TrainConfig) -> int:
    """Of `run_bytes`, what grows with the tokens of a step, bytes."""
    tokens = train.batch_size // train.accumulation * model.context
    block = 8 * model.width + 3 * model.hidden + 2 * model.query_heads * model.context
    return _number_bytes(train) * tokens * (model.depth * block + 3 * model.vocab)


def _number_bytes(train: TrainConfig) -> int:
    return 8 if train.dtype == "float64" else 4


def free_bytes(device: str) -> float:
    """Free memory of the device, bytes; infinite on the CPU, where the planner's cap holds.

    What the allocator holds of it without using it counts as free.
    """
    if not device.startswith("cuda"):
        return math.inf
    free, _ = torch.cuda.mem_get_info(device)
    return float(free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device))


def cache_sized(runs: Sequence[RunSpec]) -> list[Sequence[RunSpec]]:
    """The runs in equal stacks of about as many as a CPU's caches hold while they train compiled.

    All stacks are of one size, so that one compiled step serves them: the divisor of the number of runs that
    is closest, by ratio, to the cache's bytes over those of a run's activations.
    """
    model, train = runs[0].model, runs[0].train
    fits = (CACHE_BYTES_BFLOAT16 if train.autocast else CACHE_BYTES) / activation_bytes(model, train)
    count = len(runs)
    sizes = [size for size in range(1, count + 1) if count % size == 0]
    size = min(sizes, key=lambda size: abs(math.log(size / fits)))
    return [runs[i : i + size] for i in range(0, count, size)]


def release_memory() -> None:
    """Give back what CUDA graphs of earlier stacks hold, which no other stack can use; they compile again."""
    gc.collect()
    torch._dynamo.reset()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def reproducibly(train: Callable[[], R], device: str) -> R:
    """What training gives with `reproducible` kernels; where one is missing, with any, and a warning."""
    try:
        with reproducible(device):
            return train()
    except RuntimeError as error:
        if "deterministic" not in str(error):
            raise
        cause = " ".join(str(error).split())
    warnings.warn(f"training on {device} cannot be repeated bit for bit: {cause:.200}", stacklevel=2)
    return train()


@contextmanager
def reproducible(device: str) -> Iterator[None]:
    """On CUDA, kernels whose sums do not depend on the order in which threads arrive; elsewhere all are so.

    Without it a stack that resumes from a checkpoint would not give the same bits as one that ran through.
    """
    if not device.startswith("cuda"):
        yield
        return
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS wants a workspace of its own for it
    before, aids = torch.are_deterministic_algorithms_enabled(), cast(Any, torch.utils.deterministic)
    fill, aids.fill_uninitialized_memory = aids.fill_uninitialized_memory, False  # a debugging aid, slow
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)
        aids.fill_uninitialized_memory = fill


def split_by_memory(runs: Sequence[RunSpec], free: float) -> list[Sequence[RunSpec]]:
    """The runs in as few equal stacks as the free memory allows; at least one run each."""
    most = max(1, int(min(SHARE * free / run_bytes(runs[0].model, runs[0].train), len(runs))))
    count = math.ceil(len(runs) / most)
    cuts = [len(runs) * i // count for i in range(count + 1)]
    return [runs[a:b] for a, b in pairwise(cuts)]


def train_with_oom_split(train: Callable[[Sequence[T]], list[R]], runs: Sequence[T]) -> list[R]:
    """The results of training the runs of a stack, in order; where memory runs out, the stack is halved.

    Raises:
        torch.OutOfMemoryError: one run alone does not fit.
    """
    try:
        return train(runs)
    except torch.OutOfMemoryError:
        if len(runs) == 1:
            raise
    release_memory()  # outside the except clause, whose traceback would hold on to what is to be freed
    middle = len(runs) // 2
    return train_with_oom_split(train, runs[:middle]) + train_with_oom_split(train, runs[middle:])


def mark_static(state: Any, device: str) -> None:
    """Say that a state's tensors stay where they are: a CUDA graph may then write to them."""
    if device.startswith("cuda"):
        tree_map(torch._dynamo.mark_static_address, state)
