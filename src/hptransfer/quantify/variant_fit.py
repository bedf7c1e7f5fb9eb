"""Everything measured about one variant, put together from its basins."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from hptransfer.parametrization.optimizers import family
from hptransfer.quantify.basin.basins import Basins
from hptransfer.quantify.holdout import Known, check
from hptransfer.quantify.intervals import MetricDraws
from hptransfer.quantify.law.laws import Laws, fit_laws, laws_beyond
from hptransfer.quantify.metrics import MetricInputs, compute_metrics
from hptransfer.quantify.pooling import pooled
from hptransfer.quantify.predict import all_regrets, no_prediction, predict
from hptransfer.quantify.reference import Reference
from hptransfer.quantify.result import VariantFit
from hptransfer.quantify.settings import MIN_DRAWS, Settings
from hptransfer.quantify.summarize import laws_of, optimum
from hptransfer.quantify.verdict import Evidence, decide, tolerance_flags
from hptransfer.sweep.table import FloatArray, SweepTable


@dataclass(frozen=True)
class FitContext:
    """What the fits of all variants have in common."""

    sweep: SweepTable  # the runs
    settings: Settings  # of the fit
    reference: Reference | None  # what R is measured from; None where no variant has an optimum
    initial_losses: Mapping[str, float]  # at initialisation, nats, by variant, where the sweep table has them
    kept_draws: int  # draws of every metric kept for `compare`


def measure(known: Known, refits: list[Known | None], place: int, context: FitContext) -> VariantFit:
    """Laws, metrics, predictions, hold-outs and the verdict of the variant at this place among all.

    `refits` is what is known without the largest scales, most left out first; None where nothing is. What is
    said of scales without runs (`beyond`) goes by the other variants too, what is measured does not.
    """
    s, basins = context.settings, known.basins
    name = basins.cells.variant
    rng = np.random.default_rng([s.seed, 3, place])
    laws = beyond = fit_laws(basins, s.family, rng)
    if laws is not None and known.others is not None:
        beyond = laws_beyond(laws, basins, s.family, np.random.default_rng([s.seed, 7, place]), known.others)
    pool = pooled(basins, laws, np.random.default_rng([s.seed, 4, place]))
    regrets = all_regrets(pool, laws.loss if laws else None, s.level)
    holdouts = tuple(
        check(basins, refit, k, s, rng) for refit, k in zip(refits, range(s.holdout, 0, -1), strict=True)
    )
    inputs = MetricInputs(
        basins=basins,
        pooled=pool,
        laws=laws,
        reference=context.reference,
        initial_loss=context.initial_losses.get(name),
        optimizer=family(context.sweep.optimizer_of(name)),
        settings=s,
        rng=rng,
    )
    metrics = compute_metrics(inputs)
    bands = laws_of(pool, laws, s, rng, beyond) if laws else {}
    predictions = tuple(
        predict(pool, beyond, n, s.level, rng) if beyond else no_prediction(n) for n in s.targets
    )
    ahead = np.random.default_rng([s.seed, 5, place])
    return VariantFit(
        name=name,
        optima=tuple(optimum(pool, k, s.level, basins if laws else None) for k in range(len(pool.fitted))),
        laws=bands,
        metrics={metric: found.estimate for metric, found in metrics.items()},
        regret=regrets,
        predictions=predictions,
        holdouts=holdouts,
        verdict=decide(Evidence(pool, beyond, holdouts, predictions, context.sweep, s, ahead)),
        flags=(*_flags(pool, laws), *tolerance_flags(pool, s.tolerance)),
        draws=_kept(metrics, context.kept_draws),
    )


def _kept(metrics: Mapping[str, MetricDraws], keep: int) -> dict[str, FloatArray]:
    """The first `keep` draws of every metric, in single precision; none where that is too few to use.

    A draw beyond what single precision holds is kept as the last that it does.
    """
    if keep < MIN_DRAWS:
        return {}
    found, most = ((name, metric.draws) for name, metric in metrics.items()), np.finfo(np.float32).max
    return {
        name: np.clip(draws[:keep], -most, most).astype(np.float32)
        for name, draws in found
        if draws is not None
    }


def _flags(basins: Basins, laws: Laws | None) -> tuple[str, ...]:
    flags = []
    if laws is None:
        found = int(basins.fitted.sum())
        flags.append(f"no_laws: {found} usable scale{'' if found == 1 else 's'}, a law needs 3")
    else:
        flags += laws.flags
    if basins.cells.count.max(initial=0) == 1:
        flags.append("one_seed")
    if basins.cells.duplicates:
        flags.append(f"duplicates: {basins.cells.duplicates} identical rows dropped")
    return tuple(flags)
