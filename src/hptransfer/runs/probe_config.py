"""Which probes a run is measured by, as plain, validated data. No torch here."""

from __future__ import annotations

from pydantic import Field, field_validator

from hptransfer.errors import DynamicsError
from hptransfer.runs.base import Config
from hptransfer.runs.probe_names import check_names

MOST_PROBED = 40  # steps of a run that are probed where it is not said how often
LEAST_EVERY = 30  # steps from one probed to the next, at the least, then


class ProbeConfig(Config):
    """What is measured inside a run, and when; it changes no number of the run, and so not its id."""

    every: int | None = Field(None, gt=0)  # steps from one probed to the next; default: 30, or steps / 40
    names: tuple[str, ...] | None = None  # of the probes; default: all but critical LR; [all]: every one
    sequences: int = Field(2, gt=0)  # of each batch, on which layers and attention are looked at

    @field_validator("names")
    @classmethod
    def _known(cls, names: tuple[str, ...] | None) -> tuple[str, ...] | None:
        try:
            return None if names is None else check_names(names)
        except DynamicsError as error:
            raise ValueError(str(error)) from None

    def interval(self, steps: int) -> int:
        """Steps from one probed to the next, of a run of so many."""
        return self.every or max(LEAST_EVERY, -(-steps // MOST_PROBED))
