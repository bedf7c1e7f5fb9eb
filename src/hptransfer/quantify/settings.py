"""The settings of a fit, checked once."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from hptransfer.errors import QuantifyError, one_of
from hptransfer.parametrization.coordinates import COORDINATES, Coordinates
from hptransfer.words import precise

FAMILIES = ("power", "offset", "const")
MIN_DRAWS = 100


@dataclass(frozen=True)
class Settings:
    """As `quantify` takes them; see there for their meaning."""

    targets: tuple[float, ...]
    level: float
    tolerance: float
    draws: int
    seed: int
    family: str | None
    reference: str | None
    holdout: int
    filter: float
    coordinates: Coordinates | None
    unit: float = 1.0  # what one unit of the table's losses is in those of this fit; see `units`

    def __post_init__(self) -> None:
        """Raises QuantifyError where a setting is out of range."""
        required = (
            (0.0 < self.level < 1.0, f"0 < level < 1 must hold, but got level={precise(self.level)}"),
            (self.tolerance > 0, f"tolerance must be positive, but got {precise(self.tolerance)}"),
            (self.draws >= MIN_DRAWS, f"draws must be at least {MIN_DRAWS}, but got {self.draws}"),
            (self.seed >= 0, f"seed must be 0 or more, but got {self.seed}"),
            (self.holdout >= 0, f"holdout must be 0 or more, but got {self.holdout}"),
            (self.filter > 1, f"filter must be above 1, but got {precise(self.filter)}"),
        )
        for holds, error in required:
            if not holds:
                raise QuantifyError(error)
        if self.family is not None:
            one_of(self.family, FAMILIES, "family", QuantifyError)
        if self.coordinates is not None:
            one_of(self.coordinates, COORDINATES, "coordinates", QuantifyError)
        for scale in self.targets:
            if not (np.isfinite(scale) and scale > 0):
                raise QuantifyError(f"targets must be positive and finite, but got {precise(scale)}")

    def check_reference(self, variants: Collection[str]) -> None:
        """Raises QuantifyError where the reference is not a variant of the sweep table."""
        if self.reference is not None and self.reference not in variants:
            valid = ", ".join(list(variants)[:8]) + (", ..." if len(variants) > 8 else "")
            raise QuantifyError(
                f"reference must be a variant of the sweep table, but got {self.reference!r}; valid: {valid}"
            )
