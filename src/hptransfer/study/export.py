"""The runs of finished or running studies as tables, one study or several together."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hptransfer.errors import HPTransferError, MissingExtraError, StoreError
from hptransfer.files import write_whole
from hptransfer.parametrization.coordinates import Coordinates
from hptransfer.study.runs_table import RUN_COLUMNS, Line, RunsTable, coordinates_of, sweep_table
from hptransfer.study.spec import StudySpec
from hptransfer.study.store import STORE_FILE, Store
from hptransfer.sweep.table import Source, SweepTable

FORMATS = (".csv", ".json", ".parquet")


@dataclass(frozen=True)
class StudyListing:
    """One study in a list."""

    folder: Path  # that holds it
    name: str  # of the study
    done: int = 0  # runs, by what became of them
    diverged: int = 0
    failed: int = 0
    flops: float = 0.0  # of all finished runs
    last: str | None = None  # start of the latest session, ISO 8601, UTC; None where there was none
    trouble: str | None = None  # why it cannot be read, else None


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
        with Store(folder, read_only=True) as store:
            spec, sessions = store.spec(), store.sessions()
            rows = RunsTable.of(store, spec).rows
    except HPTransferError as error:
        return StudyListing(folder, folder.name, trouble=str(error))
    counts = Counter(str(row["status"]) for row in rows)
    return StudyListing(
        folder=folder,
        name=spec.name,
        done=counts["done"],
        diverged=counts["diverged"],
        failed=counts["failed"],
        flops=sum(float(row["flops"] or 0.0) for row in rows if row["status"] != "failed"),
        last=str(sessions[-1]["started"]) if sessions else None,
    )


def _read_study(folder: Path) -> tuple[StudySpec, RunsTable]:
    with Store(folder, read_only=True) as store:
        spec = store.spec()
        return spec, RunsTable.of(store, spec)


def export(folders: Sequence[Path], path: Path) -> int:
    """Write the runs of one or several studies as one table: `.csv`, `.json` (records) or `.parquet`.

    With several studies, a column `study` comes first.

    Returns:
        Rows written.

    Raises:
        StoreError: a study cannot be read; MissingExtraError: Parquet without pyarrow.
        HPTransferError: the file's ending is unknown, or it cannot be written.
    """
    if path.suffix not in FORMATS:
        raise HPTransferError(
            f"a table must end in {', '.join(FORMATS[:-1])} or {FORMATS[-1]}, but got {path}"
        )
    tables = [(folder.resolve().name, _read_study(folder)[1]) for folder in folders]
    several = len(folders) > 1
    try:
        if path.suffix == ".csv" and not several:
            write_whole(path, tables[0][1].content)
        else:
            _write_frame(tables, several, path)
    except OSError as error:
        raise HPTransferError(f"a table must go to a writable file, but {path}: {error.strerror}") from None
    return sum(len(table.lines) for _, table in tables)


def _write_frame(tables: Sequence[tuple[str, RunsTable]], several: bool, path: Path) -> None:
    import pandas as pd

    lines = [(name, *line) for name, table in tables for line in table.lines]
    frame = pd.DataFrame(lines, columns=["study", *RUN_COLUMNS])
    frame = frame if several else frame.drop(columns="study")
    if path.suffix == ".csv":
        write_whole(path, frame.to_csv(index=False).encode())
        return
    if path.suffix == ".json":
        plain = [{k: None if v != v else v for k, v in row.items()} for row in frame.to_dict("records")]
        write_whole(path, (json.dumps(plain, indent=1, allow_nan=False) + "\n").encode())
        return
    try:
        content = frame.to_parquet(None, index=False)
    except ImportError:
        raise MissingExtraError("parquet", "writing Parquet") from None
    write_whole(path, content)


def combined_sweep(folders: Sequence[Path]) -> SweepTable:
    """One or several studies as one sweep table; of several, its variants are named `STUDY: VARIANT`.

    Raises:
        StoreError: a study cannot be read, or two have one name; SweepError: no run is finished.
    """
    names = [folder.resolve().name for folder in folders]
    if twice := [name for name in names if names.count(name) > 1]:
        raise StoreError(f"studies that are compared must have different names, but two are {twice[0]!r}")
    found: list[Line] = []
    optimizers: dict[str, str] = {}
    own: dict[str, Coordinates] = {}
    axes: set[tuple[str, ...]] = set()
    for folder, name in zip(folders, names, strict=True):
        spec, table = _read_study(folder)
        of = f"{name}: " if len(folders) > 1 else ""
        found += [(f"{of}{variant}", *rest) for variant, *rest in table.lines]
        optimizers |= {f"{of}{variant}": value for variant, value in spec.optimizers().items()}
        axes.add(spec.axes)
        own |= {f"{of}{variant}": value for variant, value in coordinates_of(spec).items()}
    if len(axes) > 1:
        raise StoreError("studies that are compared must be over the same axes of scale, but these are not")
    source = Source(path=", ".join(str(folder) for folder in folders))
    return sweep_table(found, source, optimizers, own, axes=axes.pop())
