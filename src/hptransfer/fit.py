"""quantify(): sweep table in, TransferFit out, which shows itself as text, figure, frame, JSON or page."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, TypedDict, Unpack, overload

import numpy as np
from threadpoolctl import threadpool_limits

from hptransfer.errors import MissingExtraError, QuantifyError
from hptransfer.files import write_whole
from hptransfer.parametrization.coordinates import Coordinates
from hptransfer.parametrization.optimizers import get_optimizer
from hptransfer.quantify.frames import to_frame
from hptransfer.quantify.parallel import fit_variants
from hptransfer.quantify.reference import check_crossing
from hptransfer.quantify.result import Estimate, Prediction, SweepFit
from hptransfer.quantify.settings import Settings
from hptransfer.quantify.suggest import with_suggestions
from hptransfer.quantify.to_json import to_json_dict
from hptransfer.quantify.units import default_tolerance, in_unit_of_table, scaled, unit_of
from hptransfer.sweep.table import SweepTable
from hptransfer.sweep.values import number
from hptransfer.version import __version__
from hptransfer.words import plural, precise, scale_text

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from hptransfer.fit_axes import AxesTransferFit

# Scales to predict at; over several axes each is a mapping by axis, or a text such as
# `params=7e9,tokens=200x`.
Targets = float | str | Mapping[str, float | str] | Sequence[float | str | Mapping[str, float | str]]

_MOST_NAMED = 20  # variants that `repr` names
_FARTHEST = 1e30  # factor between a target and a measured scale beyond which sums overflow


class TransferFit(SweepFit):
    """The result of `quantify`: immutable, complete, the one source of tables, plots and JSON.

    Its attributes are those of `hptransfer.quantify.result.SweepFit`. Methods that print or draw import what
    they need when they are called, so that a fit alone loads no plotting library.
    """

    def summary(self, width: int = 80) -> str:
        """The tables of the terminal as plain text, `width` characters wide."""
        from hptransfer.report.terminal import summary_text

        return summary_text(self, width)

    def predict(self, scale: float) -> dict[str, Prediction]:
        """What the laws say of a scale, by variant; refits with this scale among the targets where it is new.

        Raises:
            QuantifyError: the scale is not positive and finite.
        """
        fit = self
        if scale not in self.settings["targets"]:
            settings = {**self.settings, "targets": (*self.settings["targets"], scale)}
            fit = quantify(self.sweep, **settings)
        return {
            name: next(p for p in variant.predictions if p.scale == scale)
            for name, variant in fit.variants.items()
        }

    def regret(self, source: float, to: float) -> dict[str, Estimate]:
        """Loss given up at scale `to` by using the optimum of scale `source`, nats, by variant.

        Variants that were not run at both scales are left out.

        Raises:
            QuantifyError: no variant was run at both, or `source` is not the smaller.
        """
        pairs = {
            name: pair.regret
            for name, variant in self.variants.items()
            for pair in variant.regret
            if (pair.source, pair.to) == (source, to)
        }
        if not pairs:
            scales = ", ".join(scale_text(scale) for scale in self.sweep.scales)
            raise QuantifyError(
                f"regret needs two measured scales, the smaller first, but got {scale_text(source)} and "
                f"{scale_text(to)}; measured: {scales}"
            )
        return pairs

    def plot(self, kind: str = "basins", variants: Sequence[str] | None = None) -> Figure:
        """One kind of figure as small multiples, a panel a variant; a notebook shows it.

        Args:
            kind: `basins` (loss against the hyperparameter), `optimum` or `loss` (their laws against scale),
                or `metrics` (a panel a metric).
            variants: names of those to draw, in this order; None draws all.

        Raises:
            QuantifyError: the kind or a name is unknown.
        """
        from hptransfer.report import matplotlib_figures

        kinds: dict[str, Callable[..., Figure]] = {
            "basins": matplotlib_figures.plot_basins,
            "optimum": matplotlib_figures.plot_optimum,
            "loss": matplotlib_figures.plot_loss,
            "metrics": matplotlib_figures.plot_metrics,
        }
        if kind not in kinds:
            raise QuantifyError(f"the kind must be one of {', '.join(kinds)}, but got {kind!r}")
        return kinds[kind](self, variants=variants)

    def to_frame(self, table: str = "metrics") -> pd.DataFrame:
        """One table of the fit as a pandas frame; see `hptransfer.quantify.frames.to_frame`."""
        return to_frame(self, table)

    def to_json(self, path: str | os.PathLike[str] | None = None) -> str:
        """The fit as JSON (schema version 2), written to `path` where one is given."""
        text = json.dumps(to_json_dict(self), indent=1, allow_nan=False)
        if path is not None:
            write_whole(path, f"{text}\n".encode())
        return text

    def to_dict(self) -> dict[str, Any]:
        """The numbers and names of the JSON as plain dicts, lists, numbers and None."""
        return to_json_dict(self)

    def to_arviz(self) -> Any:
        """The posterior draws of every metric as ArviZ `InferenceData`: chain, draw, variant.

        Draw b of one variant belongs with draw b of another. NaN where a variant lacks a metric.

        Raises:
            QuantifyError: the fit holds no draws.
            MissingExtraError: ArviZ is not installed.
        """
        try:
            import arviz
        except ImportError:
            raise MissingExtraError("arviz", "to_arviz") from None
        held = {name: variant.draws for name, variant in self.variants.items() if variant.draws}
        if not held:
            raise QuantifyError("to_arviz needs a fit that holds its draws, and this one has none")
        metrics = dict.fromkeys(metric for draws in held.values() for metric in draws)
        blank = np.full(self.settings["draws"], np.nan)
        posterior = {
            metric: np.stack([draws.get(metric, blank) for draws in held.values()], axis=-1)[None]
            for metric in metrics
        }
        return arviz.from_dict(
            posterior=posterior, coords={"variant": list(held)}, dims={key: ["variant"] for key in metrics}
        )

    def to_html(self, path: str | os.PathLike[str] | None = None) -> str:
        """The report as one self-contained page, written to `path` where given; no notebook echoes it."""
        from hptransfer.report.notebook import QuietText
        from hptransfer.report.page import page

        text = page(self)
        if path is not None:
            write_whole(path, text.encode())
        return QuietText(text)

    def _repr_html_(self) -> str:
        """The summary, in a notebook."""
        from hptransfer.report.notebook import fit_html

        return fit_html(self)

    def __repr__(self) -> str:
        verdicts = (f"  {v.name}: {v.verdict.value}" for v in list(self.variants.values())[:_MOST_NAMED])
        beyond = len(self.variants) - _MOST_NAMED
        more = [f"  and {plural(beyond, 'more variant')}"] if beyond > 0 else []
        head = f"TransferFit of {plural(len(self.sweep), 'run')}, hptransfer {self.version}"
        return "\n".join([head, *verdicts, *more])


class Options(TypedDict, total=False):
    """The options of `quantify`, which documents them."""

    targets: Targets
    level: float
    tolerance: float | None
    draws: int
    seed: int
    family: str | None
    reference: str | None
    holdout: int
    filter: float
    coordinates: Coordinates | None
    suggest: bool
    path: Mapping[str, float] | str | None


@overload
def quantify(sweep: SweepTable, *, scale: str | None = None, **options: Unpack[Options]) -> TransferFit: ...


@overload
def quantify(
    sweep: SweepTable, *, scale: list[str] | tuple[str, ...], **options: Unpack[Options]
) -> AxesTransferFit: ...


def quantify(
    sweep: SweepTable,
    *,
    scale: str | Sequence[str] | None = None,
    targets: Targets = (),
    level: float = 0.95,
    tolerance: float | None = None,
    draws: int = 1000,
    seed: int = 0,
    family: str | None = None,
    reference: str | None = None,
    holdout: int = 1,
    filter: float = 1.35,
    coordinates: Coordinates | None = None,
    suggest: bool = False,
    path: Mapping[str, float] | str | None = None,
) -> TransferFit | AxesTransferFit:
    """Measures how well a hyperparameter transfers across scales, for every variant of a sweep table.

    Args:
        sweep: the runs.
        scale: column to take as the scale instead of the table's; several, `["params", "tokens"]`, are axes
            of their own. None takes those that the table was read with.
        targets: scales to predict at, one or several, in the sweep table's own units of scale: 4096 or "4k".
            Over several axes each is a mapping, `{"params": 7e9, "tokens": 1.4e12}`, or a text,
            `params=7e9,tokens=200x`, where 200x is so many times the first axis.
        level: of the credible intervals, in (0, 1).
        tolerance: cost that counts as none, in the unit of the losses; None is the metric's own: 0.01 nats,
            or a share of the lowest loss at the largest scale (see `hptransfer.sweep.metric`).
        draws: B, the number of posterior draws, at least 100.
        seed: of the draws; the same seed and sweep table give the same result.
        family: of the optimum's law: `power`, `offset` or `const`; None lets AICc choose.
        reference: variant that R(inf) is measured from; None is the lower envelope of all variants.
        holdout: how many of the largest scales are left out, one more at a time, to check predictions.
        filter: cells with a loss above `filter` times the best of their scale do not enter E.
        coordinates: of the hyperparameter column, `sp` or `mup`; None if it is not a learning rate. How one
            becomes the other goes by the optimizer that the sweep table names for the variant.
        suggest: whether to look for runs that would settle what is not known. They are tried in simulation,
            which takes about a second for each undecided variant.
        path: over several axes, a direction in which exponents and kappa are given too, octaves of each axis
            per octave of the path: `{"params": 1, "tokens": 1}`.

    `family`, `holdout`, `coordinates` and `suggest` are for one axis: over several the law is a plane, the
    largest of every axis and a corner are left out, and suggested runs come by themselves.

    Returns:
        Everything measured, a `TransferFit`; over several axes an `AxesTransferFit`. What cannot be estimated
        is None, with the reason in `flags`.

    Raises:
        QuantifyError: a setting is out of range.
        RuleError: the sweep table names an optimizer that is not known.
    """
    axes = _axes(sweep, scale)
    if len(axes) > 1:
        for name, given in (("family", family is not None), ("holdout", holdout != 1)):
            if given:
                raise QuantifyError(f"{name} is for one axis of scale, but there are several; leave it out")
        from hptransfer.fit_axes import quantify_axes  # takes as long to import as all the rest

        names = ("level", "tolerance", "draws", "seed", "reference", "filter", "path")
        values = (level, tolerance, draws, seed, reference, filter, path)
        return quantify_axes(sweep, axes, targets, dict(zip(names, values, strict=True)))
    if path is not None:
        raise QuantifyError("a path is for several axes of scale, but there is one")
    if axes != (sweep.columns.scale,):
        sweep = _with_scale(sweep, axes[0])
    unit = unit_of(sweep)
    allowed = default_tolerance(sweep) if tolerance is None else float(tolerance)
    settings = Settings(
        targets=scales_of(targets),
        level=float(level),
        tolerance=allowed,
        draws=int(draws),
        seed=int(seed),
        family=family,
        reference=reference,
        holdout=int(holdout),
        filter=float(filter),
        coordinates=coordinates,
    )
    settings.check_reference(sweep.variants)
    check_range(sweep, settings)
    for name in sweep.optimizers.values():
        get_optimizer(name)  # an unknown one is an error before anything is fitted
    # The matrices are small: threads of the linear algebra would only wait for each other.
    with threadpool_limits(limits=1, user_api="blas"):
        inside = replace(settings, tolerance=allowed * unit, unit=unit)
        variants = fit_variants(scaled(sweep, unit), inside)
        if suggest:
            variants = with_suggestions(scaled(sweep, unit), variants, inside)
    fitted = {name: in_unit_of_table(fit, unit) for name, fit in check_crossing(variants, reference).items()}
    kept = {name: value for name, value in asdict(settings).items() if name != "unit"}
    return TransferFit(sweep, fitted, kept, __version__)


def _axes(sweep: SweepTable, scale: str | Sequence[str] | None) -> tuple[str, ...]:
    """The axes that are asked for; those of the table where nobody asks."""
    if scale is None:
        return sweep.axes or (sweep.columns.scale,)
    if isinstance(scale, str) and (scale == sweep.columns.scale or scale in sweep.extra):
        return (scale,)
    return tuple(part.strip() for part in scale.split(",")) if isinstance(scale, str) else tuple(scale)


def _with_scale(sweep: SweepTable, name: str) -> SweepTable:
    """The table with another of its columns as the scale; the one it had becomes a further column."""
    if name not in sweep.extra:
        valid = ", ".join((sweep.columns.scale, *sweep.extra))
        raise QuantifyError(
            f"scale must be a column of numbers of the table, but got {name!r}; valid: {valid}"
        )
    extra = {key: values for key, values in sweep.extra.items() if key != name}
    extra[sweep.columns.scale] = sweep.scale
    return replace(sweep, scale=sweep.extra[name], extra=extra, columns=replace(sweep.columns, scale=name))


def scales_of(targets: Targets) -> tuple[float, ...]:
    """Scales as numbers.

    Raises:
        QuantifyError: one is none.
    """
    several = [targets] if isinstance(targets, str) or not hasattr(targets, "__iter__") else list(targets)
    mapping = next((target for target in several if isinstance(target, Mapping)), None)
    if mapping is not None:
        raise QuantifyError(
            f"a target by axis needs several axes of scale, but there is one: {dict(mapping)}"
        )
    found = [number(target, labelled=True) for target in several]
    if None in found:
        raise QuantifyError(
            f"a target must be a scale such as 4096 or 4k, but got {several[found.index(None)]!r}"
        )
    return tuple(scale for scale in found if scale is not None)


def check_range(sweep: SweepTable, settings: Settings) -> None:
    """Refuse settings with which the arithmetic would overflow."""
    if not math.isfinite(settings.tolerance):
        raise QuantifyError(f"tolerance must be finite, but got {precise(settings.tolerance)}")
    for target in settings.targets:
        if not all(1 / _FARTHEST <= target / scale <= _FARTHEST for scale in sweep.scales.tolist()):
            raise QuantifyError(
                f"a target must be within a factor {precise(_FARTHEST)} of each measured scale, but got "
                f"{scale_text(target)}"
            )
