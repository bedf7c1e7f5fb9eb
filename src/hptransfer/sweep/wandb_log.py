"""The log that W&B writes of a run, `run-*.wandb`: all there is of an offline run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from hptransfer.errors import MissingExtraError
from hptransfer.sweep.runs import LoggedRun, curves_of

FILE_HEAD, RECORD_HEAD, BLOCK = 7, 7, 32_768  # bytes; a log of LevelDB's format
WHOLE, FIRST, MIDDLE, LAST = 1, 2, 3, 4  # kinds of a record's parts


def read_wandb(path: Path, run: LoggedRun) -> None:
    """Adds the settings and the curves in a W&B log to a run.

    Raises:
        MissingExtraError: where wandb, which knows what its records hold, is not installed.
    """
    try:
        record_type: Any = import_module("wandb.proto.wandb_internal_pb2").Record
    except ImportError:
        raise MissingExtraError("log", f"reading {path.name}") from None
    rows: list[dict[str, Any]] = []
    for data in _records(path.read_bytes()):
        record = record_type.FromString(data)
        kind = record.WhichOneof("record_type")
        if kind == "run":
            run.values |= {"name": record.run.display_name, "group": record.run.run_group}
            run.values |= _items(record.run.config.update)
        elif kind == "config":
            run.values |= _items(record.config.update)
        elif kind == "history":
            rows.append(_items(record.history.item))
        elif kind == "summary":
            run.values |= _items(record.summary.update)
        elif kind == "exit":
            run.values["state"] = "crashed" if record.exit.exit_code else "finished"
    run.curves |= curves_of(rows)


def _records(content: bytes) -> Iterator[bytes]:
    """The whole records of a log; a run that was killed leaves part of one at its end."""
    place, parts = FILE_HEAD, b""
    while place + RECORD_HEAD <= len(content):
        if (left := BLOCK - place % BLOCK) < RECORD_HEAD:
            place += left
            continue
        length, kind = int.from_bytes(content[place + 4 : place + 6], "little"), content[place + 6]
        part = content[place + RECORD_HEAD : place + RECORD_HEAD + length]
        place += RECORD_HEAD + length
        if len(part) < length or kind not in (WHOLE, FIRST, MIDDLE, LAST):
            return
        parts = part if kind in (WHOLE, FIRST) else parts + part
        if kind in (WHOLE, LAST):
            yield parts


def _items(items: Any) -> dict[str, Any]:
    """Keys and values of a record, without W&B's own."""
    found = {}
    for item in items:
        key = item.key or ".".join(item.nested_key)
        if key and not key.startswith("_"):
            found[key] = json.loads(item.value_json)
    return found
