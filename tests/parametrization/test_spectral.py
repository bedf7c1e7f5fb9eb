"""The spectral condition: muP where both sides grow alike, and norms in proportion where they do not."""

import pytest
import torch

from hptransfer.errors import RuleError
from hptransfer.parametrization.spectral import spectral_condition


@pytest.mark.parametrize(("optimizer", "lr"), [("adam", 1 / 4), ("sgd", 1), ("muon", 1)])
def test_square_growth_is_mup(optimizer: str, lr: float) -> None:
    found = spectral_condition((256, 1024), (64, 256), optimizer)  # type: ignore[arg-type]
    assert (found.init, found.lr) == pytest.approx((1 / 2, lr))


@pytest.mark.parametrize("shape", [(512, 128), (128, 1024), (1024, 1024)])
def test_norms_of_weight_and_update_are_in_proportion(shape: tuple[int, int]) -> None:
    base = (128, 128)
    found = spectral_condition(shape, base)
    generator = torch.Generator().manual_seed(0)

    def norm(sides: tuple[int, int], std: float, lr: float) -> tuple[float, float]:
        weight = std * torch.randn(*sides, generator=generator)
        sign = torch.outer(torch.randn(sides[0]).sign(), torch.randn(sides[1]).sign())
        wanted = (sides[0] / sides[1]) ** 0.5
        return tuple(torch.linalg.matrix_norm(w, 2).item() / wanted for w in (weight, lr * sign))

    at_base, here = norm(base, 1.0, 1.0), norm(shape, found.init, found.lr)
    assert here == pytest.approx(at_base, rel=0.1)


def test_what_is_refused() -> None:
    with pytest.raises(RuleError, match="must be one of adam, sgd, muon"):
        spectral_condition((4, 4), (2, 2), "lamb")  # type: ignore[arg-type]
    with pytest.raises(RuleError, match=r"must be \(fan_out, fan_in\)"):
        spectral_condition((4, 0), (2, 2))
