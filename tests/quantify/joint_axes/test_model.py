import dataclasses

import numpy as np
import pytest
from surfaces import FOUR, HP_SLOPES, RIDGE, hp_optimum

from hptransfer.quantify.joint.suggest import basis_of


def test_every_quantity_has_a_plane(planes):
    assert planes.d == 2
    lr, batch, combined = (law.model.hp.parameters[1:] for law in planes.laws)
    for found, name in ((lr, "lr"), (batch, "batch_size")):
        assert found == pytest.approx(list(HP_SLOPES[name].values()), abs=0.05)
    assert combined == pytest.approx(lr - 0.5 * batch, abs=0.03)


def test_optima_are_those_of_the_surface(planes):
    for j, name in enumerate(HP_SLOPES):
        np.testing.assert_allclose(planes.basins.x[:, j], hp_optimum(FOUR, name), atol=0.12)
    assert len(planes.basins.inside) == len(FOUR)


def test_a_profile_has_the_other_at_its_best(planes):
    # of the batch: the learning rate follows along the ridge, so only its own curvature is left
    assert planes.basins.profile(5, 1, planes.basins.x[5, 1] + 1.0) == pytest.approx(0.03, rel=0.25)
    along_lr = 0.05 * 0.03 / (0.03 + 0.05 * RIDGE**2)
    assert planes.basins.profile(5, 0, planes.basins.x[5, 0] + 1.0) == pytest.approx(along_lr, rel=0.25)


def test_a_quantity_without_points_enough_has_no_law(planes):
    few = planes.points.take(np.arange(3))
    q = planes.laws[0].quantity
    short = type(q)(q.name, q.weight, q.offset[:3], q.x[:3], q.x_draws[:, :3], q.inside[:3])
    basins = planes.basins
    cut = dataclasses.replace(
        basins, points=basins.points.take(np.arange(3)), kept=basins.kept[:3], fitted=basins.fitted[:3],
        edge=basins.edge[:3], low=basins.low[:3], high=basins.high[:3],
        surface=type(basins.surface)(*(f[:3] for f in vars(basins.surface).values())),
        surface_draws=type(basins.surface)(*(f[:, :3] for f in vars(basins.surface_draws).values())),
    )  # fmt: skip
    assert not basis_of(few, cut, short).enough


def test_places_on_and_off_a_path(planes):
    assert planes.on_path(np.log2([7e9, 1e12]))
