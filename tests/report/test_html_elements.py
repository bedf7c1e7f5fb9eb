import re

import pytest

from hptransfer.fit import TransferFit
from hptransfer.quantify.result import Estimate
from hptransfer.report import html_elements, html_figures, html_intervals, table_data


@pytest.mark.parametrize(
    ("text", "set_as"),
    [
        ("kappa = alpha - 2 beta", "κ = α − 2 β"),
        ("eta_inf + B n^-beta", "η<sub>∞</sub> + B n<sup>−β</sup>"),
        ("H0 n^gamma, d2L/d eta2", "H<sub>0</sub> n<sup>γ</sup>, d²L/dη²"),
        ("a < b & -1", "a &lt; b &amp; −1"),
        ("metadata, alphabet", "metadata, alphabet"),
    ],
)
def test_symbols_are_typeset(text: str, set_as: str) -> None:
    assert html_elements.typeset(text) == set_as


@pytest.mark.parametrize(
    ("text", "set_as"),
    [
        ("-1.2 [-1.3, inf)", "−1.2 [−1.3, ∞)"),
        ("2^-7.31 = 0.0063", "2<sup>−7.31</sup> = 0.0063"),
        ("6.3e-5", "6.3e-5"),
        ("-", "–"),
    ],
)
def test_numbers_are_typeset_and_decimals_stay_copyable(text: str, set_as: str) -> None:
    assert html_elements.number(text) == set_as


def test_a_long_name_may_break_after_its_joints_and_a_short_one_not() -> None:
    assert html_elements.name("sp+embd") == '<span class="short">sp+embd</span>'
    assert html_elements.name("sp+embd+ln+attention+readout").count("<wbr>") == 4
    assert "<b>" not in html_elements.name("<b>")


def test_a_table_links_its_heads_and_leaves_out_flags_nobody_raised(fit: TransferFit) -> None:
    text = html_elements.table(table_data.optima(fit, [fit.variants["sp"]]), group=True)
    assert ">flags<" not in text
    assert text.count("<tr") == 6
    assert text.count('<span class="short">sp</span>') == 1  # named once
    assert 'href="#d-diverged"' in text


def test_an_empty_table_says_why(thin_fit: TransferFit) -> None:
    text = html_elements.table(table_data.holdouts(thin_fit, []))
    assert text == '<p class="note">Not done: it needs a law that stands without the largest scale.</p>'


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


def test_a_choice_and_a_filter_escape_their_values() -> None:
    choice = html_figures.choice("probe", "probe", ["a<b", "c"], 1)
    assert '<option value="0">a&lt;b</option><option value="1" selected>c</option>' in choice
    assert html_figures.filter_by("rule", "rule", ["x", "x", ""]) == ""
    assert '<option value="&quot;">' in html_figures.filter_by("rule", "rule", ['"', "x"])
    assert html_figures.controls("heat", "").startswith('<form class="controls" data-for="heat">')


def test_a_plot_names_its_figure_panel_and_label() -> None:
    assert html_figures.plot("basins", 'a "b"', 2) == (
        '<div class="plot" role="img" data-figure="basins" data-panel="2" aria-label="a &quot;b&quot;"></div>'
    )
    assert "data-panel" not in html_figures.plot("heat", "x")
