"""The cores and GPUs of this machine, and the environment of a worker's process; without importing torch."""

from __future__ import annotations

import os
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

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
_DEVICES = Path("/dev")  # where NVIDIA's driver has a file for each GPU


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


def gpus() -> tuple[str, ...]:
    """Devices that local workers take in turn, as HPTRANSFER_DEVICE names them; none on a machine without.

    HPTRANSFER_DEVICE decides where it is set: `cpu` for none, `cuda:1` for one, `cuda` or `auto` for all. All
    are those that CUDA_VISIBLE_DEVICES leaves.
    """
    named = os.environ.get("HPTRANSFER_DEVICE") or "auto"
    if named.startswith("cuda:"):
        return (named,)
    if named not in ("auto", "cuda") or not _torch_has_cuda():
        return ()
    count = sum(path.name.removeprefix("nvidia").isdigit() for path in _DEVICES.glob("nvidia*"))
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        count = min(count, sum(name.strip() not in ("", "-1") for name in visible.split(",")))
    return tuple(f"cuda:{number}" for number in range(count))


def _torch_has_cuda() -> bool:
    """Whether the torch that is installed may be a build for CUDA; one for CPUs alone says so."""
    try:
        return not version("torch").endswith("+cpu")
    except PackageNotFoundError:  # a user's own code may train without it
        return False
