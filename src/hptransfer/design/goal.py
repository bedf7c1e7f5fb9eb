"""The goal of an adaptive study and the cost of a run, as a spec's plain data."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from hptransfer.runs.base import Config

Goal = Literal["optimum", "law", "prediction", "verdict"]
# Widths of 95% intervals: octaves of the optimum, of the law's exponent, of the predicted optimum, nats.
PRECISION: dict[Goal, float] = {"optimum": 0.5, "law": 0.2, "prediction": 0.5, "verdict": 0.02}
UNITS: dict[Goal, str] = {
    "optimum": "octaves",
    "law": "of the exponent",
    "prediction": "octaves",
    "verdict": "nats",
}


class AdaptiveConfig(Config):
    """Instead of a grid: the runs that are most informative per FLOP, until the goal is known well enough.

    Every run lies on the spec's grid (and its extensions), and takes the spec's seeds in order.
    """

    # optimum: of every width; law: the exponent of the optimum's law; prediction: the optimum at the largest
    # target (over several axes the first); verdict: of every variant, and which variant has the lowest loss
    # at the largest width.
    goal: Goal = "prediction"
    precision: float | None = Field(None, gt=0)  # width of the 95% interval to stop at; default: by the goal
    budget: float | None = Field(None, gt=0)  # FLOPs that all runs together may take
    batch: int = Field(4, ge=1, le=1024)  # most runs a round, for each variant that is not known yet

    @property
    def wanted(self) -> float:
        """The width of the interval to stop at."""
        return PRECISION[self.goal] if self.precision is None else self.precision


class CostConfig(Config):
    """What a plan is priced with."""

    price: float | None = Field(None, ge=0)  # of an hour of one device
    currency: str = Field("USD", pattern=r"^[A-Za-z]{1,8}$")  # of the price
    flops_per_second: float | None = Field(None, gt=0)  # of one device, as trained; default: measured
