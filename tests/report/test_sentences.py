from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from hptransfer.fit import TransferFit
from hptransfer.quantify.result import Estimate
from hptransfer.report import sentences


def test_one_variant_is_told_what_to_do(make_fit: Callable[..., TransferFit]) -> None:
    text = sentences.headline(make_fit(("all",)))
    assert text == "Neither keep the value nor follow its law; tune again."


def test_few_variants_are_named_and_many_counted(make_fit: Callable[..., TransferFit]) -> None:
    names = tuple("abcdefgh")
    few, many = (sentences.headline(make_fit(some)) for some in (names[:4], names))
    assert few.startswith("Keep the small models' value: c. Do not keep the value; follow its law: b.")
    assert few.endswith("whether its law holds is not known: d.")
    assert many.startswith("Keep the small models' value: 2. Do not keep the value; follow its law: 2.")


def test_both_answers_are_explained_with_their_costs(fit: TransferFit) -> None:
    assert sentences.explanation(fit, fit.variants["sp+embd"]) == (
        "Keep? No: the optimum of width 32 costs 0.112 nats [0.094, 0.131] at width 128, 2.8% of the loss, "
        "like 2.2 times less width. Extrapolate? Yes: what the law predicts costs 0.002 nats [0.000, 0.006] "
        "at width 128."
    )


def test_a_cost_that_may_be_nothing_is_told_by_its_upper_limit(fit: TransferFit) -> None:
    variant = fit.variants["mup"]
    cost = Estimate(1e-5, 0.0, 0.0062)
    verdict = replace(
        variant.verdict, keep=replace(variant.verdict.keep, cost=cost), other_cost=Estimate(0.5, 0.4, 0.6)
    )
    text = sentences.explanation(fit, replace(variant, verdict=verdict))
    assert "Keep? Yes: the optimum of width 32 costs at most 0.0062 nats at width 128" in text
    assert "(in muP coordinates 0.50 nats [0.40, 0.60])" in text


@pytest.mark.parametrize(("high", "said"), [(0.0103, "0.0103"), (0.0097, "0.0097"), (0.0131, "0.013")])
def test_rounding_puts_no_cost_on_the_other_side_of_the_tolerance(
    fit: TransferFit, high: float, said: str
) -> None:
    tolerated = replace(fit, settings={**fit.settings, "tolerance": 0.01})
    assert sentences.amount(tolerated, Estimate(1e-5, 0.0, high)) == f"at most {said} nats"


def test_a_value_is_written_in_the_coordinates_of_its_user(fit: TransferFit) -> None:
    sp = fit.variants["sp"]
    own = replace(sp, verdict=replace(sp.verdict, coordinates="mup", exponent=1, base=32.0))
    assert sentences.use_text(sp) == "0.00021?"
    assert sentences.use_text(own) == "0.0068? (muP)"  # 1,024 is 32 times the base
    assert "but for the answer" in sentences.extent(replace(fit, variants={"sp": own}))


def test_the_extent_counts_runs_and_names_the_coordinates(fit: TransferFit) -> None:
    lost = int(np.isnan(fit.sweep.loss).sum())
    assert sentences.extent(fit) == (
        f"270 runs of 3 variants over width 32 to 128, {lost} of them diverged. Intervals are 95% credible "
        "intervals. Learning rates are in SP coordinates."
    )
    one = fit.sweep.take((fit.sweep.scale == 32) & ~fit.sweep.diverged)
    bare = replace(fit, sweep=one, settings={"level": 0.9}, variants={"sp": fit.variants["sp"]})
    assert sentences.extent(bare) == (
        f"{len(one)} runs of 1 variant over width 32. Intervals are 90% credible intervals."
    )


def test_no_prediction_says_why(thin_fit: TransferFit) -> None:
    prediction = thin_fit.variants["mup"].predictions[0]
    assert sentences.no_prediction(thin_fit, prediction) == (
        "There is no prediction at width 1,024: too few scales with a usable optimum for a law."
    )
    silent = replace(prediction, flags=(), hp=Estimate())
    assert sentences.no_prediction(thin_fit, silent) == "There is no prediction at width 1,024."


def test_the_value_to_use_is_the_recommended_one_with_the_width_of_the_prediction(fit: TransferFit) -> None:
    prediction = fit.variants["sp"].predictions[0]
    use = sentences.value_to_use(prediction)
    assert use.value == prediction.hp_recommended
    assert use.high / use.low == pytest.approx(prediction.hp.high / prediction.hp.low)
    assert sentences.value_to_use(replace(prediction, hp_recommended=None)) == prediction.hp
    assert sentences.recommended(replace(prediction, hp_recommended=None)).value is None


def test_why_an_answer_is_not_known_is_said_in_words(fit: TransferFit) -> None:
    why = ("no cost at 96: outside_grid", "no cost at 64: outside_grid", "two_minima at 32", "the law bends")
    words = sentences.in_words(why, "not known at width", sentences.FLAG_MEANINGS)
    assert words[0] == "the law bends"
    assert words[1].startswith("not known at width 64 and 96: the value lies outside the grid")
    assert words[2].startswith("at width 32: the loss has two minima")
    law = sentences.in_words(("no cost at 128: no_laws",), "at width", sentences._OF_LAW)
    assert law == ["at width 128: without it, too few scales are left for a law to check"]


def test_the_hold_out_check_in_a_sentence(fit: TransferFit) -> None:
    assert sentences.holdout_sentence(fit, fit.variants["sp"]) == (
        "Fitted without width 128, the law predicts the optimum there 0.31 octaves too low; "
        "its interval does not hold it."
    )
    assert sentences.holdout_sentence(fit, replace(fit.variants["sp"], holdouts=())) == ""


def test_why_there_is_no_law(thin_fit: TransferFit) -> None:
    variant = thin_fit.variants["sp"]
    why = "too few scales with a usable optimum for a law"
    assert sentences.no_law(variant) == f"{why} (1 usable scale, a law needs 3)"
    assert sentences.no_law(replace(variant, flags=())) == why
