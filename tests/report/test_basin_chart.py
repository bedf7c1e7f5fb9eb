"""What the figure of the basins holds, before a back end draws it."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from hptransfer.fit import TransferFit
from hptransfer.report import basin_chart, charts


def _points(panel: charts.Panel, *, in_strip: bool) -> list[charts.Points]:
    return [m for m in panel.marks if isinstance(m, charts.Points) and m.in_strip == in_strip]


def test_every_run_is_drawn_and_every_diverged_cell_crossed(fit: TransferFit) -> None:
    figure = basin_chart.basins(fit, list(fit.variants.values()))
    assert len({(p.x, p.y) for p in figure.panels}) == 1
    for panel, name in zip(figure.panels, fit.variants, strict=True):
        mine = fit.sweep.select(name)
        *runs, optima = _points(panel, in_strip=False)
        assert sum(len(p.x) for p in runs) == (~mine.diverged).sum()
        assert len(optima.x) == 5
        crosses = sum(len(p.x) for p in _points(panel, in_strip=True) if p.symbol == "cross")
        lost = zip(mine.scale[mine.diverged], mine.hp[mine.diverged], strict=True)
        assert crosses == len(set(lost))


def test_runs_above_the_frame_stand_in_the_strip_in_the_row_of_their_scale(fit: TransferFit) -> None:
    (panel,) = basin_chart.basins(fit, [fit.variants["sp"]]).panels
    above = [p for p in _points(panel, in_strip=True) if p.symbol == "open_up"]
    loss = fit.sweep.loss[fit.sweep.variant == "sp"]
    assert sum(len(p.x) for p in above) == (loss > panel.y.high).sum() > 0
    rows = {text.split("\n")[0]: row for p in above for text, row in zip(p.texts, p.y, strict=True)}
    assert rows["width 32"] == 4.0  # the smallest scale on top, as its basin is
    assert panel.strip_rows == 5
    assert all("(above the frame)" in text for p in above for text in p.texts)


def test_the_frame_holds_every_optimum_and_leaves_the_cliffs_out(fit: TransferFit) -> None:
    cliff = replace(fit.sweep, loss=np.where(fit.sweep.loss > 5.1, 1e6, fit.sweep.loss))
    (panel,) = basin_chart.basins(replace(fit, sweep=cliff), [fit.variants["sp"]]).panels
    losses = [o.loss.value for o in fit.variants["sp"].optima]
    assert panel.y.low < min(losses)
    assert max(losses) < panel.y.high < 6
    assert panel.x.low == np.log2(fit.sweep.hp[fit.sweep.variant == "sp"].min()) - 0.4


def test_no_strip_where_every_run_has_its_place(fit: TransferFit) -> None:
    near = fit.sweep.loss < 4.9
    bare = replace(fit, sweep=fit.sweep.take(near))
    figure = basin_chart.basins(bare, [fit.variants["sp"]])
    assert figure.panels[0].strip_rows == 0
    assert [item.label for item in figure.key][-1] == "optimum"


def test_the_key_names_what_is_drawn(fit: TransferFit) -> None:
    labels = [item.label for item in basin_chart.basins(fit, list(fit.variants.values())).key]
    assert labels == ["width", "32", "48", "64", "96", "128", "optimum", "diverged", "above the frame"]


def test_pointing_at_a_mark_tells_its_numbers(fit: TransferFit) -> None:
    (panel,) = basin_chart.basins(fit, [fit.variants["sp"]]).panels
    first, *_, optima = _points(panel, in_strip=False)
    assert first.texts[0].startswith("width 32\nlr 2^-10 = 0.000977\nloss ")
    assert first.texts[0].endswith("\nseed 0")
    assert optima.texts[0].startswith("optimum at width 32\n2^-6.09 = 0.0147\n[0.0138, 0.0156]\nloss 4.965")


def test_an_optimum_has_the_interval_of_its_octaves(fit: TransferFit) -> None:
    (panel,) = basin_chart.basins(fit, [fit.variants["sp"]]).panels
    optima = _points(panel, in_strip=False)[-1]
    assert optima.x_error == pytest.approx(np.full((2, 5), 0.09))


def test_many_runs_of_a_cell_are_drawn_as_their_mean(fit: TransferFit) -> None:
    sweep = fit.sweep
    rows = np.repeat(np.flatnonzero((sweep.variant == "sp") & (sweep.scale == 32)), 60)
    columns = ("variant", "scale", "hp", "seed", "loss")
    many = replace(sweep, **{name: getattr(sweep, name)[rows] for name in columns})
    (runs,) = basin_chart.runs_of(replace(fit, sweep=many), "sp")
    assert len(runs.x) == 8
    assert runs.labels[0] == "mean of 120 runs"
    where = (sweep.variant == "sp") & (sweep.scale == 32) & (np.log2(sweep.hp) == runs.x[0])
    assert runs.loss[0] == pytest.approx(sweep.loss[where].mean())


def test_diverged_is_what_the_table_says(fit: TransferFit) -> None:
    bounded = replace(fit.sweep, extra={"initial_loss": np.full(len(fit.sweep), 4.9)})
    runs = basin_chart.runs_of(replace(fit, sweep=bounded), "sp")
    assert max(group.loss.max() for group in runs if group.loss.size) <= 4.9
    assert runs[0].diverged.size > basin_chart.runs_of(fit, "sp")[0].diverged.size


def test_scales_hold_runs_and_optima(make_fit: Callable[..., TransferFit]) -> None:
    fit = make_fit(("a",))
    small = replace(fit, sweep=fit.sweep.take(fit.sweep.scale == 32))
    assert basin_chart.scales_of(small, fit.variants.values()) == [32, 48, 64, 96, 128]
