"""Tables, figures and page of a fit over several axes."""

from __future__ import annotations

import re

import numpy as np
import pytest
from surfaces import FOUR, sweep_of

import hptransfer as hpt
from hptransfer.quantify.axes.result import RuleCheck
from hptransfer.quantify.result import Estimate
from hptransfer.report import axes_charts, axes_tables, charts


@pytest.fixture(scope="module")
def fit():  # type: ignore[no-untyped-def]
    target = {"params": 3.2e9, "tokens": 3.2e10}
    return hpt.quantify(sweep_of(FOUR), scale=["params", "tokens"], targets=[target], draws=200)


def test_the_optimum_is_drawn_along_every_axis_with_its_band(fit) -> None:  # type: ignore[no-untyped-def]
    figure = axes_charts.along_axes(fit, fit.variants["all"])
    assert [panel.x.label for panel in figure.panels] == ["params", "tokens"]
    for panel in figure.panels:
        band = next(mark for mark in panel.marks if isinstance(mark, charts.Band))
        assert (band.low < band.high).all()
        width = band.high - band.low
        assert width[-1] > width.min()
        points = [mark for mark in panel.marks if isinstance(mark, charts.Points)]
        assert len(points[0].x) == len(FOUR)
        assert len(points[1].x) == 1  # the target lies on the band


def test_contours_have_the_level_that_is_written_beside_them(fit) -> None:  # type: ignore[no-untyped-def]
    variant = fit.variants["all"]
    (panel,) = axes_charts.contours(fit, variant).panels
    (surface,) = variant.surfaces
    lines = [mark for mark in panel.marks if isinstance(mark, charts.Line)]
    assert len(lines) == len(panel.notes) > 2
    for line in lines:
        known = np.flatnonzero(np.isfinite(line.x) & np.isfinite(line.y))
        i = known[len(known) // 2]
        column = [np.interp(line.x[i], surface.x, row) for row in surface.hp]
        level = np.interp(line.y[i], surface.y, column)
        assert 2.0**level == pytest.approx(float(line.texts[0]), rel=0.06)


def test_words_beside_a_contour_stay_inside_the_frame_and_off_the_line() -> None:
    x = y = np.linspace(0.0, 10.0, 61)
    rising, falling = (axes_charts._label((x, line), "0.1", x, y) for line in (x, 10.0 - x))
    assert rising.above
    assert not falling.above
    assert 8.0 < rising.x < 9.2
    corner = axes_charts._label((np.where(x > 9.5, x, np.nan), 19.5 - x), "0.1", x, y)
    assert corner.x > 9.5  # a contour that is nowhere else


def test_ticks_stand_at_the_values_of_the_runs_and_the_target(fit) -> None:  # type: ignore[no-untyped-def]
    variant = fit.variants["all"]
    (panel,) = axes_charts.contours(fit, variant).panels
    for axis, name in ((panel.x, "params"), (panel.y, "tokens")):
        values = [float(f"{p.at[name]:.2g}") for p in (*variant.points, *variant.predictions)]
        assert all(np.isclose(2.0**at, values).any() for at, _ in axis.ticks or ())
        assert len(axis.ticks or ()) > 1


def test_where_the_interval_is_narrow_is_shaded_and_holds_the_runs(fit) -> None:  # type: ignore[no-untyped-def]
    (panel,) = axes_charts.contours(fit, fit.variants["all"]).panels
    shade = next(mark for mark in panel.marks if isinstance(mark, charts.Band))
    runs = next(mark for mark in panel.marks if isinstance(mark, charts.Points))
    assert (np.interp(runs.x, shade.x, shade.low) <= runs.y + 0.2).all()
    assert (np.interp(runs.x, shade.x, shade.high) >= runs.y - 0.2).all()


def test_tables_and_page_show_the_same_numbers(fit) -> None:  # type: ignore[no-untyped-def]
    page = fit.to_html()
    for table in axes_tables.every_table(fit, list(fit.variants.values())):
        assert all(len(row) == len(table.columns) for row in table.rows)
        assert table.title in re.sub(r"&#x27;", "'", page)
    assert "http" not in re.sub(r"<script>.*?</script>", "", page, flags=re.DOTALL).replace("http-equiv", "")
    assert fit.plot().axes[2].get_xlabel() == "params"
    assert "keep no" in repr(fit)


def test_where_axes_are_tied_the_reader_is_told(fit) -> None:  # type: ignore[no-untyped-def]
    along = np.stack([np.arange(5.0), np.arange(5.0)], axis=1)
    tied = hpt.quantify(sweep_of(along), scale=["params", "tokens"], draws=100)
    assert "cannot tell tokens from params" in " ".join(tied.summary(200).split())
    assert "cannot tell tokens from params" in tied.to_html()
    assert axes_charts.contours(tied, tied.variants["all"]).panels == ()


def test_flags_are_said_in_words_with_their_details() -> None:
    flags = ("no_laws: optima inside the grid at 3 points, 2 axes need 4", "collinear")
    said = axes_tables.in_words(flags)
    assert said.startswith(
        "too few points with an optimum inside the grid for a law over so many axes (optima"
    )
    assert "axes that always grow together" in said
    assert "no_laws" not in said


def test_one_variants_rules_have_no_column_for_it_and_several_a_table_each() -> None:
    rule = RuleCheck("constant lr", "", {"tokens": 0.0}, "fitted", 0.1, 0.2, 0.0004, True, (0.25,))
    table = axes_tables.rules("nats", [("lr", [rule])])
    row = ("constant lr", Estimate(0.25), Estimate(0.1), Estimate(0.2), "yes (<0.001)", "tokens^0")
    assert table.rows[0][:6] == row
    twice = axes_tables.rules("nats", [("lr_embedding", [rule]), ("lr_hidden", [rule])])
    assert [r[0] for r in twice.rows] == ["lr_embedding: constant lr", "lr_hidden: constant lr"]
    named = axes_tables.by_variant([("a", table), ("b", twice)])
    assert [t.title for t in named] == ["Named rules on these runs: a", "Named rules on these runs: b"]
    assert axes_tables.by_variant([("a", table)])[0].title == "Named rules on these runs"
