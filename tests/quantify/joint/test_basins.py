import numpy as np
import pytest
from joint_sweeps import decayed, grid, optima, two_hps

from hptransfer.quantify.joint.basins import TooFewRunsError, fit_joint
from hptransfer.quantify.joint.points import axes_of, hyperparameters, points_of
from hptransfer.sweep.table import SweepTable


def basins(sweep, draws=400):
    values = hyperparameters(sweep, sweep.hps)
    return fit_joint(
        points_of(sweep, "a", values, axes_of(sweep.hps, values)), draws, np.random.default_rng(0)
    )


@pytest.mark.parametrize("share", [1.0, 0.4])
def test_optima_are_found_with_honest_intervals(share):
    found = basins(two_hps(share=share))
    away = np.abs(found.x - optima())
    sd = found.x_draws.std(axis=0)
    assert (away < 4 * sd).all()
    assert np.mean(away < 2 * sd) > 0.7
    assert (sd < 0.15).all()
    assert (found.edge == 0).all()


def test_noise_and_coupling_are_found():
    found = basins(two_hps(noise=0.004))
    assert 0.0025 < found.noise < 0.006
    # lr falls short of its best by `couple` octaves per octave of the other: the ridge of `tilted`.
    np.testing.assert_allclose(found.surface.b[:, 0], -0.5, atol=0.12)
    curvature = found.surface.curvature()
    np.testing.assert_allclose(curvature[:, 0, 0], 0.1, rtol=0.3)
    np.testing.assert_allclose(curvature[:, 0, 1], -0.05, rtol=0.4)


def test_a_cliff_and_diverged_runs_do_not_move_the_optimum():
    sweep = two_hps(seed=3)
    ridge = np.log2(sweep.hp) + 7 - 0.5 * (np.log2(sweep.extra["batch_size"]) - 6)
    loss = np.where(ridge > 2.2, np.where(np.arange(len(ridge)) % 2, np.nan, 7.0), sweep.loss)
    cut = SweepTable(**{**vars(sweep), "loss": loss})
    found = basins(cut)
    assert (np.abs(found.x[:2] - optima()[:2]) < 0.3).all()


def test_one_wild_run_is_weighed_down_and_flagged():
    sweep = two_hps(seed=4)
    near = np.argmin(sweep.loss + (sweep.scale != 256) * 100)
    loss = sweep.loss.copy()
    loss[near] -= 0.1
    found = basins(SweepTable(**{**vars(sweep), "loss": loss}))
    assert "outliers" in found.flags[1]
    assert (np.abs(found.x[1] - optima()[1]) < 0.4).all()


def test_an_optimum_beyond_what_was_run_is_flagged():
    sweep = two_hps()
    keep = (sweep.extra["batch_size"] < 2**7) | (sweep.scale < 1000)
    found = basins(sweep.take(keep & ((sweep.scale < 1000) | (sweep.extra["batch_size"] < 90))))
    assert found.edge[:3].tolist() == [[0, 0]] * 3
    assert found.edge[3, 1] == 1
    assert "at_edge: batch_size" in found.flags[3]


def test_a_decay_best_at_zero_lies_near_zero():
    sweep = decayed(least=-1.0)  # the best decay lies well below the smallest positive one
    decay = sweep.extra["weight_decay"]
    rise = np.where(decay > 0, 0.05 * np.log2(np.maximum(decay, 0.5) / 0.25), 0.0)
    u = np.log2(sweep.hp) + 8
    found = basins(SweepTable(**{**vars(sweep), "loss": 2.5 + 0.05 * u * u + rise}))
    assert (found.edge[:, 1] == -1).all()
    assert all(
        "near_zero: weight_decay" in flags or "at_edge: weight_decay" in flags for flags in found.flags
    )


def test_a_decay_of_zero_does_not_move_the_optimum_elsewhere():
    with_zero, without = basins(decayed()), basins(decayed(zero=False))
    np.testing.assert_allclose(with_zero.x, without.x, atol=0.25)


def test_repeats_tell_the_noise_and_seeds_raise_whole_surfaces_for_nothing():
    once = two_hps(noise=0.0)
    rng = np.random.default_rng(0)
    parts = [once.loss + shift + 0.003 * rng.standard_normal(len(once)) for shift in (-0.02, 0.0, 0.02)]
    three = SweepTable(
        variant=np.tile(once.variant, 3),
        scale=np.tile(once.scale, 3),
        hp=np.tile(once.hp, 3),
        seed=np.repeat(["0", "1", "2"], len(once)),
        loss=np.concatenate(parts),
        extra={"batch_size": np.tile(once.extra["batch_size"], 3)},
        hps=once.hps,
    )
    found = basins(three)
    assert 0.002 < found.noise < 0.0045
    assert (np.abs(found.x - optima()) < 0.15).all()


def test_a_thin_scale_is_fitted_with_the_shape_of_the_others_or_left_out():
    sweep = two_hps()
    small = np.flatnonzero(sweep.scale == 1024)
    keep = np.ones(len(sweep), dtype=bool)
    keep[small] = False
    keep[small[[0, 9, 20]]] = True
    found = basins(sweep.take(keep))
    assert found.fitted.tolist() == [True, True, True, False]
    assert found.flags[3] == ("thin",)
    assert np.isnan(found.x[3]).all()


def test_too_few_runs_are_told_in_a_line():
    with pytest.raises(
        TooFewRunsError, match=r"at 7 or more points of lr and batch_size .* 'a' has at most 6"
    ):
        basins(two_hps().take(np.arange(224) % 56 % 10 == 0))


def test_a_variant_with_one_value_is_told_so():
    points = grid(2.0 ** np.arange(5), [1.0])
    sweep = SweepTable(
        variant=np.repeat(["a", "b"], [5, 3]),
        scale=np.ones(8),
        hp=np.r_[points[:, 0], 1, 2, 3],
        seed=np.full(8, ""),
        loss=np.linspace(2, 3, 8),
        extra={"batch_size": np.r_[points[:, 1], 1, 2, 4]},
        hps=("lr", "batch_size"),
    )
    with pytest.raises(TooFewRunsError, match="batch_size has one value in all runs of 'a'"):
        basins(sweep)


def test_the_same_seed_gives_the_same_draws():
    np.testing.assert_array_equal(basins(two_hps()).x_draws, basins(two_hps()).x_draws)
