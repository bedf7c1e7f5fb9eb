"""GPUs: those of this machine that workers train on, one worker each."""

from __future__ import annotations

import os
from pathlib import Path

_DRIVER = Path("/dev/nvidiactl")  # there where NVIDIA's driver is; saves importing torch where it is not


def gpus() -> tuple[str, ...]:
    """Devices that local workers take in turn, as HPTRANSFER_DEVICE names them; none on a machine without.

    HPTRANSFER_DEVICE decides where it is set: `cpu` for none, `cuda:1` for one, `cuda` or `auto` for all.
    """
    named = os.environ.get("HPTRANSFER_DEVICE") or "auto"
    if named.startswith("cuda:"):
        return (named,)
    if named not in ("auto", "cuda") or not _DRIVER.exists():
        return ()
    try:
        import torch
    except ImportError:  # a user's own code may train without it
        return ()
    return tuple(f"cuda:{number}" for number in range(torch.cuda.device_count()))
