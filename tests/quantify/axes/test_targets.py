import pytest

from hptransfer.errors import QuantifyError
from hptransfer.quantify.axes.targets import read_path, read_targets

AXES = ("params", "tokens")


@pytest.mark.parametrize(
    "target",
    [
        "params=7e9,tokens=1.4e12",
        "tokens=200x, params=7B",
        {"params": 7e9, "tokens": "1.4T"},
        "params=7B,tokens=200x",
    ],
)
def test_a_target_may_be_written_in_several_ways(target: object) -> None:
    (place,) = read_targets([target], AXES)
    assert place == pytest.approx({"params": 7e9, "tokens": 1.4e12})
    assert list(place) == list(AXES)


def test_one_target_need_not_be_in_a_list() -> None:
    assert read_targets({"params": 1, "tokens": 2}, AXES) == read_targets("params=1,tokens=2", AXES)
    assert read_targets((), AXES) == ()


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("params=7e9", "leaves out tokens"),
        ({}, "leaves out params, tokens"),
        ("4096", "params=1e9,tokens=1e9"),
        ("params=7e9,tokens=1e12,depth=3", "names 'depth'"),
        ("params=-7e9,tokens=1e12", "params of a target must be a positive number"),
        ("params=7e9,tokens=many", "tokens of a target must be a positive number"),
        ("params=200x,tokens=1e12", "so many times params"),
        ("params=inf,tokens=1e12", "positive number"),
    ],
)
def test_a_target_that_is_none_is_one_clear_line(target: object, words: str) -> None:
    with pytest.raises(QuantifyError, match=words):
        read_targets([target], AXES)


def test_a_path_gives_octaves_of_each_axis() -> None:
    assert read_path("params=1", AXES) == {"params": 1.0, "tokens": 0.0}
    assert read_path({"params": 1, "tokens": 0.5}, AXES) == {"params": 1.0, "tokens": 0.5}
    assert read_path(None, AXES) is None
    for bad in ("params=0", "params=x", "width=1"):
        with pytest.raises(QuantifyError, match="path"):
            read_path(bad, AXES)
