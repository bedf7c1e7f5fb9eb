"""A joint fit over several axes as one over a single scale, the number of a point: what its figures draw."""

from __future__ import annotations

from hptransfer.quantify.joint.result import JointSweepFit
from hptransfer.quantify.joint_axes.points import numbered
from hptransfer.quantify.joint_axes.result import JointAxesFit


def numbered_view(fit: JointAxesFit) -> JointSweepFit:
    """The fit for figures of single points; its variants are those of `fit`."""
    return JointSweepFit(
        sweep=numbered(fit.sweep, fit.axes).sweep,
        hp=fit.hp,
        combinations=fit.combinations,
        values=fit.values,
        zero_places=fit.zero_places,
        variants={},
        left_out=fit.left_out,
        settings=fit.settings,
        version=fit.version,
    )
