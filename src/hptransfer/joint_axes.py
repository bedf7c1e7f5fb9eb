"""What `quantify_joint` gives over several axes: a fit that shows itself as text, figure, page or JSON."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hptransfer.files import write_whole
from hptransfer.quantify.axes.model import AxesSettings
from hptransfer.quantify.axes.targets import read_path, read_targets
from hptransfer.quantify.joint.points import zero_places
from hptransfer.quantify.joint_axes.fit import fit_joint_axes
from hptransfer.quantify.joint_axes.result import JointAxesFit, JointPlacePrediction
from hptransfer.quantify.joint_axes.to_json import joint_axes_json
from hptransfer.quantify.settings import Settings
from hptransfer.quantify.units import default_tolerance, unit_of
from hptransfer.sweep.table import SweepTable
from hptransfer.version import __version__
from hptransfer.words import plural

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class JointAxesTransferFit(JointAxesFit):
    """The result of `quantify_joint` over several axes.

    Its attributes are those of `hptransfer.quantify.joint_axes.result.JointAxesFit`.
    """

    def summary(self, width: int = 80) -> str:
        """The tables of the terminal as plain text, `width` characters wide."""
        from hptransfer.report.joint_axes_terminal import joint_axes_text

        return joint_axes_text(self, width)

    def predict(self, target: Mapping[str, float | str] | str) -> dict[str, JointPlacePrediction]:
        """What the laws say of a place, by variant; refits with this place as the target."""
        options = {k: v for k, v in self.settings.items() if k not in ("axes", "targets")}
        fit = quantify_joint_axes(self.sweep, self.axes, self.hp, self.combinations, target, options)
        return {name: variant.predictions[0] for name, variant in fit.variants.items()}

    def to_json(self, path: str | os.PathLike[str] | None = None) -> str:
        """The fit as JSON (schema version 2, kind `joint over axes`), written to `path` where given."""
        text = json.dumps(joint_axes_json(self), indent=1, allow_nan=False)
        if path is not None:
            write_whole(path, f"{text}\n".encode())
        return text

    def to_dict(self) -> dict[str, Any]:
        """The numbers and names of the JSON as plain dicts, lists, numbers and None."""
        return joint_axes_json(self)

    def to_html(self, path: str | os.PathLike[str] | None = None) -> str:
        """The report as one self-contained page, written to `path` where given."""
        from hptransfer.report.joint_axes_page import joint_axes_page
        from hptransfer.report.notebook import QuietText

        text = joint_axes_page(self)
        if path is not None:
            write_whole(path, text.encode())
        return QuietText(text)

    def plot(self, kind: str = "laws", variant: str | None = None) -> Figure:
        """One kind of figure of one variant: `laws`, `contours`, `profiles` or `predictions`.

        Raises:
            QuantifyError: the kind or the variant is unknown.
        """
        from hptransfer.report.joint_axes_figures import plot_joint_axes

        return plot_joint_axes(self, kind, variant)

    def __repr__(self) -> str:
        what = f"{', '.join(self.hp)} over {', '.join(self.axes)}"
        lines = (
            f"  {v.name}: keep {v.keep.value}, extrapolate {v.extrapolate.value}"
            for v in self.variants.values()
        )
        return "\n".join(
            [f"Fit of {what} on {plural(len(self.sweep), 'run')}, hptransfer {self.version}", *lines]
        )


def quantify_joint_axes(
    sweep: SweepTable, axes: tuple[str, ...], hp: Sequence[str], combinations: Sequence[str], targets: Any,
    options: Mapping[str, Any],
) -> JointAxesTransferFit:  # fmt: skip
    """Fits several hyperparameters over several axes.

    Args:
        sweep: the runs.
        axes: names of the columns of the scale, two or more.
        hp: names of the hyperparameters.
        combinations: texts of combinations.
        targets: as `quantify.axes.targets.read_targets` takes them.
        options: `level`, `tolerance`, `draws`, `seed` and `path`, as `quantify_joint` takes them.

    Raises:
        QuantifyError: an axis, a hyperparameter, a target or a setting cannot be used.
    """
    unit, tolerance = unit_of(sweep), options["tolerance"]
    allowed = default_tolerance(sweep) if tolerance is None else float(tolerance)
    common: dict[str, Any] = {
        "level": float(options["level"]),
        "draws": int(options["draws"]),
        "seed": int(options["seed"]),
    }
    Settings(
        targets=(), tolerance=allowed, family=None, holdout=1, coordinates=None, reference=None, filter=2.0,
        **common,
    )  # checks them  # fmt: skip
    shown = {
        "axes": axes,
        "targets": read_targets(targets, axes),
        "path": read_path(options.get("path"), axes),
        "tolerance": allowed,
        **common,
    }
    inside = AxesSettings(**{**shown, "tolerance": allowed * unit}, reference=None, filter=2.0)
    found = fit_joint_axes(sweep, hp, combinations, inside, unit)
    context = found.context
    return JointAxesTransferFit(
        sweep=sweep,
        axes=axes,
        hp=context.hps.names,
        combinations=tuple(c.text for c in context.combinations),
        values=context.values,
        zero_places=zero_places(context.hps),
        variants=found.variants,
        left_out=found.left_out,
        settings=shown,
        version=__version__,
    )
