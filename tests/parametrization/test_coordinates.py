"""One conversion of learning rates between coordinates, for Adam-like optimizers and for SGD."""

from fractions import Fraction

import pytest

from hptransfer.parametrization.coordinates import COORDINATES, convert_lr, coordinate_exponent
from hptransfer.parametrization.optimizers import FAMILIES


def test_mup_coordinates_multiply_by_the_width_ratio() -> None:
    assert convert_lr(0.01, 4.0, "sp", "mup", "adam") == 0.04
    assert convert_lr(0.01, 4.0, "mup", "sp", "adam") == 0.0025


def test_fractions_stay_exact() -> None:
    assert convert_lr(Fraction(1, 3), Fraction(7, 5), "mup", "sp", "adam") == Fraction(5, 21)


@pytest.mark.parametrize("source", COORDINATES)
@pytest.mark.parametrize("target", COORDINATES)
def test_the_two_coordinates_of_sgd_are_one(source, target) -> None:
    assert convert_lr(0.01, 4.0, source, target, "sgd") == 0.01


@pytest.mark.parametrize("family", FAMILIES)
def test_the_exponent_is_that_of_the_conversion(family) -> None:
    for source in COORDINATES:
        for target in COORDINATES:
            exponent = coordinate_exponent(source, target, family)
            assert convert_lr(3.0, 8.0, source, target, family) == 3.0 * 8.0**exponent
