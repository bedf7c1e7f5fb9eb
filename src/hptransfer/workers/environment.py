"""The cores of this machine, and the environment of a worker's process."""

from __future__ import annotations

import os
import sys

# Set before torch is imported. Numbers must not depend on how many cores a machine has, and processes
# of one thread each use cores better than one process of many threads at these sizes.
_THREADS = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "TORCHINDUCTOR_COMPILE_THREADS",
)


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def environment(threads: int) -> dict[str, str]:
    """What a worker's process needs besides: so many threads, and the modules that this process sees."""
    return {
        **dict.fromkeys(_THREADS, str(threads)),
        "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path),
    }
