"""quantify_joint(): two or three hyperparameters of a sweep table at once, as a JointFit."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, cast

from hptransfer.errors import QuantifyError
from hptransfer.files import write_whole
from hptransfer.fit import Targets, check_range, scales_of
from hptransfer.joint_axes import JointAxesTransferFit, quantify_joint_axes
from hptransfer.quantify.joint.fit import fit_joint_variants
from hptransfer.quantify.joint.points import zero_places
from hptransfer.quantify.joint.result import JointPrediction, JointSweepFit
from hptransfer.quantify.joint.to_json import joint_json
from hptransfer.quantify.settings import Settings
from hptransfer.quantify.units import default_tolerance, unit_of
from hptransfer.sweep.table import SweepTable
from hptransfer.version import __version__
from hptransfer.words import plural, precise

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class JointFit(JointSweepFit):
    """The result of `quantify_joint`: the source of its tables, figures and JSON.

    Its attributes are those of `hptransfer.quantify.joint.result.JointSweepFit`.
    """

    def summary(self, width: int = 80) -> str:
        """The tables of the terminal as plain text, `width` characters wide."""
        from hptransfer.report.joint_terminal import joint_summary

        return joint_summary(self, width)

    def predict(self, scale: float) -> dict[str, JointPrediction]:
        """What the laws say of a scale, by variant; refits with it among the targets where it is new.

        Raises:
            QuantifyError: the scale is not positive and finite.
        """
        fit: JointSweepFit = self
        if scale not in self.settings["targets"]:
            settings = {**self.settings, "targets": (*self.settings["targets"], scale)}
            refit = quantify_joint(self.sweep, hp=self.hp, combinations=self.combinations, **settings)
            fit = cast(JointFit, refit)  # of the same table, so over one axis too
        return {
            name: next(p for p in variant.predictions if p.scale == scale)
            for name, variant in fit.variants.items()
        }

    def to_json(self, path: str | os.PathLike[str] | None = None) -> str:
        """The fit as JSON (schema version 2, kind `joint`), written to `path` where one is given."""
        text = json.dumps(joint_json(self), indent=1, allow_nan=False)
        if path is not None:
            write_whole(path, f"{text}\n".encode())
        return text

    def to_dict(self) -> dict[str, Any]:
        """The numbers and names of the JSON as plain dicts, lists, numbers and None."""
        return joint_json(self)

    def to_html(self, path: str | os.PathLike[str] | None = None) -> str:
        """The report as one self-contained page, written to `path` where given."""
        from hptransfer.report.joint_page import joint_page
        from hptransfer.report.notebook import QuietText

        text = joint_page(self)
        if path is not None:
            write_whole(path, text.encode())
        return QuietText(text)

    def plot(self, kind: str = "contours", variant: str | None = None) -> Figure:
        """One kind of figure of one variant: `contours`, `laws` or `profiles`; a notebook shows it.

        Raises:
            QuantifyError: the kind or the variant is unknown.
        """
        from hptransfer.report.joint_figures import plot_joint

        return plot_joint(self, kind, variant)

    def __repr__(self) -> str:
        head = (
            f"JointFit of {', '.join(self.hp)} on {plural(len(self.sweep), 'run')}, hptransfer {self.version}"
        )
        return "\n".join([head, *(f"  {v.name}: {v.verdict.value}" for v in self.variants.values())])


def quantify_joint(
    sweep: SweepTable,
    hp: Sequence[str] | str | None = None,
    *,
    combinations: Sequence[str] | str = (),
    targets: Targets = (),
    level: float = 0.95,
    tolerance: float | None = None,
    draws: int = 1000,
    seed: int = 0,
    family: str | None = None,
    holdout: int = 1,
    path: Mapping[str, float] | str | None = None,
) -> JointFit | JointAxesTransferFit:
    """Measures how two or three hyperparameters go together with scale, for every variant of a sweep table.

    A table that was read with several axes (`read(..., scale="params,tokens", hp="lr,batch_size")`) is fitted
    over all of them.

    Args:
        sweep: the runs; `read(..., hp="lr,batch_size")` makes one.
        hp: names of the hyperparameters; None takes those that the table was read with.
        combinations: products of powers whose laws are wanted too, such as `lr/sqrt(batch_size)`. Columns
            that are no fitted hyperparameter, such as `tokens`, must have one value at each scale.
        targets: scales to predict at, one or several; over several axes mappings by axis, or texts such as
            `params=7e9,tokens=200x`.
        level: of the credible intervals, in (0, 1).
        tolerance: cost that counts as none, in the unit of the losses; None is the metric's own.
        draws: number of posterior draws, at least 100.
        seed: of the draws.
        family: of the laws: `power`, `offset` or `const`; None lets AICc choose.
        holdout: how many of the largest scales are left out, one more at a time, to check predictions.
        path: over several axes, a direction in which exponents are given too, octaves of each axis per octave
            of the path.

    `family` and `holdout` are for one axis: over several the laws are planes, and the largest of every axis
    and a corner are left out.

    Returns:
        A `JointFit`; over several axes a `JointAxesTransferFit`.

    Raises:
        QuantifyError: a setting, a column or a combination is not usable, or the runs are too few.
    """
    given = (hp.split(",") if isinstance(hp, str) else list(hp)) if hp is not None else list(sweep.hps)
    names = [name.strip() for name in given]
    texts = [combinations] if isinstance(combinations, str) else list(combinations)
    if len(sweep.axes) > 1:
        for option, is_given in (("family", family is not None), ("holdout", holdout != 1)):
            if is_given:
                raise QuantifyError(f"{option} is for one axis of scale, but there are several; leave it out")
        options = {"level": level, "tolerance": tolerance, "draws": draws, "seed": seed, "path": path}
        return quantify_joint_axes(sweep, sweep.axes, names, texts, targets, options)
    if path is not None:
        raise QuantifyError("a path is for several axes of scale, but there is one")
    allowed = default_tolerance(sweep) if tolerance is None else float(tolerance)
    unit = unit_of(sweep)
    if not math.isfinite(allowed):
        raise QuantifyError(f"tolerance must be finite, but got {precise(allowed)}")
    settings = Settings(
        targets=scales_of(targets),
        level=float(level),
        tolerance=allowed * unit,
        draws=int(draws),
        seed=int(seed),
        family=family,
        reference=None,
        holdout=int(holdout),
        filter=2.0,
        coordinates=None,
        unit=unit,
    )
    check_range(sweep, settings)
    found = fit_joint_variants(sweep, names, texts, settings)
    used = ("targets", "level", "draws", "seed", "family", "holdout")
    kept = {**{name: asdict(settings)[name] for name in used}, "tolerance": allowed}
    return JointFit(
        sweep=sweep,
        hp=found.axes.names,
        combinations=tuple(c.text for c in found.combinations),
        values=found.values,
        zero_places=zero_places(found.axes),
        variants=found.variants,
        left_out=found.left_out,
        settings=kept,
        version=__version__,
    )
