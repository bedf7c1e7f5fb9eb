"""The figures of a fit over several axes: the optimum along each axis, and its contours over two of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from hptransfer.quantify.axes.answers import written
from hptransfer.quantify.axes.result import AxesLaws, AxisBand, Surface
from hptransfer.quantify.result import Estimate
from hptransfer.report import charts, number_format, palette
from hptransfer.sweep.table import FloatArray

TRUSTED = 1.0  # octaves: width of the interval up to which a place counts as trusted
_FINE = 61  # places along an axis that contours are drawn through
_LINES = 9  # contours at most
_MARGIN = 0.09  # of the frame, that labels of contours stay away from its edge


def along_axes(hp: str, law: AxesLaws) -> charts.Figure:
    """The optimum against each free axis, the others held, with its band; a panel an axis."""
    return charts.Figure(tuple(_along(hp, law, band) for band in law.bands))


def held(band: AxisBand) -> str:
    """What the other axes are held at, in words."""
    return written(band.rest) if band.rest else ""


def _along(hp: str, variant: AxesLaws, band: AxisBand) -> charts.Panel:
    """Law, band, the measured optima carried to the place by the law, and the targets that lie on it."""
    axis = band.axis
    known = [p for p in variant.points if number_format.known(p.hp.value) and p.law]
    at = np.log2([p.at[axis] for p in known])
    law_here = np.interp(at, band.at, band.hp)
    shift = law_here - np.log2([p.law or np.nan for p in known])
    octaves = [number_format.octaves(p.hp) for p in known]
    y = np.array([o.value for o in octaves], dtype=float) + shift
    inside = (
        (band.at >= at.min() - 1e-9) & (band.at <= at.max() + 1e-9)
        if len(at)
        else np.zeros(len(band.at), bool)
    )
    texts = tuple(
        f"{axis} {number_format.scale(float(f'{2.0**n:.3g}'))}\n{number_format.decimal(Estimate(2.0**v))} "
        f"[{number_format.rough(2.0**low, 2)}, {number_format.rough(2.0**high, 2)}]"
        for n, v, low, high in zip(band.at, band.hp, band.low, band.high, strict=True)
    )
    marks: list[charts.Mark] = [
        charts.Band(band.at, band.low, band.high, palette.ACCENT),
        charts.Line(band.at, band.hp, palette.ACCENT, 1.6, dashed=True, texts=texts),
        charts.Line(np.where(inside, band.at, np.nan), band.hp, palette.ACCENT, 1.8),
        charts.Points(
            at, y, palette.INK, "circle", 7, y_error=charts.error_bars(octaves),
            texts=tuple(f"{written(p.at)}\nfound {number_format.hp(p.hp)}" for p in known),
        ),
    ]  # fmt: skip
    marks += _on_band(variant, band)
    every = np.concatenate([y, band.hp])
    margin = max(float(np.ptp(every)), 1.0)
    low = max(float(np.concatenate([y, band.low]).min()), float(every.min()) - margin) - 0.2
    high = min(float(np.concatenate([y, band.high]).max()), float(every.max()) + margin) + 0.2
    ends = float(band.at[0]), float(band.at[-1])
    goals = np.log2([p.at[axis] for p in variant.predictions])
    ticks = charts.tick_labels(_two_digits([*at, *goals]), *ends)
    return charts.Panel(
        axis,
        charts.Axis(*ends, axis, base=2, ticks=ticks),
        charts.Axis(low, high, f"optimal {hp}", base=2, powers=True),
        tuple(marks),
    )


def _on_band(variant: AxesLaws, band: AxisBand) -> list[charts.Mark]:
    """Targets whose other axes are those of the band, as open diamonds with their intervals."""
    chosen = [
        p for p in variant.predictions
        if number_format.known(p.hp.value)
        and all(abs(np.log2(p.at[axis] / value)) < 1e-6 for axis, value in band.rest.items())
    ]  # fmt: skip
    octaves = [number_format.octaves(p.hp) for p in chosen]
    return [
        charts.Points(
            np.log2([p.at[band.axis] for p in chosen]), np.array([o.value for o in octaves], dtype=float),
            palette.ACCENT, "diamond", 8, fill=palette.PAPER, edge_width=1.4,
            y_error=charts.error_bars(octaves),
            texts=tuple(f"predicted at {written(p.at)}\n{number_format.hp(p.hp)}" for p in chosen),
        )
    ]  # fmt: skip


def contours(hp: str, law: AxesLaws) -> charts.Figure:
    """The predicted optimum over two axes: contours, the runs, the targets, and where it is trusted."""
    return charts.Figure(
        tuple(_contour(law, surface) for surface in law.surfaces),
        (
            charts.KeyItem("points that were run", palette.INK, "circle"),
            charts.KeyItem("target", palette.ACCENT, "circle"),
            charts.KeyItem(f"contour of the optimal {hp}", palette.sequence(3)[1], None, 1.5),
            charts.KeyItem(
                f"shaded: interval at most {number_format.precise(TRUSTED)} octave wide",
                palette.ACCENT,
                None,
                6.0,
            ),
        ),
    )


def _contour(variant: AxesLaws, surface: Surface) -> charts.Panel:
    x, y = (np.linspace(v[0], v[-1], _FINE) for v in (surface.x, surface.y))
    hp, width = (_finer(surface, values, x, y) for values in (surface.hp, surface.width))
    levels = _levels(hp)
    marks: list[charts.Mark] = []
    trusted = _trusted(x, y, width)
    if trusted is not None:
        marks.append(trusted)
    notes = []
    for level, colour in zip(levels, palette.sequence(len(levels)), strict=True):
        line = _level_line(x, y, hp, level)
        if line is None:
            continue
        words = number_format.decimal(Estimate(2.0**level))
        marks.append(charts.Line(*line, colour, 1.6, texts=(words,) * len(line[0])))
        notes.append(_label(line, words, x, y))
    names = surface.axes
    seen = np.log2(np.array([[p.at[name] for name in names] for p in variant.points]))
    texts = tuple(f"{written(p.at)}\n{number_format.hp(p.hp)}" for p in variant.points)
    marks.append(charts.Points(seen[:, 0], seen[:, 1], palette.INK, "circle", 7, texts=texts))
    goals = [p for p in variant.predictions if number_format.known(p.hp.value)]
    at = np.log2(np.array([[p.at[name] for name in names] for p in goals])).reshape(-1, 2)
    if goals:
        texts = tuple(f"predicted at {written(p.at)}\n{number_format.hp(p.hp)}" for p in goals)
        goal = charts.Points(at[:, 0], at[:, 1], palette.ACCENT, "diamond", 10, texts=texts)
        marks.append(replace(goal, fill=palette.PAPER, edge_width=1.6))
    axes = [
        charts.Axis(
            *ends, name, base=2, ticks=charts.tick_labels(_two_digits([*seen[:, i], *at[:, i]]), *ends)
        )
        for i, (ends, name) in enumerate(zip((_ends(x), _ends(y)), names, strict=True))
    ]
    return charts.Panel(variant.name, axes[0], axes[1], tuple(marks), tuple(notes))


def _ends(values: FloatArray) -> tuple[float, float]:
    return float(values[0]), float(values[-1])


def _two_digits(places: Sequence[float]) -> set[float]:
    """Values of so many log2, to two digits."""
    return {float(f"{2.0**v:.2g}") for v in places}


def _label(line: tuple[FloatArray, FloatArray], words: str, x: FloatArray, y: FloatArray) -> charts.Note:
    """The words beside a contour, where it does not go, near its upper end but inside the frame."""
    inside = (line[0] <= x[-1] - _MARGIN * np.ptp(x)) & (line[1] <= y[-1] - _MARGIN * np.ptp(y))
    known = np.isfinite(line[0] + line[1])
    best = np.where(known & inside if (known & inside).any() else known, line[0] + 0.5 * line[1], -np.inf)
    end = int(np.argmax(best))
    change = [np.diff(values[known]).mean() if known.sum() > 1 else 0.0 for values in line]
    rises = bool(change[0] * change[1] >= 0)
    return charts.Note(float(line[0][end]), float(line[1][end]), words, above=rises)


def _finer(surface: Surface, values: FloatArray, x: FloatArray, y: FloatArray) -> FloatArray:
    """Values of the surface's grid on a finer one, by straight lines, [Y, X]."""
    rows = np.stack([np.interp(x, surface.x, row) for row in values])
    return np.stack([np.interp(y, surface.y, column) for column in rows.T], axis=1)


