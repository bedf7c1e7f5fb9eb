"""Joint fits of all variants of a sweep table over several axes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from threadpoolctl import threadpool_limits

from hptransfer.errors import QuantifyError
from hptransfer.quantify.axes.basins import points_of
from hptransfer.quantify.axes.design import axis_values
from hptransfer.quantify.axes.fit import check_axes
from hptransfer.quantify.axes.model import AxesSettings
from hptransfer.quantify.joint.basins import TooFewRunsError
from hptransfer.quantify.joint.combination import parse_combination
from hptransfer.quantify.joint.points import axes_of, hyperparameters
from hptransfer.quantify.joint_axes.measure import measure_joint_axes
from hptransfer.quantify.joint_axes.model import JointAxesContext
from hptransfer.quantify.joint_axes.points import numbered
from hptransfer.quantify.joint_axes.result import JointAxesVariant
from hptransfer.quantify.units import scaled
from hptransfer.sweep.table import SweepTable


@dataclass(frozen=True)
class JointAxesVariants:
    """Every variant's fit, and what they were fitted on."""

    variants: dict[str, JointAxesVariant]
    left_out: dict[str, str]  # why a variant has no fit
    context: JointAxesContext


def fit_joint_axes(
    sweep: SweepTable, names: Sequence[str], combinations: Sequence[str], s: AxesSettings, unit: float
) -> JointAxesVariants:
    """Fits several hyperparameters of every variant over several axes.

    Args:
        sweep: the runs, in the table's own unit.
        names: of the hyperparameters, two or three.
        combinations: texts of combinations.
        s: settings, with the tolerance in the unit of a fit.
        unit: what one unit of the table's losses is in that of a fit.

    Raises:
        QuantifyError: an axis, a column or a combination cannot be used, or the runs are too few.
    """
    hps = tuple(names)
    shared = [name for name in hps if name in s.axes]
    if shared:
        raise QuantifyError(
            f"a column is either a hyperparameter or an axis of the scale, but {shared[0]} is given as both"
        )
    values = hyperparameters(sweep, hps)
    table = numbered(scaled(sweep, unit), s.axes)
    check_axes(sweep, [points for points, _ in points_of(sweep, axis_values(sweep, s.axes), s.axes)], s)
    others = [name for name in sweep.extra if name not in (*hps, *s.axes)]
    valid = list(dict.fromkeys([*hps, *s.axes, *others]))
    parsed = tuple(parse_combination(text, valid) for text in dict.fromkeys(combinations))
    context = JointAxesContext(table, values, axes_of(hps, values), parsed, s, unit)
    variants: dict[str, JointAxesVariant] = {}
    left_out: dict[str, str] = {}
    with threadpool_limits(limits=1, user_api="blas"):
        for i, name in enumerate(sweep.variants):
            try:
                variants[name] = measure_joint_axes(context, name, i)
            except TooFewRunsError as error:
                left_out[name] = str(error)
    if not variants:
        raise QuantifyError(next(iter(left_out.values())))
    return JointAxesVariants(variants, left_out, context)
