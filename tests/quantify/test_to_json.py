import json
import math

import numpy as np
import pytest

from hptransfer.fit import TransferFit, quantify
from hptransfer.quantify.result import (
    Answer,
    Estimate,
    HoldOut,
    Law,
    Optimum,
    Prediction,
    Regret,
    SuggestedRun,
    Suggestion,
    VariantFit,
    Verdict,
)
from hptransfer.quantify.to_json import plain, to_json_dict
from hptransfer.sweep.table import Source, SweepTable

WIDTHS = (64.0, 128.0, 256.0, 512.0)


def sweep_table(widths=WIDTHS, variants=("sp", "mup")):
    rows = [(v, n, 2.0**-x) for v in variants for n in widths for x in range(3, 12)]
    variant, scale, hp = map(np.array, zip(*rows, strict=True))
    best = -7 - np.where(variant == "sp", np.log2(scale / 64), 0)
    loss = 3 + (scale / 64) ** -0.5 + 0.05 * (np.log2(hp) - best) ** 2
    return SweepTable(variant, scale, hp, ["0"] * len(hp), loss, source=Source("runs.csv", "ab12"))


@pytest.fixture(scope="module")
def document():
    return to_json_dict(quantify(sweep_table(), targets=[2048], draws=100))


def test_the_keys_of_schema_1(document):
    assert document["schema"] == 1
    assert document["source"] == {"path": "runs.csv", "sha256": "ab12"}
    assert {"version", "settings", "variants"} <= set(document)
    assert set(document["variants"]) == {"sp", "mup"}
    variant = document["variants"]["sp"]
    assert {"optima", "laws", "metrics", "regret", "predictions", "verdict", "flags"} <= set(variant)
    optimum = {"scale", "runs", "diverged", "flags"} | {
        name + limit for name in ("hp", "loss", "curvature") for limit in ("", "_low", "_high")
    }
    assert optimum <= set(variant["optima"][0])
    assert set(variant["laws"]) >= {"hp", "loss", "curvature"}
    assert {"family", "exponent", "exponent_low", "exponent_high"} <= set(variant["laws"]["hp"])
    assert {"E", "kappa", "R_inf", "alpha", "beta", "gamma"} <= set(variant["metrics"])
    assert {"value", "low", "high"} <= set(variant["metrics"]["E"])
    assert {"from", "to", "value", "low", "high"} <= set(variant["regret"][0])
    prediction = {"scale", "hp", "hp_low", "hp_high", "hp_recommended", "loss", "regret", "flags"}
    assert prediction <= set(variant["predictions"][0])
    assert {"value", "reason"} <= set(variant["verdict"])


def test_the_numbers_are_those_of_the_fit(document):
    fit = quantify(sweep_table(), targets=[2048], draws=100)
    sp, written = fit.variants["sp"], document["variants"]["sp"]
    assert written["optima"][1]["hp"] == sp.optima[1].hp.value
    assert written["laws"]["hp"]["exponent"] == sp.laws["hp"].exponent.value
    assert written["predictions"][0]["hp_low"] == sp.predictions[0].hp.low
    assert written["metrics"]["kappa"]["high"] == sp.metrics["kappa"].high
    assert written["regret"][0]["from"] == sp.regret[0].source
    assert len(written["holdouts"]) == len(sp.holdouts)


def nulls(node, flags=()):
    """Paths of nulls that no flag at their level or above explains."""
    if isinstance(node, dict):
        here = (*flags, *node.get("flags", ()))
        for key, value in node.items():
            if value is None and not here and key not in ("flops", "covered"):
                yield key
            yield from nulls(value, here)
    elif isinstance(node, list):
        for item in node:
            yield from nulls(item, flags)


@pytest.mark.parametrize("widths", [(64.0,), (64.0, 128.0), WIDTHS])
def test_thin_data_gives_nulls_with_reasons_and_no_nan(widths):
    document = to_json_dict(quantify(sweep_table(widths), targets=[4096], draws=100))
    json.dumps(document, allow_nan=False)
    assert list(nulls(document["variants"])) == []


def test_nothing_known_is_written_as_null_with_a_flag():
    none, odd = Estimate(), Estimate(math.nan, -math.inf, math.inf, ("at_edge",))
    unknown = Answer("not known", none, none, none, None, "nothing is known")
    suggested = Suggestion((SuggestedRun(64.0, 0.1, 2),), 0.9, 0.5, True, "more seeds")
    variant = VariantFit(
        "v",
        (Optimum(64.0, odd, none, none, none, 3, 3),),
        {"hp": Law("power", none, {"C": odd}, {"power": math.nan})},
        {"E": none},
        (Regret(64.0, 128.0, none),),
        (Prediction(256.0, none, None, none, None),),
        (HoldOut(128.0, none, none, None, none, None),),
        Verdict("undecided", "nothing is known", 0.01, unknown, unknown, suggested=suggested),
    )
    fit = TransferFit(sweep_table(), {"v": variant}, {"level": np.float64(0.95), "n": (1, math.inf)}, "0")
    written = to_json_dict(fit)["variants"]["v"]
    json.dumps(written, allow_nan=False)
    assert written["optima"][0]["flags"] == ["at_edge"]
    assert written["optima"][0]["hp_low"] is None
    assert written["metrics"]["E"] == {"value": None, "low": None, "high": None, "flags": ["not_estimated"]}
    assert written["laws"]["loss"] is None
    assert written["laws"]["hp"]["aicc"] == {"power": None}
    assert written["predictions"][0]["flags"] == ["not_estimated"]
    assert written["holdouts"][0]["covered"] is None
    assert written["verdict"]["suggested"]["runs"][0]["flops"] is None
    assert written["verdict"]["keep"]["flags"] == ["not_estimated"]
    assert to_json_dict(fit)["settings"] == {"level": 0.95, "n": [1, None]}


def test_settings_of_any_kind_become_plain():
    value = {"a": np.array([1.0, np.nan]), 2: {3}, "c": np.int64(4), "d": True, "e": WIDTHS[:1], "f": object}
    assert plain(value) == {"a": [1.0, None], "2": [3], "c": 4, "d": True, "e": [64.0], "f": str(object)}
