"""A joint fit over several axes as one over a single scale, the number of a point: what its figures draw."""

from __future__ import annotations

from dataclasses import fields

from hptransfer.quantify.joint.result import JointMeasured, JointSweepFit
from hptransfer.quantify.joint_axes.points import numbered
from hptransfer.quantify.joint_axes.result import JointAxesFit


def numbered_view(fit: JointAxesFit) -> JointSweepFit:
    """The fit for figures of single points; its variants are those of `fit`."""
    shared = {field.name: getattr(fit, field.name) for field in fields(JointMeasured)}
    return JointSweepFit(**{**shared, "sweep": numbered(fit.sweep, fit.axes).sweep}, variants={})
