"""Tables of real projects: every variant together, cut below one scale."""

from collections.abc import Callable
from types import ModuleType

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("pandas")


@pytest.fixture
def real_groups(benchmark_module: Callable[[str], ModuleType]) -> ModuleType:
    return benchmark_module("real_groups")


def series(name: str, widths: tuple[float, ...], view: int = 0, own: int | None = 0):
    """Parabolas whose optimum falls by a fifth of an octave an octave."""
    from real_series import Series

    rng = np.random.default_rng(0)
    x = np.arange(-11.0, -3.0)
    parts = [
        pd.DataFrame(
            {
                "scale": n,
                "x": x,
                "seed": "0",
                "loss": 3 - 0.2 * k + 0.05 * (x + 7.3 + 0.2 * k) ** 2 + 0.002 * rng.standard_normal(len(x)),
            }
        )
        for k, n in enumerate(widths)
    ]
    runs = pd.concat(parts, ignore_index=True)
    return Series("made", name, runs, runs, own, "lion", view)


def test_a_table_holds_every_variant_of_one_view_below_the_cut(real_groups: ModuleType) -> None:
    long, short = (8.0, 16.0, 32.0, 64.0, 128.0), (8.0, 16.0, 32.0)
    every = [series("a", long), series("b", short), series("a again", long, view=1)]
    found = real_groups.groups(every)
    assert [(g.members[0].view, [s.name for s in g.members], len(g.cases)) for g in found] == [
        (0, ["a", "b"], 2),
        (0, ["a", "b"], 1),
        (1, ["a again"], 2),
        (1, ["a again"], 1),
    ]
    first, second = (g.sweep() for g in found[:2])
    assert (first.scale.max(), second.scale.max()) == (32.0, 64.0)
    assert first.optimizers == {"a": "lion", "b": "lion"}
    assert found[0].coordinates == "mup"
    assert real_groups.groups([series("a", long, own=None)])[0].coordinates is None


def test_an_example_has_the_other_variants_of_its_table(real_groups: ModuleType) -> None:
    long = (8.0, 16.0, 32.0, 64.0)
    one, two = real_groups.examples(real_groups.groups([series("a", long), series("b", long)]))
    assert (one.case.series.name, two.case.series.name) == ("a", "b")
    assert (one.basins.cells.variant, [b.cells.variant for b in one.others]) == ("a", ["b"])
    assert one.others[0] is two.basins
    assert one.basins.fitted.all()


def test_a_series_alone_knows_nothing_of_others_nor_of_coordinates(real_groups: ModuleType) -> None:
    long = (8.0, 16.0, 32.0, 64.0)
    (table,) = real_groups.groups([series("a", long), series("b", long)])
    first, second = table.alone()
    assert [s.name for s in first.members + second.members] == ["a", "b"]
    assert [first.coordinates, first.cases[0].series.own] == [None, None]
