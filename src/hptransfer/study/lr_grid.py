"""The grid of learning rates of a study."""

from __future__ import annotations

import math
import re
from typing import Annotated

from pydantic import BeforeValidator, Field, model_validator

from hptransfer.parametrization.coordinates import Coordinates
from hptransfer.runs.base import Config
from hptransfer.words import precise

MAX_LRS = 200  # a finer grid is taken for a mistake
_POWER = re.compile(r"\s*([0-9.]+)\s*(?:\^|\*\*)\s*([+-]?[0-9.]+)\s*")


def _parse_power(value: object) -> object:
    """`2^-12` and `2**-12` as numbers; anything else is left to the usual reading of a number."""
    if isinstance(value, str) and (match := _POWER.fullmatch(value)):
        base, exponent = (float(part) for part in match.groups())
        try:
            return base**exponent
        except (OverflowError, ZeroDivisionError):
            return math.inf  # which no field takes
    return value


Number = Annotated[float, BeforeValidator(_parse_power)]


class LRGrid(Config):
    """Learning rates: low, low x factor, ... up to high, the same at every width in the coordinates named."""

    low: Number = Field(ge=1e-15, allow_inf_nan=False)  # smallest LR of the grid
    high: Number = Field(le=1e9, allow_inf_nan=False)  # largest, or an upper limit where no step lands on it
    factor: Number = Field(2.0, gt=1, le=16)  # ratio of neighbours
    coordinates: Coordinates = "mup"  # mup: LR in SP coordinates is the value x base_width / width
    extend: int = Field(3, ge=0, le=20)  # rounds by which the grid may be extended at a width, by itself
    extend_by: int = Field(2, ge=1, le=20)  # LRs that a round adds on the side of the edge
    # Finished LRs that an optimum needs on each side; on the right a diverged one will do.
    margin: int = Field(1, ge=1, le=10)

    @model_validator(mode="after")
    def _check_range(self) -> LRGrid:
        if not self.low < self.high:
            raise ValueError(
                f"low < high must hold, but got low={precise(self.low)}, high={precise(self.high)}"
            )
        if self.count > MAX_LRS:
            raise ValueError(
                f"a grid may have at most {MAX_LRS} LRs, but low, high, factor give {self.count}"
            )
        return self

    @property
    def count(self) -> int:
        """LRs from low to high; a high that is meant to be on the grid counts in spite of rounding."""
        return math.floor(math.log(self.high / self.low) / math.log(self.factor) + 1e-6) + 1
