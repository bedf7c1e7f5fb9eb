from dataclasses import replace

import numpy as np
import pytest
from surfaces import FOUR, grid

from hptransfer.quantify.axes.departures import covariance, draw_walks, sizes, walk_covariances
from hptransfer.quantify.axes.law import Question, fit_plane, further_terms
from hptransfer.quantify.law.scatter import NO_WANDER, SizePrior

SLOPES = np.array([-0.6, 0.25])
SCATTER, WANDER = SizePrior(0.04, 0.9, 0.2), SizePrior(0.1, 1.0, 0.3)


def question(off: np.ndarray | None = None, wander: SizePrior = WANDER, sd: float = 0.03) -> Question:
    rng = np.random.default_rng(1)
    y = -8.0 + FOUR @ SLOPES + (0.0 if off is None else off)
    draws = y + sd * rng.standard_normal((600, len(y)))
    places = np.array([[3.0, 2.0], [5.0, 2.0], [9.0, 2.0], [3.0, 8.0]])
    return Question(FOUR, y, draws, places, sizes(SCATTER, wander, 2, len(y), 0.05))


def test_an_exact_plane_is_found_and_continued() -> None:
    fit = fit_plane(question(), np.random.default_rng(0))
    assert fit.parameters[1:] == pytest.approx(SLOPES, abs=0.02)
    assert fit.at == pytest.approx(
        -8.0 + np.array([[3.0, 2.0], [5.0, 2.0], [9.0, 2.0], [3.0, 8.0]]) @ SLOPES, abs=0.1
    )


def test_intervals_grow_with_the_distance_along_each_axis() -> None:
    width = fit_plane(question(), np.random.default_rng(0)).at_draws.std(axis=0)
    assert width[0] < width[1] < width[2]
    assert width[0] < width[3]


def test_scatter_and_turning_widen_what_is_predicted() -> None:
    calm = fit_plane(question(), np.random.default_rng(0)).at_draws.std(axis=0)
    rough = question(0.2 * np.random.default_rng(3).standard_normal(len(FOUR)))
    assert (fit_plane(rough, np.random.default_rng(0)).at_draws.std(axis=0) > 1.5 * calm).all()


def test_one_point_far_off_the_law_does_not_turn_it() -> None:
    off = np.zeros(len(FOUR))
    off[4] = 1.5
    fit = fit_plane(question(off), np.random.default_rng(0))
    assert fit.parameters[1:] == pytest.approx(SLOPES, abs=0.06)


def test_a_slope_of_nothing_is_thought_constant() -> None:
    flat = replace(question(), y=np.full(len(FOUR), -8.0), constant=0.115)
    flat = replace(flat, y_draws=flat.y + 0.03 * np.random.default_rng(0).standard_normal((600, len(FOUR))))
    fit = fit_plane(flat, np.random.default_rng(0))
    assert (fit.draws[:, 1:] == 0).mean(axis=0) == pytest.approx([0.7, 0.7], abs=0.3)
    steep = fit_plane(replace(question(), constant=0.115), np.random.default_rng(0))
    assert (steep.draws[:, 1] == 0).mean() < 0.01


def test_interactions_and_bends_are_told() -> None:
    middle = FOUR - FOUR.mean(axis=0)
    plain, mixed, bent = (
        question(),
        question(0.2 * middle[:, 0] * middle[:, 1]),
        question(0.1 * middle[:, 0] ** 2),
    )
    for q, name, value in ((mixed, "a x b", 0.2), (bent, "bend a", 0.2), (plain, "a x b", 0.0)):
        found, draws = further_terms(q, 0.02, ("a", "b"), np.random.default_rng(0))[name]
        assert found == pytest.approx(value, abs=0.05)
        low, high = np.quantile(draws, [0.025, 0.975])
        assert (low <= 0 <= high) == (value == 0.0)
    thought = fit_plane(replace(mixed, interactions=True), np.random.default_rng(0))
    assert thought.interacting[0, 1] > 0.9
    assert fit_plane(replace(plain, interactions=True), np.random.default_rng(0)).interacting[0, 1] < 0.2


def test_walks_have_the_covariance_that_is_said_of_them() -> None:
    z, wander = grid((0.0, 1.0, 3.0), (0.0, 2.0)), np.tile([0.3, 0.1], (20000, 1))
    drawn = draw_walks(z, wander, np.random.default_rng(0))
    said = covariance(np.zeros((6, 6)), walk_covariances(z), np.zeros(1), wander[:1])[0]
    assert np.cov(drawn.T) == pytest.approx(said, abs=0.01)


@pytest.mark.parametrize(("axes", "points"), [(2, 12), (3, 64), (3, 200), (4, 20)])
def test_sizes_are_weighed_by_their_prior_however_few_are_tried(axes: int, points: int) -> None:
    found = sizes(SCATTER, WANDER, axes, points, 0.07)
    weight = np.exp(found.log_prior)
    assert weight.sum() == pytest.approx(1.0)
    assert weight @ (found.wander[:, 0] == 0) == pytest.approx(0.07 + 0.93 * WANDER.none)
    typical = weight @ np.where(found.scatter > 0, np.log(np.maximum(found.scatter, 1e-9)), 0.0)
    assert typical / (0.93 * 0.8) == pytest.approx(np.log(0.04), abs=0.05)
    assert sizes(SCATTER, NO_WANDER, axes, points, 0.0).wander.shape[1] == axes
