"""Where curves of loss go up their cliffs, and the page that reads it: known places."""

from __future__ import annotations

from itertools import product

import numpy as np
import pandas as pd
import pytest


def curves(cliff: float, *, variant: str = "sp", seeds: range = range(4), apart: float = 0.0) -> pd.DataFrame:
    """Runs flat up to `cliff` (log2 of the learning rate), then 2 nats an octave steep; seeds lie `apart`."""
    rows = []
    for width, seed, x in product((64, 128), seeds, np.arange(-6.0, 0.5, 0.5)):
        place = cliff + apart * (seed - np.mean(seeds))
        loss = 4 + max(0.0, 2 * (x - place)) + 0.001 * (x + 6)
        rows.append((variant, width, 2.0**x, seed, x, loss, "done", 0))
    names = ["variant", "width", "lr_mup", "seed", "x", "loss", "status", "spikes"]
    return pd.DataFrame(rows, columns=names)


def test_the_cliff_is_where_the_loss_has_risen(papers):
    cliffs = papers("cliffs")
    places = cliffs.critical(curves(-3.1), 0.5)
    assert list(places.index.names) == ["width", "seed"]
    assert places.to_numpy() == pytest.approx(np.full(8, -2.85), abs=0.01)


def test_a_run_without_a_loss_is_up_the_cliff_and_a_flat_curve_has_none(papers):
    cliffs = papers("cliffs")
    frame = curves(9.0)
    assert cliffs.critical(frame, 0.5).empty
    assert set(cliffs.critical(frame.assign(loss=frame["loss"].where(frame["x"] < -2)), 0.5)) == {-2.0}


def test_seeds_that_part_more_have_the_larger_spread(papers):
    cliffs = papers("cliffs")
    wide, narrow = (cliffs.critical(curves(-3.1, apart=a), 0.5) for a in (0.4, 0.1))
    found, freedom = cliffs.spread(wide)
    assert freedom == 6  # two widths with four seeds each
    assert found == pytest.approx(0.4 * np.std(range(4), ddof=1), rel=0.1)
    gap = cliffs.spread_gap(wide, narrow)
    assert gap.value == pytest.approx(2.0, abs=0.2)
    assert gap.low == pytest.approx(gap.value - np.log2(5.8198) / 2, abs=0.01)  # F(6, 6) at 0.975
    assert cliffs.spread_gap(wide[:1], narrow).value is None


def test_a_cliff_counts_only_where_nobody_had_looked(papers, put):
    page, runs = papers("instability"), papers("instability_runs")
    slow = [curves(-3.5, variant=v, apart=0.02) for v in ("sp", "mup-embd")]
    fast = [curves(-3.0, variant=v, apart=0.03) for v in ("sp+embd", "mup")]
    every = pd.concat([*slow, *fast])
    put({"instability": every[every["seed"] < 2], "instability-seeds": every[every["seed"] >= 2]})
    gap = runs.cliff_gap("sp", "sp+embd", 0.5)
    assert gap.value == pytest.approx(0.5, abs=0.02)
    assert page._fresh_curves() == 6  # seeds 2 and 3 at width 64, all four at width 128
    status = {(c.words.rpartition(": ")[2], c.case): c.status for c in page.claims()}
    assert status["the loss goes up its cliff at a lower learning rate", "mup"] == "supported"
    assert status["where the cliff is depends more on the seed", "mup"] == "not decidable at this scale"
    assert "6 curves of each variant" in page.write().write().read_text()
