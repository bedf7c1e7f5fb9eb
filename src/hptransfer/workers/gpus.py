"""GPUs: those of this machine that workers train on, one worker each; found without importing torch."""

from __future__ import annotations

import os
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_DEVICES = Path("/dev")  # where NVIDIA's driver has a file for each of them


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
