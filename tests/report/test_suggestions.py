"""Suggested runs in sentences: alike ones together, and no list that nobody reads."""

from __future__ import annotations

from dataclasses import replace

from hptransfer.fit import TransferFit
from hptransfer.quantify.result import SuggestedRun, Suggestion
from hptransfer.report import suggestions


def test_runs_of_one_scale_stand_together(fit: TransferFit) -> None:
    runs = [
        SuggestedRun(128.0, 0.022, 3, 1.2e12),
        SuggestedRun(128.0, 0.011, 3, 1.2e12),
        SuggestedRun(32.0, 0.5, 1),
    ]
    assert suggestions.runs_in_words(runs, fit) == (
        "width 128 at lr = 0.0110, 0.0220 (3 seeds each, 2.4e12 FLOPs); width 32 at lr = 0.500 (1 seed)"
    )


def test_scales_with_the_same_values_stand_together_and_many_values_are_a_range(fit: TransferFit) -> None:
    runs = [SuggestedRun(n, 0.001 * 2.0**i, 2) for n in (64.0, 32.0) for i in range(6)]
    assert suggestions.runs_in_words(runs, fit) == (
        "width 32 and 64 at lr = 0.00100 to 0.0320, each 2 times the last (2 seeds each)"
    )
    uneven = [SuggestedRun(64.0, eta, 1) for eta in (0.1, 0.2, 0.4, 0.8, 0.9)]
    assert "= 0.100, 0.200, 0.400, 0.800, 0.900 (" in suggestions.runs_in_words(uneven, fit)


def test_of_many_scales_a_few_are_named_and_the_others_counted(fit: TransferFit) -> None:
    runs = [SuggestedRun(32.0 * i, 0.001 * i * j, 2) for i in range(1, 13) for j in (1, 2)]
    text = suggestions.runs_in_words(runs, fit)
    assert text.count(" at lr = ") == 3
    assert text.endswith("; and 36 runs more, which the JSON lists")


def test_the_promise_the_price_and_whether_it_is_worth_it(fit: TransferFit) -> None:
    variant = fit.variants["mup"]
    assert (
        suggestions.suggestion(fit, replace(variant, verdict=replace(variant.verdict, suggested=None))) == ""
    )
    offered = Suggestion((SuggestedRun(64.0, 0.01, 3),), 0.875, 0.25, True, "another width: 64")
    text = suggestions.suggestion(fit, replace(variant, verdict=replace(variant.verdict, suggested=offered)))
    assert text == (
        "Suggested: another width: 64. In simulation this settles it in 88% of cases, for 25% of what was "
        "spent: width 64 at lr = 0.0100 (3 seeds)."
    )
    dear = replace(offered, cost_share=2.5, worth=False)
    text = suggestions.suggestion(fit, replace(variant, verdict=replace(variant.verdict, suggested=dear)))
    assert text == (
        "Suggested: another width: 64. In simulation this settles it in 88% of cases, for 2.5 times what was "
        "spent (3 runs, in the JSON): it may be better to live with the uncertainty."
    )
    even = replace(offered, cost_share=1.02)
    text = suggestions.suggestion(fit, replace(variant, verdict=replace(variant.verdict, suggested=even)))
    assert "for as much as was spent: width 64" in text


def test_where_nothing_helps_it_says_so(fit: TransferFit) -> None:
    variant, none = fit.variants["mup"], Suggestion((), None, None, False, "no runs: nothing helps")
    text = suggestions.suggestion(fit, replace(variant, verdict=replace(variant.verdict, suggested=none)))
    assert text == "Suggested: no runs: nothing helps."
