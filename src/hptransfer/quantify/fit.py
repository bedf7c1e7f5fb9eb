"""quantify(): landscape in, TransferFit out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hptransfer.errors import QuantifyError
from hptransfer.landscape import FloatArray, Landscape
from hptransfer.quantify.cells import cells_of
from hptransfer.quantify.joint import Laws, fit_laws
from hptransfer.quantify.laws import LossFit
from hptransfer.quantify.metrics import (
    LN2,
    envelope,
    exponents,
    fit_error,
    hp_error,
    kappa,
    reference_law,
    surface_residuals,
)
from hptransfer.quantify.optimum import Basins, fit_basins
from hptransfer.quantify.predict import optimum_draws, predict, regret_between
from hptransfer.quantify.resample import estimate, missing
from hptransfer.quantify.result import (
    Estimate,
    HoldOut,
    Law,
    Optimum,
    Prediction,
    Regret,
    TransferFit,
    VariantFit,
)
from hptransfer.quantify.verdict import decide
from hptransfer.version import __version__

FAMILIES = ("power", "offset", "const")
COORDINATES = ("sp", "mup")


@dataclass(frozen=True)
class _Settings:
    targets: tuple[float, ...]
    level: float
    tolerance: float
    resamples: int
    seed: int
    family: str | None
    reference: str | None
    holdout: int
    filter: float
    coordinates: str | None
    base_scale: float | None


def quantify(
    landscape: Landscape,
    *,
    targets: Sequence[float] = (),
    level: float = 0.95,
    tolerance: float = 0.01,
    resamples: int = 1000,
    seed: int = 0,
    family: str | None = None,
    reference: str | None = None,
    holdout: int = 1,
    filter: float = 1.35,
    coordinates: str | None = None,
    base_scale: float | None = None,
) -> TransferFit:
    """Measures how well a hyperparameter transfers across scales, for every variant of a landscape.

    Arguments:
        landscape: the runs.
        targets: scales to predict at, in the landscape's own units of scale.
        level: of the intervals, in (0, 1).
        tolerance: regret allowed by the verdict, nats.
        resamples: B, the number of bootstrap draws, at least 100.
        seed: of the draws; the same seed and landscape give the same result.
        family: of the optimum's law: `power`, `offset` or `const`; None lets AICc choose.
        reference: variant that R(inf) is measured from; None is the lower envelope of all variants.
        holdout: how many of the largest scales are left out, one more at a time, to check predictions.
        filter: cells with a loss above `filter` times the best of their scale do not enter E.
        coordinates: of the hyperparameter column, `sp` or `mup`; None if it is not a learning rate.
        base_scale: n0 at which both coordinates agree; recorded, and None means the smallest scale.

    Returns:
        Everything measured; what cannot be estimated is None, with the reason in `flags`.

    Raises:
        QuantifyError: a setting is out of range, or the landscape has no row that can be used.
    """
    settings = _Settings(
        tuple(float(t) for t in targets),
        float(level),
        float(tolerance),
        int(resamples),
        int(seed),
        family,
        reference,
        int(holdout),
        float(filter),
        coordinates,
        base_scale,
    )
    _check(settings)
    all_basins = fit_basins(list(cells_of(landscape)), settings.resamples, settings.seed)
    if reference is not None and reference not in [b.cells.variant for b in all_basins]:
        names = ", ".join(b.cells.variant for b in all_basins[:8])
        raise QuantifyError(
            f"the reference must be a variant of the landscape, but got {reference!r}; valid: {names}"
        )
    law = _reference(all_basins, settings)
    variants = {b.cells.variant: _variant(b, law, settings, i) for i, b in enumerate(all_basins)}
    used = {name: getattr(settings, name) for name in _Settings.__dataclass_fields__}
    return TransferFit(landscape, variants, used, __version__)


def _check(s: _Settings) -> None:
    if not 0.0 < s.level < 1.0:
        raise QuantifyError(f"0 < level < 1 must hold, but got level={s.level:g}")
    if not s.tolerance > 0:
        raise QuantifyError(f"tolerance must be positive, but got {s.tolerance:g}")
    if s.resamples < 100:
        raise QuantifyError(f"resamples must be at least 100, but got {s.resamples}")
    if s.family is not None and s.family not in FAMILIES:
        raise QuantifyError(f"family must be one of {', '.join(FAMILIES)}, but got {s.family!r}")
    if s.coordinates is not None and s.coordinates not in COORDINATES:
        raise QuantifyError(f"coordinates must be sp or mup, but got {s.coordinates!r}")
    if s.holdout < 0:
        raise QuantifyError(f"holdout must be 0 or more, but got {s.holdout}")
    if not s.filter > 1:
        raise QuantifyError(f"filter must be above 1, but got {s.filter:g}")
    for target in s.targets:
        if not (np.isfinite(target) and target > 0):
            raise QuantifyError(f"targets must be positive and finite, but got {target:g}")


def _reference(all_basins: list[Basins], s: _Settings) -> LossFit | None:
    chosen = [b for b in all_basins if s.reference in (None, b.cells.variant)]
    return reference_law(*envelope(chosen))


def _variant(basins: Basins, reference: LossFit | None, s: _Settings, i: int) -> VariantFit:
    rng = np.random.default_rng([s.seed, i])
    everything = np.ones(len(basins.cells.scale), dtype=bool)
    laws = fit_laws(basins, everything, s.family, rng)
    flags = _variant_flags(basins, laws)
    regrets = _regrets(basins, s.level)
    holdouts = tuple(_holdout(basins, k, s, rng) for k in range(s.holdout, 0, -1))
    predictions = tuple(
        predict(basins, laws, n, s.level, rng) if laws else _no_prediction(n) for n in s.targets
    )
    return VariantFit(
        name=basins.cells.variant,
        optima=tuple(_optimum(basins, k, s.level) for k in range(len(basins.cells.scale))),
        laws=_laws(basins, laws, s, rng) if laws else {},
        metrics=_metrics(basins, laws, reference, s, rng),
        regret=regrets,
        predictions=predictions,
        holdouts=holdouts,
        verdict=decide(basins, regrets, holdouts, s.tolerance),
        flags=flags,
    )


def _variant_flags(basins: Basins, laws: Laws | None) -> tuple[str, ...]:
    flags = []
    if laws is None:
        found = int(basins.fitted.sum())
        flags.append(f"no_laws: {found} usable scale{'' if found == 1 else 's'}, a law needs 3")
    else:
        flags += laws.flags
    if basins.cells.duplicates:
        flags.append(f"duplicates: {basins.cells.duplicates} identical rows dropped")
    return tuple(flags)


def _no_prediction(scale: float) -> Prediction:
    return Prediction(scale, missing("no_laws"), None, missing("no_laws"), None, ("no_laws",))


def _optimum(basins: Basins, k: int, level: float) -> Optimum:
    cells = basins.cells
    head = {"scale": float(cells.scale[k]), "runs": int(cells.runs[k]), "diverged": int(cells.diverged[k])}
    flags = basins.flags[k]
    if not basins.fitted[k]:
        hp = loss = missing(*flags)
        if basins.edge[k]:
            at = int(np.nanargmin(cells.loss[k]))
            bounds = [float(np.exp2(b)) if np.isfinite(b) else None for b in (basins.low[k], basins.high[k])]
            hp = Estimate(float(np.exp2(cells.x[k, at])), bounds[0], bounds[1], flags)
            loss = Estimate(float(cells.loss[k, at]), None, float(cells.loss[k, at]), flags)
        return Optimum(
            hp=hp, loss=loss, curvature=missing(*flags), log_curvature=missing(*flags), flags=flags, **head
        )
    x, x_draws = basins.x[k], basins.x_draws[:, k]
    h, h_draws = np.exp(basins.log_h[k]), np.exp(basins.log_h_draws[:, k])
    raw = h / (np.exp2(x) * LN2) ** 2
    raw_draws = h_draws / (np.exp2(x_draws) * LN2) ** 2
    usable = cells.x[k, cells.usable[k]]
    grid = np.linspace(max(usable[0], x - 3.0), min(usable[-1], x + 3.0), 61)
    return Optimum(
        hp=estimate(float(np.exp2(x)), np.exp2(x_draws), level),
        loss=estimate(basins.loss[k], basins.loss_draws[:, k], level),
        curvature=estimate(float(raw), raw_draws, level),
        log_curvature=estimate(float(h), h_draws, level),
        flags=flags,
        curve_hp=np.exp2(grid),
        curve_loss=basins.loss[k] + basins.excess_at(k, grid),
        **head,
    )


def _regrets(basins: Basins, level: float) -> tuple[Regret, ...]:
    scale = basins.cells.scale
    return tuple(
        Regret(
            float(scale[j]),
            float(scale[k]),
            regret_between(basins, k, basins.x[j], basins.x_draws[:, j], level),
        )
        for k in range(len(scale))
        for j in range(k)
    )


def _holdout(basins: Basins, k: int, s: _Settings, rng: np.random.Generator) -> HoldOut:
    scale = basins.cells.scale
    if len(scale) <= k:
        nothing = missing("too_few_scales")
        return HoldOut(float(scale[0]), nothing, nothing, None, nothing, None, ("too_few_scales",))
    held = len(scale) - k
    found = _optimum(basins, held, s.level).hp
    use = np.arange(len(scale)) < held
    laws = fit_laws(basins, use, s.family, rng)
    if laws is None:
        nothing = missing("no_laws")
        return HoldOut(float(scale[held]), nothing, found, None, nothing, None, ("no_laws",))
    draws = optimum_draws(laws, scale[held], rng)
    x = float(laws.hp.at(scale[held]))
    predicted = estimate(float(np.exp2(x)), np.exp2(draws), s.level)
    regret = regret_between(basins, held, x, draws, s.level)
    if not basins.fitted[held]:
        return HoldOut(float(scale[held]), predicted, found, None, regret, None, basins.flags[held])
    low, high = predicted.low or 0.0, predicted.high or np.inf
    covered = bool(low <= np.exp2(basins.x[held]) <= high)
    return HoldOut(
        float(scale[held]), predicted, found, x - float(basins.x[held]), regret, covered, laws.flags
    )


def _laws(basins: Basins, laws: Laws, s: _Settings, rng: np.random.Generator) -> dict[str, Law]:
    scale = basins.cells.scale
    top = max([float(scale[-1]), *s.targets])
    grid = np.geomspace(scale[0], top, 25)
    parts = exponents(laws)

    def band(draws: list[FloatArray]) -> tuple[FloatArray, FloatArray]:
        tail = 50 * (1 - s.level)
        low, high = np.percentile(np.stack(draws, axis=1), [tail, 100 - tail], axis=0)
        return low, high

    hp_low, hp_high = band([np.exp2(optimum_draws(laws, n, rng)) for n in grid])
    loss_low, loss_high = band([laws.loss.draws_at(n) for n in grid])
    to_raw = lambda log_h, x: np.exp(log_h) / (np.exp2(x) * LN2) ** 2  # noqa: E731
    raw_low, raw_high = band([to_raw(laws.log_h.draws_at(n), laws.hp.draws_at(n)) for n in grid])
    drift, gamma = parts["drift"], parts["gamma"]
    loss_names = ("L_inf", "A", "alpha")
    bound = laws.loss.point_at_bound
    return {
        "hp": Law(
            laws.family,
            estimate(*drift, s.level) if laws.family != "const" else Estimate(0.0, 0.0, 0.0),
            _hp_parameters(laws, s.level),
            laws.aicc,
            laws.hp.scatter,
            laws.flags,
            grid,
            np.exp2(laws.hp.at(grid)),
            hp_low,
            hp_high,
        ),
        "loss": Law(
            "power_offset",
            estimate(-parts["alpha"][0], -parts["alpha"][1], s.level),
            {
                name: estimate(laws.loss.parameters[i], laws.loss.draws[:, i], s.level)
                for i, name in enumerate(loss_names)
            },
            {},
            laws.loss.scatter,
            ("at_bound",) if bound else (),
            grid,
            laws.loss.at(grid),
            loss_low,
            loss_high,
        ),
        "curvature": Law(
            "power",
            estimate(*gamma, s.level),
            {},
            {},
            laws.log_h.scatter,
            (),
            grid,
            to_raw(laws.log_h.at(grid), laws.hp.at(grid)),
            raw_low,
            raw_high,
        ),
    }


def _hp_parameters(laws: Laws, level: float) -> dict[str, Estimate]:
    law = laws.hp
    if laws.family == "offset":
        eta, share = np.exp2(law.parameters[0]), law.parameters[2]
        etas, shares = np.exp2(law.draws[:, 0]), law.draws[:, 2]
        return {
            "eta_inf": estimate(float(eta), etas, level),
            "B": estimate(float(eta * share), etas * shares, level),
            "beta": estimate(float(law.parameters[1]), law.draws[:, 1], level),
        }
    coefficient = {"C": estimate(float(np.exp2(law.at(1.0))), np.exp2(law.draws_at(1.0)), level)}
    if laws.family == "power":
        coefficient["beta"] = estimate(-float(law.parameters[1]), -law.draws[:, 1], level)
    return coefficient


def _metrics(
    basins: Basins, laws: Laws | None, reference: LossFit | None, s: _Settings, rng: np.random.Generator
) -> dict[str, Estimate]:
    if laws is None:
        names = ("E", "E_hp", "kappa", "R_inf", "R_n", "alpha", "beta", "gamma", "drift")
        return {name: missing("no_laws") for name in names}
    parts = exponents(laws)
    out = {name: estimate(*part, s.level) for name, part in parts.items()}
    out["kappa"] = estimate(*kappa(parts, "beta"), s.level, "beta of the power family")
    if "beta_offset" in parts:
        out["kappa_offset"] = estimate(*kappa(parts, "beta_offset"), s.level, "beta of the offset family")
    out["E"] = fit_error(surface_residuals(basins, laws, s.filter), s.resamples, s.level, rng)
    out["E_hp"] = hp_error(basins, laws, s.level)
    if reference is not None:
        largest = float(basins.cells.scale[basins.fitted].max())
        ref = reference.draws[laws.index]
        at_bound = ("at_bound",) if laws.loss.point_at_bound or reference.point_at_bound else ()
        out["R_inf"] = estimate(
            laws.loss.parameters[0] - reference.parameters[0],
            laws.loss.draws[:, 0] - ref[:, 0],
            s.level,
            *at_bound,
        )
        out["R_n"] = estimate(
            float(laws.loss.at(largest) - reference.at(largest)),
            laws.loss.draws_at(largest) - reference.draws_at(largest)[laws.index],
            s.level,
        )
    if s.coordinates:
        shift = {"sp": 0.0, "mup": 1.0}
        for name in COORDINATES:
            by = shift[name] - shift[s.coordinates]
            out[f"drift_{name}"] = estimate(parts["drift"][0] + by, parts["drift"][1] + by, s.level)
    return out
