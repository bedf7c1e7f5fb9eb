import pytest

from hptransfer.fit import TransferFit
from hptransfer.report import html_elements, table_data


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
