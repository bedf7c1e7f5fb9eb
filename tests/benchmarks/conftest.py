"""The benchmarks' own modules: they are scripts beside the package and import each other by name."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="session")
def benchmark_module() -> Iterator[Callable[[str], ModuleType]]:
    """Imports a script of `benchmarks` or `benchmarks/corpus` by its name."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS / "corpus"))
        patch.syspath_prepend(str(BENCHMARKS))
        yield importlib.import_module
