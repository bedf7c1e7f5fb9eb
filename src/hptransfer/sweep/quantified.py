"""Quantified: the fit of a study, which knows more of itself than a table does."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hptransfer.quantify.result import TransferFit
    from hptransfer.sweep.run import StudyResult


def quantified(result: StudyResult) -> TransferFit:
    """What a study's finished runs tell, in SP coordinates, with where they come from."""
    from hptransfer.quantify import quantify

    fit = quantify(
        result.landscape, targets=result.spec.targets, coordinates="sp", base_scale=result.spec.base
    )
    return dataclasses.replace(fit, provenance=result.provenance)
