"""`hptransfer fit` on folders of studies: the runs in their stores, as `report` takes them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hptransfer.errors import SweepError
from hptransfer.sweep import read
from hptransfer.sweep.table import SweepTable

STORE = "study.sqlite"
_DEFAULTS = {"metric": "nats", "maximize": False}  # of what is read; of the rest: None


def read_or_study(sources: Sequence[str], **how: Any) -> tuple[SweepTable, bool]:
    """The sweep table of sources, and whether it is that of studies (in SP coordinates).

    Where a folder holds a study and something is asked of how it is read, its runs.csv is read.

    Raises:
        SweepError: they cannot be read, or studies and other sources are mixed.
    """
    folders = [Path(name) for name in sources if (Path(name) / STORE).is_file()]
    if not folders:
        return read(sources, **how), False
    if len(folders) < len(sources):
        raise SweepError("folders of studies must be fitted without other sources, but got both")
    if any(value != _DEFAULTS.get(name) for name, value in how.items()):
        return read([str(folder / "runs.csv") for folder in folders], **how), False
    if len(folders) == 1:
        from hptransfer.study.run import load_result

        return load_result(folders[0]).sweep, True
    from hptransfer.study.export import combined_sweep

    return combined_sweep(folders), True
