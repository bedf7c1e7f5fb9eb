"""Landscape: the tidy table loss(variant, scale, hp, seed) that everything downstream reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
StrArray = NDArray[np.str_]


@dataclass(frozen=True)
class Source:
    """Where a landscape came from.

    Attributes:
        path: the file (or files, comma-separated), or None when built in memory.
        sha256: of the file's bytes, hex; None when built in memory.
    """

    path: str | None = None
    sha256: str | None = None


@dataclass(frozen=True)
class Columns:
    """The user's own names for the columns, used in every table and axis label."""

    scale: str = "width"
    hp: str = "lr"
    loss: str = "loss"
    variant: str = "variant"
    seed: str = "seed"


@dataclass(frozen=True)
class Landscape:
    """Losses of runs over scale and hyperparameter, one row a run; the only thing `quantify` knows.

    Attributes:
        variant: name of the curve family of each run, shape [runs].
        scale: n > 0, shape [runs]; width unless the user says otherwise.
        hp: eta > 0, shape [runs], in the units of `columns.hp`.
        seed: label of the seed, shape [runs].
        loss: nats per token, shape [runs]; NaN where the run diverged.
        extra: further numeric columns (tokens, params, flops, initial_loss ...), each of shape [runs].
        columns: the user's names.
        source: provenance of the table.
    """

    variant: StrArray
    scale: FloatArray
    hp: FloatArray
    seed: StrArray
    loss: FloatArray
    extra: Mapping[str, FloatArray] = field(default_factory=dict)
    columns: Columns = field(default_factory=Columns)
    source: Source = field(default_factory=Source)
