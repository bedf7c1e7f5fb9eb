"""Joint fits of all variants of a sweep table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from threadpoolctl import threadpool_limits

from hptransfer.errors import QuantifyError
from hptransfer.quantify.joint.basins import TooFewRunsError
from hptransfer.quantify.joint.combination import Combination, parse_combination
from hptransfer.quantify.joint.points import Axes, axes_of, hyperparameters
from hptransfer.quantify.joint.result import JointVariant
from hptransfer.quantify.joint.variant import JointContext, measure_joint
from hptransfer.quantify.settings import Settings
from hptransfer.quantify.units import scaled
from hptransfer.sweep.table import FloatArray, SweepTable


@dataclass(frozen=True)
class JointVariants:
    """Every variant's fit, and what they were fitted on."""

    variants: dict[str, JointVariant]
    left_out: dict[str, str]  # why a variant has no fit
    values: FloatArray  # of the hyperparameters, [runs, d]
    axes: Axes
    combinations: tuple[Combination, ...]


def fit_joint_variants(
    sweep: SweepTable, names: Sequence[str], combinations: Sequence[str], settings: Settings
) -> JointVariants:
    """Fits several hyperparameters of every variant.

    Args:
        sweep: the runs, in the table's own unit.
        names: of the hyperparameters, two or three.
        combinations: texts of combinations.
        settings: with the tolerance and unit of a fit.

    Raises:
        QuantifyError: columns, combinations or the number of runs do not allow it.
    """
    hps = tuple(names)
    values = hyperparameters(sweep, hps)
    others = [name for name in sweep.extra if name not in hps]
    valid = list(dict.fromkeys([*hps, sweep.columns.scale, *others]))
    parsed = tuple(parse_combination(text, valid) for text in dict.fromkeys(combinations))
    axes = axes_of(hps, values)
    inside = scaled(sweep, settings.unit)
    context = JointContext(inside, values, axes, parsed, settings)
    variants: dict[str, JointVariant] = {}
    left_out: dict[str, str] = {}
    with threadpool_limits(limits=1, user_api="blas"):
        for i, name in enumerate(sweep.variants):
            try:
                variants[name] = measure_joint(context, name, i)
            except TooFewRunsError as error:
                left_out[name] = str(error)
    if not variants:
        raise QuantifyError(next(iter(left_out.values())))
    return JointVariants(variants, left_out, values, axes, parsed)
