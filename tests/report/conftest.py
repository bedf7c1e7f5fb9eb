"""TransferFits to report on, simulated: known truth, noisy runs, intervals of the right size."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from hptransfer.fit import TransferFit
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
from hptransfer.sweep.table import Columns, FloatArray, Source, SweepTable

SCALES = (32.0, 48.0, 64.0, 96.0, 128.0)
TARGET = 1024.0
VERDICTS = ("unpredictable", "predictable", "invariant", "undecided")
_T = 1.96


class Truth:
    """One variant: eta* = 2^(x0 + drift log2(n/32)), L* = 2.9 + A n^-0.5, a skewed basin with a cliff."""

    def __init__(self, index: int, drift: float) -> None:
        self.index, self.drift = index, drift
        self.gap = 0.12 / (1 + index)

    def x(self, n: float | FloatArray) -> FloatArray:
        return np.asarray(-6.1 + 0.13 * self.index + self.drift * np.log2(np.asarray(n) / 32))

    def loss(self, n: float | FloatArray) -> FloatArray:
        return np.asarray(2.9 + self.gap + 11 * np.asarray(n, dtype=float) ** -0.5)

    def basin(self, d: FloatArray) -> FloatArray:
        return 0.028 * d**2 * (1 + 0.22 * np.tanh(d)) + 0.05 * np.clip(d - 1.6, 0, None) ** 3


def _estimate(value: float, half: float, *flags: str) -> Estimate:
    return Estimate(float(value), float(value - half), float(value + half), flags)


def _hp(x: float, half: float, *flags: str) -> Estimate:
    return Estimate(float(2.0**x), float(2.0 ** (x - half)), float(2.0 ** (x + half)), flags)


def _optimum(truth: Truth, n: float, runs: int, diverged: int) -> Optimum:
    x, d = float(truth.x(n)), np.linspace(-2.2, 2.2, 41)
    return Optimum(
        scale=n,
        hp=_hp(x + 0.02 * np.sin(n), 0.09),
        loss=_estimate(float(truth.loss(n)), 0.006),
        curvature=_estimate(0.056 / (2.0**x * np.log(2)) ** 2, 60),
        log_curvature=_estimate(0.056, 0.009),
        runs=runs,
        diverged=diverged,
        curve_hp=2.0 ** (x + d),
        curve_loss=truth.loss(n) + truth.basin(d),
    )


def _law(truth: Truth, largest: float, target: float, quantity: str) -> Law:
    n = np.geomspace(SCALES[0], target, 60)
    reach = 0.05 + 0.07 * np.clip(np.log2(n / largest), 0, None)
    if quantity == "hp":
        x, flags = truth.x(n), ("bend",) if truth.index == 0 else ()
        return Law(
            "power",
            _estimate(truth.drift, 0.06),
            {"C": _estimate(0.4, 0.02), "beta": _estimate(-truth.drift, 0.06)},
            {"power": -31.2, "offset": -28.9, "const": 4.1},
            0.021,
            flags,
            n,
            2.0**x,
            2.0 ** (x - reach),
            2.0 ** (x + reach),
        )
    loss = truth.loss(n)
    return Law(
        "power_offset",
        _estimate(-0.5, 0.07),
        {"L_inf": _estimate(2.9 + truth.gap, 0.04), "A": _estimate(11, 1.2), "alpha": _estimate(0.5, 0.07)},
        {},
        0.003,
        (),
        n,
        loss,
        loss - 0.2 * reach,
        loss + 0.2 * reach,
    )


def _metrics(truth: Truth) -> dict[str, Estimate]:
    d, k = truth.drift, truth.index
    return {
        "drift": _estimate(d, 0.06),
        "drift_sp": _estimate(d, 0.06),
        "drift_mup": _estimate(d + 1, 0.06),
        "E": Estimate(2.2e-5 * (k + 1), 1.9e-5 * (k + 1), 3.04e-5 * (k + 1)),
        "E_hp": _estimate(0.031, 0.012),
        "kappa": _estimate(0.5 + 0.21 * k, 0.33),
        "R_inf": _estimate(truth.gap - 0.04, 0.06) if k != 1 else Estimate(0.02, -0.31, 0.4, ("at_bound",)),
        "R_n": _estimate(truth.gap - 0.04, 0.008),
        "alpha": _estimate(0.5, 0.07),
        "beta": _estimate(-d, 0.06),
        "gamma": _estimate(-2 * d, 0.3),
    }


def _prediction(truth: Truth, target: float) -> Prediction:
    x = float(truth.x(target))
    return Prediction(
        target,
        _hp(x, 0.26),
        2.0 ** (x - 0.09),
        _estimate(float(truth.loss(target)), 0.05),
        0.0008,
        ("long_extrapolation",) if target > 8 * SCALES[-1] - 1 else (),
    )


def _holdout(truth: Truth, n: float) -> HoldOut:
    x, off = float(truth.x(n)), 0.05 if truth.index else -0.31
    return HoldOut(n, _hp(x + off, 0.2), _hp(x, 0.09), off, Estimate(0.002, 0.0, 0.006), abs(off) < 0.2)


ANSWERS = {
    "unpredictable": ("no", "no"),
    "predictable": ("no", "yes"),
    "invariant": ("yes", "yes"),
    "undecided": ("no", "not known"),
}


def answer(value: str, why: tuple[str, ...] = ()) -> Answer:
    cost = Estimate(0.002, 0.0, 0.006) if value == "yes" else Estimate(0.112, 0.094, 0.131)
    reason = f"{value}, costs 0.112 nats (0.094 to 0.131) at width 128"
    return Answer(value, cost, cost.times(1 / 4.0), cost.times(20.0), 128.0, reason, why)  # type: ignore[arg-type]


def verdict(value: str, hp: Estimate | None = None, suggested: Suggestion | None = None) -> Verdict:
    keep, law = (answer(word, ("the law bends",) if word == "not known" else ()) for word in ANSWERS[value])
    reason = f"{keep.reason}; {law.reason}"
    error = Estimate(0.05, 0.04, 0.06)
    return Verdict(
        value, reason, 0.01, keep, law, "sp", kept_hp=hp or Estimate(), error_cost=error, suggested=suggested
    )  # type: ignore[arg-type]


def _verdict(truth: Truth) -> Verdict:
    value = VERDICTS[truth.index % 4]
    runs = (SuggestedRun(128.0, 0.011, 3, 2.4e12),)
    found = Suggestion(runs, 0.875, 0.31, True, "more seeds near the optima")
    return verdict(value, _hp(float(truth.x(32.0)), 0.09), found if value == "undecided" else None)


def _rows(truth: Truth, name: str, seeds: int, rng: np.random.Generator) -> list[tuple]:
    rows = []
    for n in SCALES:
        centre = round(float(truth.x(n)))
        for x in range(centre - 4, centre + 5):
            for seed in range(seeds):
                d = np.asarray(x - float(truth.x(n)))
                loss = float(truth.loss(n) + truth.basin(d) + rng.normal(0, 0.004))
                rows.append((name, n, 2.0**x, str(seed), np.nan if d > 3.2 else loss))
    return rows


def _sweep(truths: dict[str, Truth], seeds: int) -> SweepTable:
    rng = np.random.default_rng(0)
    rows = [row for name, truth in truths.items() for row in _rows(truth, name, seeds, rng)]
    variant, scale, hp, seed, loss = zip(*rows, strict=True)
    return SweepTable(
        variant=np.asarray(variant, dtype=np.str_),
        scale=np.asarray(scale),
        hp=np.asarray(hp),
        seed=np.asarray(seed, dtype=np.str_),
        loss=np.asarray(loss),
        columns=Columns(),
        source=Source("runs.csv", "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"),
    )


def _variant(truth: Truth, name: str, sweep: SweepTable, targets: tuple[float, ...]) -> VariantFit:
    optima = []
    for n in SCALES:
        here = (sweep.variant == name) & (sweep.scale == n)
        optima.append(_optimum(truth, n, int(here.sum()), int(np.isnan(sweep.loss[here]).sum())))
    regret = tuple(
        Regret(a, b, Estimate(c := float(truth.basin(truth.x(a) - truth.x(b))), 0.8 * c, 1.2 * c))
        for i, b in enumerate(SCALES)
        for a in SCALES[:i]
    )
    end = max(targets, default=SCALES[-1])
    return VariantFit(
        name,
        tuple(optima),
        {q: _law(truth, SCALES[-1], end, q) for q in ("hp", "loss")},
        _metrics(truth),
        regret,
        tuple(_prediction(truth, t) for t in targets),
        (_holdout(truth, SCALES[-1]),),
        _verdict(truth),
        ("one_seed",) if truth.index == 0 else (),
    )


def simulate(
    names: tuple[str, ...] = ("sp", "sp+embd", "mup"), targets: tuple[float, ...] = (TARGET,), seeds: int = 2
) -> TransferFit:
    truths = {name: Truth(i, -1.0 - 0.1 * (2 - i % 4)) for i, name in enumerate(names)}
    sweep = _sweep(truths, seeds)
    variants = {name: _variant(truth, name, sweep, targets) for name, truth in truths.items()}
    settings = {"level": 0.95, "tolerance": 0.01, "seed": 0, "draws": 1000, "coordinates": "sp"}
    provenance = {"commit": "126b212", "spec": "5d41402abc4b2a76", "hardware": "2 cores", "seeds": [0, 1]}
    return TransferFit(sweep, variants, settings, "0.1.0", provenance)


def thin(fit: TransferFit) -> TransferFit:
    """Only the first scale's optimum known: no law, no metric, no prediction, no hold-out, no regret."""
    nothing = Estimate(flags=("no_laws",))
    variants = {
        name: replace(
            v,
            optima=v.optima[:1],
            laws={},
            metrics=dict.fromkeys(v.metrics, nothing),
            regret=(),
            predictions=(Prediction(TARGET, nothing, None, nothing, None, ("no_laws",)),),
            holdouts=(),
            verdict=replace(
                verdict("undecided"),
                keep=replace(answer("not known", ("one width only",)), cost=nothing, scale=None),
                extrapolate=replace(answer("not known"), cost=nothing, scale=None),
                error_cost=nothing,
            ),
            flags=("no_laws: 1 usable scale, a law needs 3",),
        )
        for name, v in fit.variants.items()
    }
    return replace(fit, variants=variants)


def lost_scale(fit: TransferFit) -> TransferFit:
    """Every run of the largest scale of the first variant diverged."""
    name, variant = next(iter(fit.variants.items()))
    sweep = fit.sweep
    loss = np.where((sweep.variant == name) & (sweep.scale == SCALES[-1]), np.nan, sweep.loss)
    gone, last = Estimate(flags=("all_diverged",)), variant.optima[-1]
    last = Optimum(last.scale, gone, gone, gone, gone, last.runs, last.runs, ("all_diverged",))
    variant = replace(variant, optima=(*variant.optima[:-1], last))
    return replace(fit, sweep=replace(sweep, loss=loss), variants={**fit.variants, name: variant})


@pytest.fixture(scope="session")
def fit() -> TransferFit:
    return simulate()


@pytest.fixture(scope="session")
def make_fit() -> Callable[..., TransferFit]:
    return simulate


@pytest.fixture(scope="session")
def thin_fit(fit: TransferFit) -> TransferFit:
    return thin(fit)


@pytest.fixture(scope="session")
def lost_scale_fit(fit: TransferFit) -> TransferFit:
    return lost_scale(fit)
