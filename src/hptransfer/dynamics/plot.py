"""The figure of a coordinate check: size of each layer's change against width, step by step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hptransfer.dynamics.slopes import LayerCheck
from hptransfer.errors import DynamicsError
from hptransfer.words import signed

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_PANEL = (2.1, 1.9)  # inches
_COLUMNS = 4
_SMALL = 8.0  # points
_INK, _GREY, _FAULT = "#1c1c1c", "#66665f", "#b3401a"
# Colours of the first and the last step.
_FIRST, _LAST = np.array([0.72, 0.80, 0.84]), np.array([0.10, 0.18, 0.42])


def plot_check(
    layers: Sequence[LayerCheck],
    sizes: Mapping[str, NDArray[np.float64]],
    settings: Mapping[str, Any],
    pattern: str | None = None,
) -> list[Axes]:
    """A panel a layer: log2 width against log2 RMS change, a line a step, mean and range over seeds.

    Panels share the height of their axis in octaves, not its place, so that slopes can be compared by eye.
    The layers, their sizes and the settings are those of a `CoordCheck`; the pattern chooses among names.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    chosen = [layer for layer in layers if pattern is None or fnmatchcase(layer.name, pattern)]
    if not chosen:
        names = ", ".join(layer.name for layer in layers)
        raise DynamicsError(f"a pattern of layers must match one, but {pattern!r} matches none of {names}")
    columns = min(_COLUMNS, len(chosen))
    rows = -(-len(chosen) // columns)
    figure = Figure(figsize=(_PANEL[0] * columns, _PANEL[1] * rows + 0.9), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    with np.errstate(divide="ignore", invalid="ignore"):  # [widths, seeds, steps]
        changes = [np.log2(sizes[layer.name][:, :, 1:, 2]) for layer in chosen]
    height = max(float(np.ptp(y[np.isfinite(y)])) for y in changes if np.isfinite(y).any()) * 1.1 + 0.5
    for axes, layer, change in zip(panels, chosen, changes, strict=False):
        _draw(axes, settings["widths"], layer, change, height)
    for axes in panels[len(chosen) :]:
        axes.set_visible(False)
    failed = sum(layer.failed for layer in layers)
    verdict = f"failed: {failed} of {len(layers)} layers" if failed else "passed"
    figure.suptitle(
        f"{settings['rule']}, {settings['coordinates']} coordinates: {verdict}\n"
        f"RMS change since initialisation against width; light to dark: steps 1 to {settings['steps']},\n"
        "with the slopes of the first and the last",
        fontsize=_SMALL + 1,
        color=_FAULT if failed else _INK,
    )
    return list(panels[: len(chosen)])


def _draw(
    axes: Axes, widths: Sequence[int], layer: LayerCheck, change: NDArray[np.float64], height: float
) -> None:
    steps = change.shape[2]
    for step in range(steps):
        y = np.where(np.isfinite(change[:, :, step]), change[:, :, step], np.nan)
        part = step / max(steps - 1, 1)
        colour = tuple(_FIRST + part * (_LAST - _FIRST))
        axes.plot(widths, y.mean(axis=1), "-", lw=1.1, color=colour)
        axes.plot(np.repeat(widths, y.shape[1]), y.ravel(), ".", ms=2.2, mew=0, color=colour)
    axes.set_xscale("log", base=2)
    axes.set_xticks(widths, [str(width) for width in widths])
    axes.minorticks_off()
    finite = change[np.isfinite(change)]
    if finite.size:
        middle = (finite.max() + finite.min()) / 2
        axes.set_ylim(middle - height / 2, middle + height / 2)
    axes.yaxis.set_major_formatter(lambda y, _: f"$2^{{{y:g}}}$")
    axes.tick_params(labelsize=_SMALL, colors=_GREY, length=2)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    slopes = " to ".join(signed(layer.change[i].value) for i in (0, -1))
    title = f"{layer.name or '(the model)'}\n{layer.verdict}, {slopes}"
    axes.set_title(title, fontsize=_SMALL, color=_FAULT if layer.failed else _INK, loc="left")
