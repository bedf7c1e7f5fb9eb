"""The benchmarks' own modules: they are scripts beside the package and import each other by name."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pandas as pd
import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="session")
def benchmark_module() -> Iterator[Callable[[str], ModuleType]]:
    """Imports a script of `benchmarks` or `benchmarks/corpus` by its name."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS / "corpus"))
        patch.syspath_prepend(str(BENCHMARKS))
        yield importlib.import_module


@pytest.fixture
def papers(
    benchmark_module: Callable[[str], ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[str], ModuleType]]:
    """The modules of `papers` with tables, notes and pages in the test's folder; nothing is remembered."""

    def module(name: str) -> ModuleType:
        return benchmark_module(f"papers.{name}")

    def forget() -> None:
        for name, loaded in list(sys.modules.items()):
            if name.startswith("papers."):
                for item in vars(loaded).values():
                    if hasattr(item, "cache_clear"):
                        item.cache_clear()

    notes = tmp_path / "notes.json"
    monkeypatch.setattr(module("data"), "TABLES", tmp_path)
    monkeypatch.setattr(module("data"), "read_notes", lambda: json.loads(notes.read_text()))
    monkeypatch.setattr(module("page"), "DOCS", tmp_path / "docs")
    forget()
    yield module
    forget()


@pytest.fixture
def put(tmp_path: Path) -> Callable[[dict[str, pd.DataFrame]], None]:
    """Writes tables and their notes where `papers` reads them."""

    def write(tables: dict[str, pd.DataFrame]) -> None:
        spec = {
            "widths": [16, 32, 64, 128],
            "seeds": [0, 1],
            "base_width": 32,
            "model": {},
            "train": {"steps": 100},
        }
        for name, frame in tables.items():
            frame.to_csv(tmp_path / f"{name}.csv.gz", index=False)
        notes = {name: {"spec": spec, "unigram_entropy": 5.0} for name in tables}
        (tmp_path / "notes.json").write_text(json.dumps(notes))

    return write
