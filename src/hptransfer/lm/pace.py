"""How long a training step takes on this machine."""

from __future__ import annotations

import statistics
import time
from itertools import pairwise

import torch

from hptransfer.lm.train import train_stack
from hptransfer.runs.config import RunSpec


def seconds_per_step(run: RunSpec) -> float:
    """Median time of a run's steps after the first, trained here: alone, eager, on one thread."""
    times: list[float] = []
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as a local worker has
    try:
        train_stack([run], compiled=False, on_step=lambda *_: times.append(time.perf_counter()))
    finally:
        torch.set_num_threads(threads)
    return statistics.median(after - before for before, after in pairwise(times))
