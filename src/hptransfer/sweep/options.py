"""How a source is to be read, where it does not say so itself."""

from __future__ import annotations

from dataclasses import dataclass

from hptransfer.errors import SweepError, one_of
from hptransfer.sweep.values import HP_SCALES


@dataclass(frozen=True)
class ReadOptions:
    """What the user says of a source; None is found out.

    Raises:
        SweepError: where a value is not one of those possible.
    """

    scale: str | None = None  # column of the scale
    hp: str | None = None  # column of the hyperparameter
    loss: str | None = None  # column of the loss
    decimal: str | None = None  # what stands before decimals: `.` or `,`
    hp_scale: str | None = None  # what the hyperparameter's numbers are: linear, log2, log10 or ln
    take: str | None = (
        None  # the loss of a run with a curve: `final`, `best` or `mean:K`, of its last K points
    )
    extract: str | None = None  # regular expression with named groups, for printed logs
    query: str | None = (
        None  # the table of a database, a query, or the sheet of a workbook; or a tracker's filter
    )
    metric: str = "nats"  # what the loss column holds; see `hptransfer.sweep.metric`
    maximize: bool = False  # whether a higher value is better
    axes: tuple[str, ...] = ()  # columns of the scale where there are several, the first included

    def __post_init__(self) -> None:
        if self.decimal is not None:
            one_of(self.decimal, (".", ","), "--decimal", SweepError)
        if self.hp_scale is not None:
            one_of(self.hp_scale, HP_SCALES, "--hp-scale", SweepError)
        kind, _, count = (self.take or "final").partition(":")
        if kind not in ("final", "best", "mean") or (kind == "mean") != (
            count.isdecimal() and int(count) > 0
        ):
            raise SweepError(f"--take must be final, best or mean:K, such as mean:50, but got {self.take!r}")
