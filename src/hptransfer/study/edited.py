"""What a start of a study with an edited spec does to what the folder holds of the spec before."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from hptransfer.errors import HPTransferError
from hptransfer.study.spec import StudySpec
from hptransfer.study.store import Store
from hptransfer.words import plural

APART = {
    "workers",
    "executor",
    "cost",
    "name",
    "stack",
    "mix_variants",
    "compile",
}  # decide no run and no result
MOST = 6  # keys that are named


def replaced(store: Store, spec: StudySpec) -> str | None:
    """What a new spec of a study replaces, in a sentence; None where it asks for what the old one did."""
    try:
        before, rows = store.spec(), store.finished()
    except HPTransferError:
        return None  # there was no study, or one whose spec no longer reads
    old, new = (one.model_dump(mode="json", exclude=APART) for one in (before, spec))
    if not rows or not (changed := list(_changed(old, new))):
        return None
    named = ", ".join(changed[:MOST]) + (", ..." if len(changed) > MOST else "")
    runs = plural(rows, "finished run")
    return (
        f"the spec has changed since the last start ({named}): runs.csv, fit.json and report.html in "
        f"{store.path.parent} will be replaced by those of the new one. Its {runs} are kept in the store and "
        "count where the new spec asks for them; another --out keeps both reports"
    )


def _changed(old: Mapping[str, Any], new: Mapping[str, Any], path: str = "") -> Iterator[str]:
    """Keys whose values differ, with dots into sections."""
    for key in sorted(old.keys() | new.keys()):
        one, other = old.get(key), new.get(key)
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            yield from _changed(one, other, f"{path}{key}.")
        elif one != other:
            yield f"{path}{key}"
