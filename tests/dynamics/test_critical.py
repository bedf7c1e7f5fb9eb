import math

import pytest
import torch

from hptransfer.dynamics.critical import critical_lr
from hptransfer.errors import DynamicsError

torch.manual_seed(0)
N = 12
_ROOT = torch.randn(N, N, dtype=torch.float64)
HESSIAN = _ROOT @ _ROOT.T / N
TARGET = torch.randn(N, dtype=torch.float64)


def quadratic(weights: dict[str, torch.Tensor]) -> torch.Tensor:
    x = torch.cat([w.flatten() for w in weights.values()]) - TARGET
    return 0.5 * x @ HESSIAN @ x


def split(flat: torch.Tensor) -> dict[str, torch.Tensor]:
    return {"a": flat[:4].view(2, 2), "b": flat[4:]}


START = split(torch.randn(N, dtype=torch.float64))
GRADIENT = split(HESSIAN @ (torch.cat([w.flatten() for w in START.values()]) - TARGET))


def along(rate: torch.Tensor, direction: dict[str, torch.Tensor]) -> torch.Tensor:
    return quadratic({n: w - rate * direction[n] for n, w in START.items()})


@pytest.mark.parametrize("guess", [1e-6, 1.0, 1e4])
def test_the_critical_lr_of_a_quadratic(guess: float) -> None:
    g = torch.cat([v.flatten() for v in GRADIENT.values()])
    exact = 2 * (g @ g) / (g @ HESSIAN @ g)
    found = critical_lr(
        lambda rates: torch.stack([along(r, GRADIENT) for r in rates]),
        quadratic(START)[None],
        torch.tensor([guess], dtype=torch.float64),
        tolerance=1e-6,
    )
    assert float(found.lr) == pytest.approx(float(exact), rel=1e-6)
    assert float(found.low) <= float(exact) <= float(found.high)
    directional = float((g @ HESSIAN @ g) / (g @ g))  # sharpness along the gradient, d.H.d / d.g with d = g
    assert float(found.sharpness) == pytest.approx(directional, rel=1e-6)


def test_each_run_of_a_stack_gets_its_own() -> None:
    curvature = torch.tensor([1.0, 10.0, 1000.0])
    found = critical_lr(
        lambda rates: (1 - rates * curvature) ** 2, torch.ones(3), torch.full((3,), 0.01), tolerance=1e-4
    )
    torch.testing.assert_close(found.lr, 2 / curvature, rtol=1e-4, atol=0)
    torch.testing.assert_close(found.sharpness, curvature, rtol=1e-4, atol=0)


def test_a_good_guess_takes_few_passes() -> None:
    found = critical_lr(lambda rates: (1 - rates) ** 2, torch.ones(1), torch.tensor([1.7]))
    assert found.passes <= 7
    assert float(found.lr) == pytest.approx(2.0, rel=1 / 16)


def test_no_edge_is_no_number() -> None:
    falls = critical_lr(lambda rates: -rates, torch.zeros(1), torch.ones(1), most=10)
    assert math.isnan(float(falls.lr))
    assert float(falls.high) == math.inf
    rises = critical_lr(lambda rates: rates, torch.zeros(1), torch.ones(1), most=10)
    assert math.isnan(float(rises.lr))
    assert float(rises.low) == 0


def test_a_loss_that_is_not_finite_exceeds() -> None:
    found = critical_lr(
        lambda rates: torch.where(rates > 3, torch.nan, -rates), torch.zeros(1), torch.ones(1), tolerance=1e-3
    )
    assert float(found.lr) == pytest.approx(3, rel=1e-3)


def test_a_guess_must_be_positive() -> None:
    with pytest.raises(DynamicsError, match="guess > 0"):
        critical_lr(lambda rates: rates, torch.zeros(1), torch.zeros(1))
