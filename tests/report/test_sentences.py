from collections.abc import Callable
from dataclasses import replace
from typing import get_args

import numpy as np
import pytest

from hptransfer.fit import TransferFit
from hptransfer.quantify.result import Estimate, SuggestedRun, VerdictValue
from hptransfer.report import sentences


def test_one_variant_is_told_what_its_verdict_means(make_fit: Callable[..., TransferFit]) -> None:
    text = sentences.headline(make_fit(("all",)))
    assert text == "Unpredictable: neither keeping the value nor following its law is safe."


def test_few_variants_are_named_and_many_counted(make_fit: Callable[..., TransferFit]) -> None:
    names = tuple("abcdefgh")
    assert sentences.headline(make_fit(names[:4])) == (
        "c is invariant; b is predictable; a is unpredictable; d is undecided."
    )
    assert sentences.headline(make_fit(names)) == (
        "Of 8 variants, 2 are invariant, 2 are predictable, 2 are unpredictable and 2 are undecided."
    )


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


def test_suggested_runs_of_one_scale_stand_together(fit: TransferFit) -> None:
    runs = [
        SuggestedRun(128.0, 0.011, 3, 1.2e12),
        SuggestedRun(128.0, 0.022, 3, 1.2e12),
        SuggestedRun(32.0, 0.5, 1),
    ]
    assert sentences.suggestions(runs, fit) == (
        "width 128 at lr = 0.0110, 0.0220 (3 seeds each, 2.4e12 FLOPs); width 32 at lr = 0.500 (1 seed)"
    )


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


def test_every_verdict_has_its_meaning() -> None:
    assert set(sentences.VERDICT_MEANINGS) == set(get_args(VerdictValue))
