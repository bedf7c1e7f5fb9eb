import numpy as np
import pytest
from made_axes import model

from hptransfer.quantify.axes.suggest import RUNS, grid_of, place_of, price, suggest_places, suggest_runs

VALUES = [[n, d] for n in (1e8, 2e8, 4e8) for d in (2e9, 4e9, 8e9)]
GOAL = {"params": 6.4e9, "tokens": 3.2e10}
AT = np.log2([6.4e9, 3.2e10])


def made(**options):
    return model(VALUES, [-0.6, 0.25], scatter=0.1, wander=0.1, **options)


def test_places_are_new_and_narrow_the_interval_most_for_their_price():
    found = suggest_runs(made(), GOAL, AT)
    assert 1 <= len(found) <= 3
    worth = [(now - after) / (r.cost_share + 0.05) for r in found for now, after in [r.width]]
    assert worth == sorted(worth, reverse=True)
    for r in found:
        assert tuple(r.at.values()) not in {tuple(v) for v in VALUES}
        assert r.width[1] < 0.95 * r.width[0]
        assert r.cost_share <= 3.0
        assert r.goal == GOAL
        assert len(r.hps) == RUNS


def test_the_width_is_that_of_kriging_with_typical_departures():
    one = suggest_places([made()], AT, RUNS)[0]
    found = made()
    z, scatter, wander = found.basis.z, 0.1, 0.1
    start = z.min(axis=0)

    def walk(a, b):
        return wander**2 * sum(
            np.minimum(a[:, None, i] - start[i], b[None, :, i] - start[i]) for i in range(2)
        )

    errors = np.cov(found.question.y_draws.T) + scatter**2 * np.eye(len(z)) + walk(z, z)
    inverse = np.linalg.inv(errors)
    basis = np.column_stack([np.ones(len(z)), z])
    across = walk(z, AT[None])[:, 0]
    left = np.concatenate([[1.0], AT]) - basis.T @ inverse @ across
    variance = walk(AT[None], AT[None])[0, 0] + scatter**2 - across @ inverse @ across
    variance += left @ np.linalg.solve(basis.T @ inverse @ basis, left)
    assert one.now[0] == pytest.approx(2 * 1.96 * np.sqrt(variance), rel=0.01)


def test_several_laws_are_narrowed_together():
    (one, *_), (two, *_) = suggest_places([made()], AT, 16), suggest_places([made(), made()], AT, 16)
    assert two.now == pytest.approx([one.now[0]] * 2)
    assert two.place == pytest.approx(one.place)
    assert one.share == pytest.approx(16 / RUNS * suggest_places([made()], AT, RUNS)[0].share)


@pytest.mark.parametrize(
    ("axes", "relative"),
    [(("params", "tokens"), 2.0**-3), (("width", "tokens"), 2.0**-4), (("depth", "batch_size"), 2.0**-1)],
)
def test_prices_are_products_of_the_axes(axes, relative):
    found = model(VALUES, [-0.6, 0.25], axes)
    at = np.log2([[2e8, 2e9], [4e8, 8e9]])
    assert price(found.basis, at) == pytest.approx([relative, 1.0])


def test_the_price_is_a_share_of_what_was_spent():
    found = made()
    one = suggest_places([found], AT, RUNS)[0]
    spent = 5 * price(found.basis, found.basis.points.z).sum()
    assert one.share == pytest.approx(RUNS * price(found.basis, one.place[None])[0] / spent)


def test_tied_axes_move_along_their_path():
    along = [[1e8 * 2.0**k, 2e9 * 4.0**k] for k in range(5)]
    found = model(along, [-0.35])
    assert place_of(found, np.log2([3.2e9])) == pytest.approx({"params": 3.2e9, "tokens": 2e9 * 1024})
    assert price(found.basis, np.log2([[8e8], [1.6e9]])) == pytest.approx([2.0**-3, 1.0])


def test_the_grid_lies_about_the_law_as_far_as_the_optimum_may():
    place = np.log2([6.4e9, 8e9])
    centre = -8.0 - 0.6 * 5 + 0.25 * 1
    sure = np.log2(grid_of(made(sd=(0.01, 0.01, 0.01)), place))
    assert sure.mean() == pytest.approx(centre, abs=0.01)
    assert np.diff(sure) == pytest.approx([0.5] * 4, abs=0.02)
    unsure = np.log2(grid_of(made(sd=(0.1, 1.0, 1.0)), place))
    assert np.diff(unsure) == pytest.approx([1.0] * 4, abs=0.02)
    draws = made(sd=(0.1, 0.13, 0.05)).hp.plane_draws(place[None])[:, 0]
    between = np.log2(grid_of(made(sd=(0.1, 0.13, 0.05)), place))
    width = np.subtract(*np.quantile(draws, [0.975, 0.025]))
    assert np.diff(between) == pytest.approx([width / 4] * 4, rel=0.05)


def test_nothing_is_suggested_where_no_run_helps():
    sure = model(VALUES, [-0.6, 0.25], sd=(0.0, 0.0, 0.0))
    near = np.log2([2e8, 4e9])
    assert suggest_runs(sure, {"params": 2e8, "tokens": 4e9}, near) == ()
