import re

import pytest

from hptransfer.quantify.result import Estimate
from hptransfer.report import html_intervals


def _ends(svg: str) -> list[tuple[float, float]]:
    return [(float(a), float(b)) for a, b in re.findall(r"M([\d.]+) [\d.]+H([\d.]+)", svg)]


def test_intervals_of_a_column_share_an_axis_and_a_wild_one_runs_off() -> None:
    items = [Estimate(1.0, 0.5, 1.5), Estimate(2.0, 1.5, 2.5), Estimate(1.5, -1e9, 1e9)]
    draw = html_intervals.interval_strip(items)
    (first,), (second,), (wild,) = (_ends(draw(item)) for item in items)
    assert first[1] == second[0]
    assert second[1] - second[0] == pytest.approx(first[1] - first[0], abs=0.11)
    assert wild == (0.0, 104.0)
    assert draw(Estimate()) == ""
    assert html_intervals.interval_strip([])(items[0]) == ""


def test_a_hold_out_strip_draws_prediction_over_what_was_found() -> None:
    svg = html_intervals.holdout_strip(Estimate(0.02, 0.01, 0.04), Estimate(0.01, 0.005, 0.02), 2.0)
    (low, high), (left, right) = _ends(svg)
    assert (low + high) / 2 - (left + right) / 2 == pytest.approx(
        24, abs=0.2
    )  # an octave of four, of 96 pixels
    assert html_intervals.holdout_strip(Estimate(), Estimate(0.01), 2.0) == ""
