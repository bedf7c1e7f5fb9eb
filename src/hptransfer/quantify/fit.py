"""quantify(): sweep table in, TransferFit out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from threadpoolctl import threadpool_limits

from hptransfer.parametrization.coordinates import Coordinates
from hptransfer.parametrization.optimizers import get_optimizer
from hptransfer.quantify.parallel import fit_variants
from hptransfer.quantify.result import TransferFit
from hptransfer.quantify.settings import Settings
from hptransfer.sweep.table import SweepTable
from hptransfer.version import __version__


def quantify(
    sweep: SweepTable,
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
    coordinates: Coordinates | None = None,
    base_scale: float | None = None,
) -> TransferFit:
    """Measures how well a hyperparameter transfers across scales, for every variant of a sweep table.

    Arguments:
        sweep: the runs.
        targets: scales to predict at, in the sweep table's own units of scale.
        level: of the intervals, in (0, 1).
        tolerance: regret allowed by the verdict, nats.
        resamples: B, the number of bootstrap draws, at least 100.
        seed: of the draws; the same seed and sweep table give the same result.
        family: of the optimum's law: `power`, `offset` or `const`; None lets AICc choose.
        reference: variant that R(inf) is measured from; None is the lower envelope of all variants.
        holdout: how many of the largest scales are left out, one more at a time, to check predictions.
        filter: cells with a loss above `filter` times the best of their scale do not enter E.
        coordinates: of the hyperparameter column, `sp` or `mup`; None if it is not a learning rate. How one
            becomes the other goes by the optimizer that the sweep table names for the variant.
        base_scale: n0 at which both coordinates agree; recorded, and None means the smallest scale.

    Returns:
        Everything measured; what cannot be estimated is None, with the reason in `flags`.

    Raises:
        QuantifyError: a setting is out of range.
        RuleError: the sweep table names an optimizer that is not known.
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
    names = list(dict.fromkeys(map(str, sweep.variant)))
    settings.check_reference(names)
    for name in names:
        get_optimizer(sweep.optimizer_of(name))  # an unknown one is an error before anything is fitted
    # The matrices are small: threads of the linear algebra would only wait for each other.
    with threadpool_limits(limits=1, user_api="blas"):
        variants = fit_variants(sweep, settings)
    return TransferFit(sweep, variants, asdict(settings), __version__)
