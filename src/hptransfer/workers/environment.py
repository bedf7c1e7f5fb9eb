"""The cores of this machine, and the environment of a worker's process."""

from __future__ import annotations

import os
import sys

# Set before torch is imported. Numbers must not depend on how many cores a machine has, and processes
# of one thread each use cores better than one process of many threads at these sizes.
COMPILE_THREADS = "TORCHINDUCTOR_COMPILE_THREADS"
_THREADS = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    COMPILE_THREADS,
)


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def environment(threads: int, device: str | None = None) -> dict[str, str]:
    """What a worker's process needs besides: its threads, its GPU, and the modules that this process sees.

    Args:
        threads: cores that it uses. A process with a GPU compiles its kernels on all cores.
        device: that it trains on; None: what it finds.
    """
    gpu = {} if device is None else {"HPTRANSFER_DEVICE": device, COMPILE_THREADS: str(cores())}
    return {
        **dict.fromkeys(_THREADS, str(threads)),
        **gpu,
        "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path),
    }
