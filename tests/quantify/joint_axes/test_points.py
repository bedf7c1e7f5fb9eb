import numpy as np

from hptransfer.quantify.joint_axes.points import POINT, numbered, variant_points


def test_every_point_has_a_number_and_the_scale_is_kept(sweep):
    table = numbered(sweep, ("params", "tokens"))
    assert table.sweep.columns.scale == POINT
    assert len(table.values) == 12
    at = table.values[table.sweep.scale.astype(int) - 1]
    np.testing.assert_array_equal(at, np.stack([sweep.scale, sweep.extra["tokens"]], axis=1))
    np.testing.assert_array_equal(table.sweep.extra["params"], sweep.scale)


def test_the_points_of_a_variant_have_their_places(context):
    points, runs = variant_points(context.table, ("params", "tokens"), "all", context.values, context.hps)
    np.testing.assert_array_equal(runs.place, np.log2(points.values))
    assert int(runs.runs.sum()) == len(context.table.sweep)
    some = runs.take(np.array([3, 5]))
    np.testing.assert_array_equal(some.place, np.log2(points.values[[3, 5]]))
