"""Everything measured about one variant, put together from its basins."""

from __future__ import annotations

import numpy as np

from hptransfer.parametrization.optimizers import family
from hptransfer.quantify.basin.basins import Basins
from hptransfer.quantify.comparison_metrics import sisters
from hptransfer.quantify.holdout import check
from hptransfer.quantify.law.laws import Laws, fit_laws
from hptransfer.quantify.metrics import Part, Reference, law_metrics, no_law_metrics, penalties
from hptransfer.quantify.pooling import pooled
from hptransfer.quantify.predict import all_regrets, no_prediction, predict
from hptransfer.quantify.result import VariantFit
from hptransfer.quantify.settings import Settings
from hptransfer.quantify.summarize import laws_of, optimum
from hptransfer.quantify.verdict import decide
from hptransfer.sweep.table import FloatArray, SweepTable


def measure(
    basins: Basins,
    learned: list[Basins | None],
    against: Reference | None,
    s: Settings,
    i: int,
    keep: int,
    initial: float | None,
    sweep: SweepTable,
) -> VariantFit:
    """Laws, metrics, predictions, hold-outs and the verdict of one variant.

    Args:
        basins: of all its scales.
        learned: basins refitted without the largest scales, most left out first; None where none is left.
        against: what R is measured from.
        s: the settings.
        i: its place among all variants, for the seed.
        keep: draws of every metric kept for `compare`.
        initial: loss at initialisation, nats; None where the sweep table does not say.
        sweep: the runs, for their FLOPs.
    """
    optimizer = family(sweep.optimizer_of(basins.cells.variant))
    rng = np.random.default_rng([s.seed, 3, i])
    laws = fit_laws(basins, s.family, rng)
    own, basins = basins, pooled(basins, laws, np.random.default_rng([s.seed, 4, i]))
    regrets = all_regrets(basins, laws.loss if laws else None, s.level)
    holdouts = tuple(
        check(own, refit, k, s, rng) for refit, k in zip(learned, range(s.holdout, 0, -1), strict=True)
    )
    parts: dict[str, Part] = {
        **(law_metrics(own, laws, s, optimizer, rng) if laws else no_law_metrics()),
        **penalties(basins, laws, against, s.level),
        **sisters(basins, laws, initial, s.level, rng),
    }
    return VariantFit(
        name=basins.cells.variant,
        optima=tuple(optimum(basins, k, s.level, own if laws else None) for k in range(len(own.fitted))),
        laws=laws_of(basins, laws, s.targets, s.level, rng) if laws else {},
        metrics={name: part[0] for name, part in parts.items()},
        regret=regrets,
        predictions=tuple(
            predict(basins, laws, n, s.level, rng) if laws else no_prediction(n) for n in s.targets
        ),
        holdouts=holdouts,
        verdict=decide(basins, regrets, holdouts, s, sweep),
        flags=_flags(basins, laws),
        draws=_kept(parts, keep),
    )


def _kept(parts: dict[str, Part], keep: int) -> dict[str, FloatArray]:
    """The first `keep` draws of every metric, in single precision; none where that is too few to use."""
    if keep < 100:
        return {}
    return {name: draws[:keep].astype(np.float32) for name, (_, draws) in parts.items() if draws is not None}


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
