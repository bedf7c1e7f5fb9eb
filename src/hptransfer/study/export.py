"""The runs of finished or running studies as tables, one study or several together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hptransfer.errors import HPTransferError, MissingExtraError, StoreError
from hptransfer.study.runs_table import RUN_COLUMNS, Line, as_rows, csv_bytes, lines, sweep_table
from hptransfer.study.spec import StudySpec, parse_study
from hptransfer.study.store import STORE_FILE, Store
from hptransfer.sweep.table import Source, SweepTable

FORMATS = (".csv", ".parquet")


@dataclass(frozen=True)
class StudyListing:
    """One study in a list.

    Attributes:
        folder: that holds it.
        name: of the study.
        done, diverged, failed: runs, by what became of them.
        flops: of all finished runs.
        last: start of the latest session, ISO 8601, UTC; None where there was none.
        trouble: why it cannot be read, else None.
    """

    folder: Path
    name: str
    done: int = 0
    diverged: int = 0
    failed: int = 0
    flops: float = 0.0
    last: str | None = None
    trouble: str | None = None


def studies(root: Path) -> list[StudyListing]:
    """Every study in a folder or below it, by path; one that cannot be read says why.

    Raises:
        StoreError: there is no such folder.
    """
    if not root.is_dir():
        raise StoreError(f"studies must lie in a folder, but {root} is not a folder")
    return [_listing(path.parent) for path in sorted(root.rglob(STORE_FILE))]


def _listing(folder: Path) -> StudyListing:
    try:
        spec, found, sessions = _read_study(folder)
    except HPTransferError as error:
        return StudyListing(folder, folder.name, trouble=str(error))
    rows = as_rows(found)
    status = [row["status"] for row in rows]
    return StudyListing(
        folder=folder,
        name=spec.name,
        done=status.count("done"),
        diverged=status.count("diverged"),
        failed=status.count("failed"),
        flops=sum(float(row["flops"] or 0.0) for row in rows if row["status"] != "failed"),
        last=str(sessions[-1]["started"]) if sessions else None,
    )


def _read_study(folder: Path) -> tuple[StudySpec, list[Line], list[dict[str, Any]]]:
    with Store(folder, read_only=True) as store:
        spec = parse_study(store.spec(), where=f"the spec in {store.path}")
        return spec, lines(store, spec.variants_with_decay()), store.sessions()


def rows_of(folders: Sequence[Path]) -> list[dict[str, Any]]:
    """The rows of several studies under each other, with the study's folder name in front."""
    out: list[dict[str, Any]] = []
    for folder in folders:
        out += [{"study": folder.resolve().name, **row} for row in as_rows(_read_study(folder)[1])]
    return out


def export(folders: Sequence[Path], path: Path) -> int:
    """Write the runs of one or several studies as one table.

    Args:
        folders: of the studies. With several, a column `study` comes first.
        path: `.csv` or `.parquet`.

    Returns:
        Rows written.

    Raises:
        StoreError: a study cannot be read; MissingExtraError: Parquet without pyarrow.
        HPTransferError: the file's ending is unknown, or it cannot be written.
    """
    if path.suffix not in FORMATS:
        raise HPTransferError(f"a table must end in {' or '.join(FORMATS)}, but got {path}")
    several = len(folders) > 1
    found = [] if several else _read_study(folders[0])[1]
    rows: list[Any] = rows_of(folders) if several else as_rows(found)
    try:
        if path.suffix == ".csv" and not several:
            path.write_bytes(csv_bytes(found))
        else:
            _frame(rows, several, path)
    except OSError as error:
        raise HPTransferError(f"a table must go to a writable file, but {path}: {error.strerror}") from None
    return len(rows)


def _frame(rows: Sequence[Mapping[str, Any]], several: bool, path: Path) -> None:
    import pandas as pd

    frame = pd.DataFrame(rows, columns=[*(["study"] if several else []), *RUN_COLUMNS])
    if path.suffix == ".csv":
        frame.to_csv(path, index=False)
        return
    try:
        frame.to_parquet(path, index=False)
    except ImportError:
        raise MissingExtraError("parquet", "writing Parquet") from None


def combined_sweep(folders: Sequence[Path]) -> SweepTable:
    """Several studies as one sweep table, its variants named `STUDY: VARIANT`.

    Raises:
        StoreError: a study cannot be read, or two have one name; SweepError: no run is finished.
    """
    names = [folder.resolve().name for folder in folders]
    if twice := [name for name in names if names.count(name) > 1]:
        raise StoreError(f"studies that are compared must have different names, but two are {twice[0]!r}")
    found: list[Line] = []
    optimizers: dict[str, str] = {}
    for folder, name in zip(folders, names, strict=True):
        spec, rows, _ = _read_study(folder)
        found += [(f"{name}: {variant}", *rest) for variant, *rest in rows]
        optimizers |= {f"{name}: {variant}": spec.optimizer for variant in spec.variants_with_decay()}
    return sweep_table(found, Source(path=", ".join(str(folder) for folder in folders)), optimizers)
