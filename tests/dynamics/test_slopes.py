import numpy as np
import pytest
from scipy import stats

from hptransfer.dynamics.slopes import LayerKind, check_layer, lines, width_slopes

WIDTHS = (64, 128, 256, 512)
FLAT = (-0.25, 0.1)


def sizes(
    change: float, output: float = 0.0, *, initial: float | None = None, noise: float = 0.0, seeds: int = 3
):
    """Sizes by power laws of width, [widths, seeds, steps + 1, 2], four steps."""
    rng = np.random.default_rng(0)
    n = np.array(WIDTHS, dtype=float)[:, None, None] / 64
    found = np.zeros((len(WIDTHS), seeds, 5, 2))
    found[..., 0] = n**output
    found[:, :, :1, 0] = n ** (output if initial is None else initial)
    found[:, :, 1:, 1] = n**change * np.arange(1, 5)
    return found * 2 ** rng.normal(0, noise, found.shape)


def test_the_slope_of_a_power_law_is_its_exponent() -> None:
    (slope,) = width_slopes(sizes(0.37)[:, :, 1:2, 1], WIDTHS, 0.95, 1)
    assert (slope.step, slope.value) == (1, pytest.approx(0.37))
    assert slope.low == pytest.approx(0.37, abs=1e-6)


def test_slope_and_interval_are_those_of_least_squares() -> None:
    y = sizes(0.2, noise=0.3)[:, :, 1:2, 1]
    (slope,) = width_slopes(y, WIDTHS, 0.9, 1)
    fit = stats.linregress(np.repeat(np.log2(WIDTHS), 3), np.log2(y).ravel())
    half = stats.t.ppf(0.95, len(WIDTHS) * 3 - 2) * fit.stderr
    assert slope.value == pytest.approx(fit.slope)
    assert (slope.low, slope.high) == pytest.approx((fit.slope - half, fit.slope + half))


@pytest.mark.parametrize(
    ("change", "output", "verdict"),
    [
        (0.0, 0.0, "stable"),
        (0.2, 0.0, "grows"),
        (-0.3, 0.0, "shrinks"),
        (0.0, 0.2, "grows"),
        (0.0, -0.6, "stable"),  # an output may fall, if what is learned does not
        (-0.6, -0.5, "stable"),  # and then its first changes may fall as fast
        (-0.8, -0.5, "shrinks"),
        (-0.8, -2.0, "shrinks"),  # but no faster than random sums do
    ],
)
def test_the_verdict_on_a_power_law(change: float, output: float, verdict: str) -> None:
    layer = check_layer("x", sizes(change, output), WIDTHS, 0.95, FLAT)
    assert layer is not None
    assert layer.verdict == verdict
    assert layer.failed == (verdict in ("grows", "shrinks"))
    assert bool(layer.reason) == layer.failed


def test_an_output_that_the_rule_keeps_must_not_fall_at_initialisation() -> None:
    found = sizes(0.0, 0.0, initial=-0.5)
    assert check_layer("x", found, WIDTHS, 0.95, FLAT).verdict == "stable"
    layer = check_layer("x", found, WIDTHS, 0.95, FLAT, LayerKind(initial=0.0))
    assert (layer.verdict, layer.reason) == (
        "shrinks",
        "output -0.50 ± 0.00 at initialisation, where the rule has 0.00",
    )
    assert check_layer("x", found, WIDTHS, 0.95, FLAT, LayerKind(initial=-0.5)).verdict == "stable"


def test_an_output_that_no_matrix_gives_may_grow_but_its_change_may_not() -> None:
    grown = sizes(0.0, 0.5)
    assert check_layer("x", grown, WIDTHS, 0.95, FLAT).verdict == "grows"
    assert check_layer("x", grown, WIDTHS, 0.95, FLAT, LayerKind(has_matrix=False)).verdict == "stable"
    assert (
        check_layer("x", sizes(0.5, 0.5), WIDTHS, 0.95, FLAT, LayerKind(has_matrix=False)).verdict == "grows"
    )


def test_noise_leaves_it_undecided() -> None:
    layer = check_layer("x", sizes(0.0, noise=1.0), WIDTHS, 0.95, FLAT)
    assert layer.verdict == "undecided"
    assert "change" in layer.reason


def test_a_wider_model_that_blows_up_grows() -> None:
    found = sizes(0.0)
    found[2, 1, 3:] = np.nan
    layer = check_layer("x", found, WIDTHS, 0.95, FLAT)
    assert (layer.verdict, layer.reason) == ("grows", "not finite at width 256 from step 3")


def test_what_never_changes_has_no_verdict() -> None:
    found = sizes(0.0)
    found[:, :, :, 1] = 0.0
    assert check_layer("x", found, WIDTHS, 0.95, FLAT) is None


def test_a_zero_output_at_initialisation_is_no_fault() -> None:
    found = sizes(0.0)
    found[:, :, 0, 0] = 0.0
    assert check_layer("x", found, WIDTHS, 0.95, FLAT, LayerKind(initial=0.0)).verdict == "stable"


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    rng = np.random.default_rng(1)
    y = 2 ** rng.normal(0, 0.2, (len(WIDTHS), 3, 2000))
    hits = [s.low <= 0 <= s.high for s in width_slopes(y, WIDTHS, 0.95, 0)]
    assert 0.93 < np.mean(hits) < 0.97


def test_the_interval_is_that_of_a_line_through_the_scales() -> None:
    rng = np.random.default_rng(3)
    x, y = np.log2(np.array([32.0, 48.0, 64.0, 96.0, 128.0])), rng.normal(size=5)
    fit = stats.linregress(x, y)
    half = stats.t.ppf(0.975, 3) * fit.stderr
    (slope,), (found,) = lines(x, y[:, None], 0.95)
    assert (slope, found) == pytest.approx((fit.slope, half))
