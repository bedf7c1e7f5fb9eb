"""What `quantify` gives over several axes: a fit that shows itself as text, page, JSON or frame."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from threadpoolctl import threadpool_limits

from hptransfer.errors import QuantifyError
from hptransfer.files import write_whole
from hptransfer.quantify.axes.fit import fit_axes
from hptransfer.quantify.axes.model import AxesSettings
from hptransfer.quantify.axes.result import AxesFit, PlacePrediction
from hptransfer.quantify.axes.targets import read_path, read_targets
from hptransfer.quantify.axes.to_json import axes_json
from hptransfer.quantify.settings import Settings
from hptransfer.quantify.units import default_tolerance, scaled, unit_of
from hptransfer.sweep.table import SweepTable
from hptransfer.version import __version__
from hptransfer.words import plural

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class AxesTransferFit(AxesFit):
    """The result of `quantify` over several axes; attributes are those of `quantify.axes.result.AxesFit`."""

    def summary(self, width: int = 80) -> str:
        """The tables of the terminal as plain text, `width` characters wide."""
        from hptransfer.report.axes_terminal import axes_text

        return axes_text(self, width)

    def predict(self, target: Mapping[str, float | str] | str) -> dict[str, PlacePrediction]:
        """What the laws say of a place, by variant; refits with this place as the target."""
        settings = {k: v for k, v in self.settings.items() if k not in ("axes", "targets")}
        fit = quantify_axes(self.sweep, self.axes, target, settings)
        return {name: variant.predictions[0] for name, variant in fit.variants.items()}

    def plot(self, variant: str | None = None) -> Figure:
        """The optimum along every axis with its band, and its contours over two axes, of one variant."""
        from hptransfer.report.axes_figures import plot_axes

        name = variant or next(iter(self.variants))
        if name not in self.variants:
            raise QuantifyError(f"the variant must be one of {', '.join(self.variants)}, but got {name!r}")
        return plot_axes(self.sweep.columns.hp, self.variants[name])

    def to_json(self, path: str | os.PathLike[str] | None = None) -> str:
        """The fit as JSON, written to `path` where one is given."""
        text = json.dumps(axes_json(self), indent=1, allow_nan=False)
        if path is not None:
            write_whole(path, f"{text}\n".encode())
        return text

    def to_dict(self) -> dict[str, Any]:
        """The numbers and names of the JSON as plain dicts, lists, numbers and None."""
        return axes_json(self)

    def to_html(self, path: str | os.PathLike[str] | None = None) -> str:
        """The report as one self-contained page, written to `path` where given; no notebook echoes it."""
        from hptransfer.report.axes_page import axes_page
        from hptransfer.report.notebook import QuietText

        text = axes_page(self)
        if path is not None:
            write_whole(path, text.encode())
        return QuietText(text)

    def __repr__(self) -> str:
        lines = (
            f"  {v.name}: keep {v.keep.value}, extrapolate {v.extrapolate.value}"
            for v in self.variants.values()
        )
        over = ", ".join(self.axes)
        return "\n".join(
            [f"Fit of {plural(len(self.sweep), 'run')} over {over}, hptransfer {self.version}", *lines]
        )


def quantify_axes(
    sweep: SweepTable, axes: tuple[str, ...], targets: Any, options: Mapping[str, Any]
) -> AxesTransferFit:
    """Fits over several axes.

    Args:
        sweep: the runs.
        axes: names of the columns, two or more.
        targets: as `quantify.axes.targets.read_targets` takes them.
        options: `level`, `tolerance`, `draws`, `seed`, `reference`, `filter` and `path`, as `quantify`
        takes them.

    Raises:
        QuantifyError: an axis, a target or a setting cannot be used.
    """
    unit, tolerance = unit_of(sweep), options["tolerance"]
    allowed = default_tolerance(sweep) if tolerance is None else float(tolerance)
    common = {
        "level": float(options["level"]),
        "draws": int(options["draws"]),
        "seed": int(options["seed"]),
        "reference": options["reference"],
        "filter": float(options["filter"]),
    }
    Settings(targets=(), tolerance=allowed, family=None, holdout=1, coordinates=None, **common)  # checks them
    shown = {
        "axes": axes,
        "targets": read_targets(targets, axes),
        "path": read_path(options.get("path"), axes),
        "tolerance": allowed,
        **common,
    }
    with threadpool_limits(limits=1, user_api="blas"):
        inside = {**shown, "tolerance": allowed * unit, "hp": sweep.columns.hp}
        variants = fit_axes(scaled(sweep, unit), AxesSettings(**inside), unit)
    return AxesTransferFit(sweep, axes, variants, shown, __version__)
