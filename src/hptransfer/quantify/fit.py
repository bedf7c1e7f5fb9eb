"""quantify(): landscape in, TransferFit out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import numpy as np

from hptransfer.landscape import FloatArray, Landscape
from hptransfer.quantify.cells import cells_of
from hptransfer.quantify.holdout import check, without_largest
from hptransfer.quantify.joint import Laws, fit_laws
from hptransfer.quantify.metrics import Part, Reference, law_metrics, no_law_metrics, penalties, reference
from hptransfer.quantify.optimum import Basins, fit_basins
from hptransfer.quantify.pooling import pooled
from hptransfer.quantify.predict import all_regrets, no_prediction, predict
from hptransfer.quantify.present import laws_of, optimum
from hptransfer.quantify.result import TransferFit, VariantFit
from hptransfer.quantify.settings import Settings
from hptransfer.quantify.sisters import sisters
from hptransfer.quantify.verdict import decide
from hptransfer.version import __version__

BLOCK = 256  # variants whose hold-out refits are held in memory at once
MOST_DRAWS = 16_000_000  # numbers kept for `compare`, over all variants: 64 MB


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
        QuantifyError: a setting is out of range.
    """
    settings = Settings(
        targets=tuple(float(t) for t in targets),
        level=float(level),
        tolerance=float(tolerance),
        resamples=int(resamples),
        seed=int(seed),
        family=family,
        reference=reference,
        holdout=int(holdout),
        filter=float(filter),
        coordinates=coordinates,
        base_scale=None if base_scale is None else float(base_scale),
    )
    cells = list(cells_of(landscape))
    settings.check_reference([c.variant for c in cells])
    all_basins = fit_basins(cells, settings.resamples, settings.seed)
    against = _reference(all_basins, settings)
    keep = MOST_DRAWS // (20 * len(all_basins))
    initial = _initial_losses(landscape)
    variants = {}
    for start in range(0, len(all_basins), BLOCK):
        block = all_basins[start : start + BLOCK]
        refits = [without_largest(block, k, settings) for k in range(settings.holdout, 0, -1)]
        for i, basins in enumerate(block):
            learned, name = [refit[i] for refit in refits], basins.cells.variant
            variants[name] = _variant(
                basins, learned, against, settings, start + i, keep, initial.get(name), landscape
            )
    return TransferFit(landscape, variants, asdict(settings), __version__)


def _reference(all_basins: list[Basins], s: Settings) -> Reference | None:
    return reference([b for b in all_basins if s.reference in (None, b.cells.variant)])


def _initial_losses(landscape: Landscape) -> dict[str, float]:
    """Median loss at initialisation of each variant, where the landscape has that column."""
    if "initial_loss" not in landscape.extra:
        return {}
    column = np.asarray(landscape.extra["initial_loss"], dtype=np.float64)
    known = np.isfinite(column)
    names = np.unique(landscape.variant[known])
    return {str(n): float(np.median(column[known & (landscape.variant == n)])) for n in names}


def _variant(
    basins: Basins,
    learned: list[Basins | None],
    against: Reference | None,
    s: Settings,
    i: int,
    keep: int,
    initial: float | None,
    landscape: Landscape,
) -> VariantFit:
    rng = np.random.default_rng([s.seed, 3, i])
    laws = fit_laws(basins, s.family, rng)
    own, basins = basins, pooled(basins, laws, np.random.default_rng([s.seed, 4, i]))
    regrets = all_regrets(basins, laws.loss if laws else None, s.level)
    holdouts = tuple(
        check(own, refit, k, s, rng) for refit, k in zip(learned, range(s.holdout, 0, -1), strict=True)
    )
    parts: dict[str, Part] = {
        **(law_metrics(own, laws, s, rng) if laws else no_law_metrics()),
        **penalties(basins, laws, against, s.level),
        **sisters(basins, laws, initial, s.level, rng),
    }
    return VariantFit(
        name=basins.cells.variant,
        optima=tuple(optimum(basins, k, s.level) for k in range(len(basins.cells.scale))),
        laws=laws_of(basins, laws, s.targets, s.level, rng) if laws else {},
        metrics={name: part[0] for name, part in parts.items()},
        regret=regrets,
        predictions=tuple(
            predict(basins, laws, n, s.level, rng) if laws else no_prediction(n) for n in s.targets
        ),
        holdouts=holdouts,
        verdict=decide(basins, regrets, holdouts, s, landscape),
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
