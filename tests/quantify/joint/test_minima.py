import numpy as np
import pytest
from joint_sweeps import grid, two_hps

import hptransfer as hpt
from hptransfer.joint import quantify_joint
from hptransfer.quantify.joint.minima import has_two_minima

POINTS = grid(np.arange(-12.0, -2.0), np.arange(3.0, 10.0))
NOISE = 0.003


def wells(second=(-4.0, 6.0), deeper=0.0, points=POINTS, seed=0):
    """The lower of two bowls, at (-10, 5) and a second."""
    one, two = (0.05 * ((points - np.array(at)) ** 2).sum(axis=1) for at in ((-10.0, 5.0), second))
    loss = np.minimum(one, two + deeper) + NOISE * np.random.default_rng(seed).standard_normal(len(points))
    return points, loss


@pytest.mark.parametrize("share", [0.4, 1.0])
def test_two_bowls_are_two_minima_and_one_is_one(share):
    points = POINTS[np.random.default_rng(1).random(len(POINTS)) < share]
    assert has_two_minima(*wells(points=points), NOISE)
    assert not has_two_minima(*wells(second=(-10.0, 5.0), points=points), NOISE)


def test_a_second_minimum_far_above_the_first_is_none():
    assert has_two_minima(*wells(deeper=0.1), NOISE)
    assert not has_two_minima(*wells(deeper=0.3), NOISE)


def test_one_wild_run_is_no_minimum():
    points, loss = wells(second=(-10.0, 5.0))
    loss[np.argmin(np.abs(points - [-4.0, 8.0]).sum(axis=1))] = 0.0
    assert not has_two_minima(points, loss, NOISE)


def test_a_rise_within_the_noise_does_not_part_minima():
    assert not has_two_minima(*wells(second=(-8.6, 5.0)), NOISE)
    assert not has_two_minima(*wells(), 0.2)


def test_few_points_or_points_on_a_line_have_one():
    points, loss = wells()
    assert not has_two_minima(points[:5], loss[:5], NOISE)
    line = np.stack([np.arange(12.0), np.arange(12.0)], axis=1)
    assert not has_two_minima(line, np.abs(np.arange(12.0) % 6 - 3), 0.001)


def test_the_scale_is_flagged_and_said():
    sweep = two_hps()
    x, y = np.log2(sweep.hp) + 11, np.log2(sweep.extra["batch_size"]) - 7
    second = 2 + 8 * sweep.scale**-0.3 + 0.05 * (x * x + y * y)
    loss = np.where(sweep.scale == 128, np.minimum(sweep.loss, second), sweep.loss)
    fit = quantify_joint(hpt.SweepTable(**{**vars(sweep), "loss": loss}), draws=200)
    flags = [o.flags for o in fit.variants["a"].optima]
    assert "two_minima" in flags[0]
    assert not any("two_minima" in f for f in flags[1:])
    assert "the one with the lowest is taken" in " ".join(fit.summary(120).split())
