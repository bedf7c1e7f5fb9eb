from dataclasses import replace

import numpy as np
import pytest
from made_axes import basis, model

from hptransfer.quantify.axes.envelope import envelope_of, penalties

VALUES = np.array([[n, d] for n in (1e8, 2e8, 4e8) for d in (2e9, 4e9, 8e9)])
X = np.full(len(VALUES), -8.0)


def named(made, name):
    """The basis as that of a variant."""
    return replace(made, basins=replace(made.basins, cells=replace(made.basins.cells, variant=name)))


def surface(shift=0.0, floor=2.0):
    """Losses on a law over both axes."""
    n, d = (np.log2(VALUES / VALUES[0])).T
    return floor + 0.5 * 2.0 ** (-0.3 * n) + 0.5 * 2.0 ** (-0.3 * d) + shift


def test_the_best_of_all_at_every_point():
    a, b = surface(), surface()
    a[0] += 0.1
    b[3] += 0.2
    bases = [named(basis(VALUES, X, loss=v), name) for v, name in ((a, "a"), (b, "b"))]
    found = envelope_of(bases, None)
    np.testing.assert_allclose(found.loss, surface())
    assert found.draws.shape[1] == len(VALUES)
    assert np.abs(found.draws.mean(axis=0) - found.loss).max() < 0.005
    assert envelope_of(bases[:1], None) is None


def test_a_reference_alone():
    bases = [named(basis(VALUES, X, loss=surface(s)), name) for s, name in ((0.3, "a"), (0.0, "b"))]
    np.testing.assert_allclose(envelope_of(bases, "a").loss, surface(0.3))


def test_points_that_only_one_has_and_those_without_an_optimum():
    few = basis(VALUES[:4], X[:4], loss=surface()[:4] - 0.5)
    rest = basis(VALUES, X, loss=surface())
    hidden = replace(few, basins=replace(few.basins, fitted=np.array([False, True, True, True])))
    found = envelope_of([hidden, rest], None)
    assert len(found.loss) == len(VALUES)
    at = {tuple(z): v for z, v in zip(found.z, found.loss, strict=True)}
    assert at[tuple(np.log2(VALUES[0]))] == pytest.approx(surface()[0])  # not the hidden one's
    assert at[tuple(np.log2(VALUES[1]))] == pytest.approx(surface()[1] - 0.5)


def test_penalties_at_the_farthest_point_and_in_the_limit():
    found = model(VALUES, [0.0, 0.0])
    losses = surface()
    losses[-1] += 0.4  # of the farthest point
    mine = replace(found, basis=replace(basis(VALUES, X, loss=losses, seed=1)))
    envelope = envelope_of([basis(VALUES, X, loss=surface()), basis(VALUES, X, loss=surface() + 1)], None)
    got = penalties(mine, envelope, 0.95)
    assert got["R_n"].value == pytest.approx(0.4)
    assert got["R_n"].low < 0.4 < got["R_n"].high
    # the model's own loss law ends at 2, and so does the envelope's
    assert got["R_inf"].value == pytest.approx(0.0, abs=0.15)
    lower = envelope_of(
        [basis(VALUES, X, loss=surface(floor=1.0)), basis(VALUES, X, loss=surface() + 1)], None
    )
    assert penalties(mine, lower, 0.95)["R_inf"].value == pytest.approx(1.0, abs=0.25)


def test_nothing_in_common_or_too_few_points():
    found = model(VALUES, [0.0, 0.0])
    assert penalties(found, None, 0.95) == {}
    elsewhere = envelope_of([basis(VALUES * 2.5, X), basis(VALUES * 2.5, X)], None)
    assert penalties(found, elsewhere, 0.95)["R_n"].flags == ("no_optimum",)
    three = envelope_of([basis(VALUES[[0, 1, 3]], X[:3]), basis(VALUES[[0, 1, 3]], X[:3])], None)
    got = penalties(found, three, 0.95)
    assert got["R_n"].value is not None
    assert got["R_inf"].flags == ("no_laws",)
