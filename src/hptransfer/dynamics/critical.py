"""Critical learning rate: how far a step may go before it raises the loss (arXiv:2601.16979)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from hptransfer.errors import DynamicsError
from hptransfer.words import precise

TOLERANCE = 1 / 16  # relative width of the final bracket, as in the authors' code
MOST = 40  # doublings or halvings before a search is given up


class CriticalLR(NamedTuple):
    """What the search found, for every run of a stack; the tensors have the shape of the guess.

    Attributes:
        lr: middle of the bracket; NaN where none was found.
        low: the largest rate tried at which the loss did not exceed the loss at zero; 0 where there was none.
        high: the smallest at which it did; inf where there was none.
        passes: forward passes of the whole stack.
    """

    lr: Tensor
    low: Tensor
    high: Tensor
    passes: int

    @property
    def sharpness(self) -> Tensor:
        """Critical sharpness, 2 / critical LR."""
        return 2 / self.lr


def critical_lr(
    loss_at: Callable[[Tensor], Tensor],
    loss: Tensor,
    guess: Tensor,
    *,
    tolerance: float = TOLERANCE,
    most: int = MOST,
) -> CriticalLR:
    """The smallest learning rate that makes the loss of the next step exceed the present one.

    eta_c = min {eta > 0 : L(theta - eta x direction) > L(theta)} (arXiv:2601.16979, definition 2.1), by
    doubling or halving from a guess, then bisection, all runs of a stack at once. A loss that is not
    finite counts as exceeding. On a quadratic loss eta_c = 2 direction.g / direction.H.direction.

    Args:
        loss_at: losses at learning rates, both of the guess's shape.
        loss: L(theta) on the same batch.
        guess: where to start, positive; the last critical LR found, or the LR in use.
        tolerance: of the bracket: (high - low) / high at the end.
        most: doublings or halvings.

    Raises:
        DynamicsError: the guess is not positive, or a setting is out of range.
    """
    if not (0 < tolerance < 1 and most >= 1 and bool((guess > 0).all())):
        raise DynamicsError(
            f"guess > 0, 0 < tolerance < 1 and most >= 1 must hold, but got guess={guess.tolist()}, "
            f"tolerance={precise(tolerance)}, most={most}"
        )

    def exceeds(rate: Tensor) -> Tensor:
        return ~(loss_at(rate) <= loss)  # NaN exceeds

    low, high, passes = _bracket(exceeds, guess, most)
    found = (low > 0) & torch.isfinite(high)
    while bool((wide := found & (high - low > tolerance * high)).any()):
        middle = torch.where(wide, (low + high) / 2, guess)
        above = exceeds(middle)
        passes += 1
        high = torch.where(wide & above, middle, high)  # a run is refined no further than it asks for
        low = torch.where(wide & ~above, middle, low)
    return CriticalLR(torch.where(found, (low + high) / 2, torch.nan), low, high, passes)


def critical_lr_along(
    loss: Callable[[], Tensor],
    weights: Mapping[str, Tensor],
    before: Mapping[str, Tensor],
    lr: float,
    guess: Tensor | None = None,
) -> CriticalLR:
    """The critical learning rate of an update just taken; the weights are put back after it.

    Args:
        loss: of the batch, a scalar, with the weights as they are.
        weights: after the update, by name; they are changed in place.
        before: the same before it.
        lr: that it was taken with.
        guess: where to start, shape [1]; default lr.
    """
    after = {name: weight.detach().clone() for name, weight in weights.items()}

    def loss_at(rate: Tensor) -> Tensor:
        for name, weight in weights.items():
            weight.copy_(torch.lerp(before[name], after[name], float(rate / lr)))
        return loss().detach().double().cpu().view(1)

    start = torch.full((1,), lr, dtype=torch.float64)
    try:
        return critical_lr(loss_at, loss_at(0 * start), start if guess is None else guess)
    finally:
        for name, weight in weights.items():
            weight.copy_(after[name])


def _bracket(exceeds: Callable[[Tensor], Tensor], guess: Tensor, most: int) -> tuple[Tensor, Tensor, int]:
    """A rate that does not exceed, one that does, and how many passes it took."""
    rate, none = guess.clone(), torch.zeros_like(guess)
    low, high = none, none + torch.inf
    passes = 0
    while passes <= most:
        above = exceeds(rate)
        passes += 1
        high = torch.where(above, torch.minimum(high, rate), high)
        low = torch.where(~above, torch.maximum(low, rate), low)
        closed = (low > 0) & torch.isfinite(high)
        if bool(closed.all()):
            break
        rate = torch.where(closed, rate, torch.where(above, rate / 2, rate * 2))
    return low, high, passes
