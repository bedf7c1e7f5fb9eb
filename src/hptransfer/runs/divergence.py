"""Divergence: whether a run has diverged, and from which step on. Decided here, and nowhere else.

Both questions compare with the loss at initialisation: a run that ends worse than a model that was never
trained has learned nothing. No torch here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

# How long the training loss must have been above its start, at the end of the run. A spike that the run
# recovers from is shorter; a run that has left its basin for good is above for most of what is left.
STRETCH_FRACTION = 0.1  # of the steps
STRETCH_LOSSES = 5  # at the least: single batches lie above the start by the noise of sampling alone


class Divergence(NamedTuple):
    """What became of a run."""

    diverged: bool  # whether it counts as diverged
    step: int | None  # from which on; None where it has not diverged, or where only the final loss says so


def ends_diverged(loss: ArrayLike, initial_loss: ArrayLike | None = None) -> NDArray[np.bool_]:
    """Whether final losses are those of diverged runs: not finite, or above the loss at initialisation.

    `initial_loss` has the shape of `loss`, or is one for all; None or NaN where it is not known.
    """
    final = np.asarray(loss, dtype=np.float64)
    start = np.nan if initial_loss is None else np.asarray(initial_loss, dtype=np.float64)
    return ~np.isfinite(final) | (final > start)  # nothing is above NaN


def diverged_step(
    losses: Sequence[float] | NDArray[np.float64],
    steps: Sequence[int] | None = None,
    initial_loss: float | None = None,
) -> int | None:
    """The step from which on a run counts as diverged; None where its training losses give no cause.

    Either the first whose loss is not finite; or, where the losses of the last tenth of the steps (at least 5
    losses) are all above the loss at initialisation, the step after the last that was not above it.

    Args:
        losses: of training, nats per token, shape [losses]; a thinned curve will do.
        steps: of the losses, ascending, from 0 for the first of the run; default 0, 1, ...
        initial_loss: at initialisation; default, and where it is NaN: the first of the losses.
    """
    series = np.asarray(losses, dtype=np.float64)
    at = np.arange(len(series)) if steps is None else np.asarray(steps, dtype=np.int64)
    if not series.size:
        return None
    not_finite = np.flatnonzero(~np.isfinite(series))
    if not_finite.size:
        return int(at[not_finite[0]])
    start = series[0] if initial_loss is None or math.isnan(initial_loss) else initial_loss
    calm = np.flatnonzero(series <= start)
    first = int(calm[-1]) + 1 if calm.size else 0  # of the losses above to the end
    last_calm = at[first - 1] if first else -1
    long_enough = at[-1] - last_calm >= math.ceil(STRETCH_FRACTION * (at[-1] + 1))
    return int(at[first]) if long_enough and len(series) - first >= STRETCH_LOSSES else None


def divergence(
    loss: float,
    initial_loss: float | None = None,
    losses: Sequence[float] | NDArray[np.float64] = (),
    steps: Sequence[int] | None = None,
) -> Divergence:
    """What became of a run: diverged where its final held-out loss or its training losses say so.

    `losses` and `steps` are as for `diverged_step`; an initial loss of None is not known.
    """
    step = diverged_step(losses, steps, initial_loss)
    return Divergence(step is not None or bool(ends_diverged(loss, initial_loss)), step)
