import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hptransfer.dynamics.spikes import (
    Spike,
    find_spikes,
    pack_spikes,
    raggedness,
    unpack_spikes,
)
from hptransfer.errors import DynamicsError


def falling(n: int = 200, noise: float = 0.0, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return 3 + 4 * np.exp(-np.arange(n) / 30) + rng.normal(0, noise, n)


def test_a_planted_spike_is_found_with_its_height_and_recovery() -> None:
    losses = np.full(100, 4.0)
    losses[60:65] = [5.0, 6.5, 6.0, 5.0, 4.5]
    assert find_spikes(losses) == (Spike(start=60, peak=61, height=2.5, recovery=5),)


def test_steps_need_not_be_every_step() -> None:
    losses = np.full(50, 4.0)
    losses[30] = 5.0
    assert find_spikes(losses, range(0, 500, 10)) == (Spike(300, 300, 1.0, 10),)


def test_a_spike_without_return_has_no_recovery() -> None:
    losses = np.full(50, 4.0)
    losses[30:] = 9.0
    assert find_spikes(losses) == (Spike(30, 30, 5.0, None),)


def test_a_run_that_ends_in_nan_spikes_to_infinity() -> None:
    losses = np.full(50, 4.0)
    losses[40:] = np.nan
    (spike,) = find_spikes(losses)
    assert (spike.start, spike.height, spike.recovery) == (40, math.inf, None)


def test_a_falling_noisy_curve_has_none() -> None:
    assert sum(len(find_spikes(falling(noise=0.05, seed=s))) for s in range(50)) == 0


def test_noise_does_not_hide_large_spikes() -> None:
    found = 0
    for seed in range(50):
        losses = falling(noise=0.05, seed=seed)
        losses[150:153] += 1.0
        found += [s.start for s in find_spikes(losses)] == [150]
    assert found >= 48


def test_a_rise_below_the_floor_is_none() -> None:
    losses = np.full(50, 4.0)
    losses[30] = 4.09
    assert find_spikes(losses) == ()
    assert len(find_spikes(losses, floor=0.05)) == 1


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(-40, 40), min_size=6, max_size=60), st.integers(-80, 80))
def test_spikes_do_not_depend_on_a_constant(eighths: list[int], shift: int) -> None:
    values = np.array(eighths) / 8  # exact in binary, so that the shift is too
    assert find_spikes(values + shift) == find_spikes(values)


def test_settings_out_of_range_are_told() -> None:
    with pytest.raises(DynamicsError, match="window >= 5"):
        find_spikes([1.0, 2.0], window=2)
    with pytest.raises(DynamicsError, match="3 steps for 2 values"):
        find_spikes([1.0, 2.0], [0, 1, 2])


def test_a_single_basin_is_not_ragged_however_skewed() -> None:
    assert raggedness([5, 4, 3.5, 3.4, 6]) == pytest.approx(0)
    assert raggedness([5, 4, 3]) == pytest.approx(0)


def test_raggedness_is_the_height_of_the_bumps() -> None:
    assert raggedness([5, 4, 4.3, 3, 3.5, 3.3, 6]) == pytest.approx(0.3 + 0.2)


def test_what_comes_after_divergence_does_not_count() -> None:
    assert raggedness([5, 4, 6, math.nan, 2, 9]) == pytest.approx(0)
    assert math.isnan(raggedness([5, 4, math.nan, 2, 9]))


def test_spikes_come_back_from_plain_data() -> None:
    spikes = (Spike(3, 4, 1.5, 7), Spike(40, 40, math.inf, None))
    packed = json.loads(json.dumps(pack_spikes(spikes), allow_nan=False))
    assert unpack_spikes(packed) == spikes
