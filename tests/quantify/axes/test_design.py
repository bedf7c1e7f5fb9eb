import numpy as np
import pytest
from surfaces import FOUR, grid, sweep_of

from hptransfer.errors import QuantifyError
from hptransfer.quantify.axes.design import Points, axis_values, find_design, tied_sentence
from hptransfer.sweep.table import SweepTable


def points(octaves: np.ndarray, names: tuple[str, ...] = ("width", "depth")) -> Points:
    return Points(names, np.exp2(octaves))


def test_a_grid_a_star_and_a_ragged_design_tell_their_axes_apart() -> None:
    star = np.array([[0, 1], [1, 1], [2, 1], [1, 0], [1, 2.0]])
    for octaves in (FOUR, star, FOUR[[0, 2, 4, 7, 11]]):
        assert find_design(points(octaves)).tied == {}


@pytest.mark.parametrize("wobble", [0.0, 0.02])
@pytest.mark.parametrize("slope", [0.5, 1.0, -2.0])
def test_axes_that_grow_together_are_tied_and_said_to_be(slope: float, wobble: float) -> None:
    along = np.arange(5.0)
    together = np.stack([along, slope * along + wobble * np.array([1, -1, 1, -1, 1])], axis=1)
    design = find_design(points(together))
    assert design.free == (0,)
    assert design.tied[1][1] == pytest.approx(slope, abs=0.02)
    assert "cannot tell depth from width" in tied_sentence(design)
    off = design.off_path(np.array([[5.0, slope * 5.0], [5.0, slope * 5.0 + 1.0]]))
    assert off == pytest.approx([0.0, 1.0], abs=0.1)


def test_rounded_depths_of_a_growing_width_are_tied_too() -> None:
    sizes = np.array([[128, 4], [256, 8], [512, 15], [1024, 30], [2048, 62.0]])
    assert find_design(Points(("width", "depth"), sizes)).free == (0,)


def test_of_three_axes_two_may_be_tied_and_the_third_free() -> None:
    two = grid((0.0, 1.0, 2.0), (0.0, 1.0, 2.0))
    three = np.column_stack([two[:, 0], 0.5 * two[:, 0], two[:, 1]])
    design = find_design(Points(("width", "depth", "tokens"), np.exp2(three)))
    assert design.names == ("width", "tokens")
    assert design.tied[1] == pytest.approx([0.0, 0.5, 0.0], abs=1e-9)


def with_tokens(values: np.ndarray) -> SweepTable:
    sweep = sweep_of(FOUR)
    return SweepTable(sweep.variant, sweep.scale, sweep.hp, sweep.seed, sweep.loss, extra={"tokens": values},
                      )  # fmt: skip


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda v: np.where(np.arange(len(v)) == 7, np.nan, v), "tokens is nothing in row 7"),
        (lambda v: np.where(np.arange(len(v)) == 3, 0.0, v), "tokens is 0 in row 3"),
        (lambda v: np.where(np.arange(len(v)) == 3, -2.0, v), "tokens is -2 in row 3"),
        (lambda v: np.full(len(v), 5.0), "must vary, but tokens is 5 in every run"),
    ],
)
def test_an_axis_that_cannot_be_used_is_one_clear_line(change, words: str) -> None:  # type: ignore[no-untyped-def]
    sweep = with_tokens(change(sweep_of(FOUR).extra["tokens"]))
    with pytest.raises(QuantifyError, match=words):
        axis_values(sweep, ("width", "tokens"))


@pytest.mark.parametrize("axes", [("width", "depth"), ("width", "width"), tuple("abcde")])
def test_unknown_repeated_and_too_many_axes_are_errors(axes: tuple[str, ...]) -> None:
    with pytest.raises(QuantifyError, match=r"ax[ei]s"):
        axis_values(with_tokens(sweep_of(FOUR).extra["tokens"]), axes)