def _levels(hp: FloatArray) -> list[float]:
    """Round levels of log2 eta that cut the surface, at most `_LINES`."""
    low, high = float(hp.min()), float(hp.max())
    step = next(s for s in (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 64.0) if (high - low) / s <= _LINES)
    return [float(v) for v in np.arange(np.ceil(low / step), np.floor(high / step) + 1) * step]


def _level_line(
    x: FloatArray, y: FloatArray, hp: FloatArray, level: float
) -> tuple[FloatArray, FloatArray] | None:
    """Where the surface is at a level: crossings along the axis that changes it most, NaN where none."""
    turned = np.abs(np.diff(hp, axis=0)).mean() < np.abs(np.diff(hp, axis=1)).mean()
    grid, along, across = (hp, y, x) if turned else (hp.T, x, y)  # rows are places along, columns across
    found = np.array([_crossing(across, row, level) for row in grid])
    if not np.isfinite(found).any():
        return None
    return (found, along) if turned else (along, found)


def _crossing(at: FloatArray, values: FloatArray, level: float) -> float:
    """The first place where values pass a level; NaN where they do not."""
    above = values >= level
    change = np.flatnonzero(above[1:] != above[:-1])
    if not len(change):
        return float("nan")
    i = int(change[0])
    part = (level - values[i]) / (values[i + 1] - values[i])
    return float(at[i] + part * (at[i + 1] - at[i]))


def _trusted(x: FloatArray, y: FloatArray, width: FloatArray) -> charts.Band | None:
    """Where the interval is narrow enough, as a band over x."""
    narrow = width <= TRUSTED
    columns = np.flatnonzero(narrow.any(axis=0))
    if len(columns) < 2:
        return None
    low = np.array([y[np.flatnonzero(narrow[:, c])[0]] for c in columns])
    high = np.array([y[np.flatnonzero(narrow[:, c])[-1]] for c in columns])
    return charts.Band(x[columns], low, high, palette.ACCENT)
