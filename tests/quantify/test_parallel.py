"""Variants dealt out to processes: the same numbers as one process gives, whatever happens to the others."""

import numpy as np
import pytest
from known_sweeps import join, make

from hptransfer.fit import quantify
from hptransfer.quantify import parallel
from hptransfer.sweep.table import SweepTable

WIDTHS = (64.0, 128.0, 256.0)
GRID = np.arange(-11.0, -6.0)


@pytest.fixture(scope="module")
def many() -> SweepTable:
    """More variants than noise is shared by, in two chunks and a bit."""
    return join(*(make(variant=f"v{i}", widths=WIDTHS, grid=GRID, noise=0.004, seed=i) for i in range(130)))


def test_processes_give_the_numbers_of_one(many: SweepTable, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = quantify(many, draws=100, targets=(512.0,))
    monkeypatch.setattr(parallel, "ALONE", 64)
    monkeypatch.setattr(parallel.os, "cpu_count", lambda: 2)
    started = []
    popen = parallel.subprocess.Popen
    monkeypatch.setattr(parallel.subprocess, "Popen", lambda *a, **k: started.append(a) or popen(*a, **k))
    dealt = quantify(many, draws=100, targets=(512.0,))
    assert len(started) == 2
    assert list(dealt.variants) == list(alone.variants)
    for name, fit in alone.variants.items():
        other = dealt.variants[name]
        assert (other.metrics, other.predictions, other.verdict) == (
            fit.metrics,
            fit.predictions,
            fit.verdict,
        )


def test_one_process_does_it_all_where_others_cannot_be_had(
    many: SweepTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = SweepTable(*(getattr(many, c)[: 40 * 15] for c in ("variant", "scale", "hp", "seed", "loss")))
    monkeypatch.setattr(parallel, "ALONE", 16)
    monkeypatch.setattr(parallel.os, "cpu_count", lambda: 2)
    monkeypatch.setattr(parallel, "SERVE", "raise SystemExit(1)")
    assert len(quantify(few, draws=100, holdout=0).variants) == 40
