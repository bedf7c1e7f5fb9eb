from collections.abc import Callable
from dataclasses import replace

from hptransfer.fit import TransferFit
from hptransfer.report import basin_chart, law_chart, page_figures
from hptransfer.report.charts import Figure

NAMES = ("sp wd=0", "sp wd=0.01", "mup wd=0", "mup wd=0.01")


def _figures(fit: TransferFit) -> dict[str, Figure]:
    variants = list(fit.variants.values())
    return {
        "basins": basin_chart.basins(fit, variants),
        "hp": law_chart.optimum_laws(fit, variants),
        "loss": law_chart.loss_laws(fit, variants),
    }


def test_the_phase_diagram_can_be_filtered_by_rule_and_decay(make_fit: Callable[..., TransferFit]) -> None:
    variants = list(make_fit(NAMES).variants.values())
    text = page_figures.phase_section(variants)
    assert text.count("<select") == 2
    assert '<option value="0.01">' in text
    assert 'data-filters="phase"' in text
    assert "every figure and table" in text
    assert (
        "&quot;mup wd=0.01&quot;: {&quot;rule&quot;: &quot;mup&quot;, &quot;decay&quot;: &quot;0.01&quot;}"
        in text
    )


def test_one_variant_has_no_phase_diagram_and_the_missing_are_counted(fit: TransferFit) -> None:
    variants = list(fit.variants.values())
    assert page_figures.phase_section(variants[:1]) == ""
    bare = replace(variants[0], metrics={})
    assert " 1 variant without both numbers not drawn." in page_figures.phase_section([bare, *variants[1:]])


def test_a_panel_a_variant_with_a_label_for_those_who_do_not_see_it(fit: TransferFit) -> None:
    text = page_figures.figures(fit, list(fit.variants.values()), _figures(fit))
    for figure in ("basins", "hp", "loss"):
        assert text.count(f'data-figure="{figure}"') == 3
    assert text.count('aria-label="sp: optimal lr by width: 0.0147 at 32, ') == 2  # basins and their law
    assert 'aria-label="sp: loss at the optimum by width: ' in text
    assert text.count("<li>") == 9  # the key, once


def test_a_panel_without_a_law_says_why(thin_fit: TransferFit) -> None:
    text = page_figures.figures(thin_fit, list(thin_fit.variants.values()), _figures(thin_fit))
    assert text.count("No law: too few scales with a usable optimum for a law") == 6


def test_a_single_variant_is_not_told_of_others(make_fit: Callable[..., TransferFit]) -> None:
    fit = make_fit(("all",))
    text = page_figures.figures(fit, list(fit.variants.values()), _figures(fit))
    assert "other variants" not in text
    assert "All panels" not in text


def test_the_caption_speaks_of_a_number_only_where_one_is_drawn(make_fit: Callable[..., TransferFit]) -> None:
    for targets, told in (((), False), ((1024.0,), True)):
        fit = make_fit(("all",), targets=targets)
        text = page_figures.figures(fit, list(fit.variants.values()), _figures(fit))
        assert ("The number is the value to use" in text) == told
