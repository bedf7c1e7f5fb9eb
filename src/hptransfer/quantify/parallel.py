"""The variants of a sweep table dealt out to processes, where there are many.

Most of a small sweep table's time goes into many calls on small arrays, which threads cannot do at once. A
group of variants is fitted in two halves, since R is measured from the best of all variants: basins first,
then, with the lower envelope of every group's best losses, the rest. The numbers do not depend on how many
processes there are.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from hptransfer.parametrization.coordinates import coordinate_exponent
from hptransfer.parametrization.optimizers import family
from hptransfer.quantify.basin.basins import Basins
from hptransfer.quantify.basin.cells import cells_of
from hptransfer.quantify.basin.fit import CHUNK, PAIRED_MOST, fit_basins
from hptransfer.quantify.holdout import Known, without_largest
from hptransfer.quantify.law.siblings import OwnLaw, TablePrior, own_law, table_priors
from hptransfer.quantify.metrics import METRICS
from hptransfer.quantify.reference import Reference, lower_envelope, reference_of
from hptransfer.quantify.result import VariantFit
from hptransfer.quantify.settings import Settings
from hptransfer.quantify.variant_fit import FitContext, measure
from hptransfer.sweep.table import SweepTable

ALONE = 256  # variants that one process fits by itself
MOST_DRAWS = 16_000_000  # numbers kept for `compare`, over all variants: 64 MB
# A group keeps its core busy by itself: threads of the linear algebra would only wait for each other.
ONE_THREAD = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
SERVE = "from hptransfer.quantify.parallel import serve; serve()"

Fits = dict[str, VariantFit]
Priors = list[TablePrior | None]  # of every variant, in order
StrArray = NDArray[Any]


@dataclass(frozen=True)
class VariantGroup:
    """Some variants of a sweep table, next to each other."""

    sweep: SweepTable  # the rows of these variants
    settings: Settings  # of the fit
    first: int  # place of the first of them among all variants; the seeds of their draws follow from it
    total: int  # variants of the whole sweep table

    def basins(self) -> list[Basins]:
        """The fitted basins of every variant."""
        cells, s = list(cells_of(self.sweep)), self.settings
        return fit_basins(cells, s.draws, s.seed, first=self.first, total=self.total)

    def best(self, basins: list[Basins]) -> Reference | None:
        """The best losses of this group, or those of the variant that the user names."""
        name = self.settings.reference
        return lower_envelope([reference_of(b) for b in basins if name in (None, b.cells.variant)])

    def finish(self, all_basins: list[Basins], envelope: Reference | None, priors: Priors) -> Fits:
        """Everything else, by variant; `envelope` and `priors` (of this group) are by all groups."""
        s, out = self.settings, {}
        against = envelope.with_law() if envelope else None
        keep = MOST_DRAWS // (len(METRICS) * self.total)
        context = FitContext(self.sweep, s, against, _initial_losses(self.sweep), keep)
        # Few are refitted together, for they share noise; of many, as many as the cache holds.
        size = CHUNK if self.total > PAIRED_MOST else max(len(all_basins), 1)
        for start in range(0, len(all_basins), size):
            block = all_basins[start : start + size]
            place = self.first + start
            refits = [without_largest(block, k, s, place, self.total) for k in range(s.holdout, 0, -1)]
            learned = [self._known(refit, block) for refit in refits]
            for i, basins in enumerate(block):
                known = Known(basins, priors[start + i])
                cut = [refit[i] for refit in learned]
                out[basins.cells.variant] = measure(known, cut, place + i, context)
        return out

    def _known(self, refits: list[Basins | None], block: list[Basins]) -> list[Known | None]:
        """Refitted basins of a block with what they say of each other."""
        names = [b.cells.variant for b in block]
        priors = by_others(self.sweep, self.settings, names, [own_law(b) for b in refits])
        return [Known(b, prior) if b else None for b, prior in zip(refits, priors, strict=True)]


def fit_variants(sweep: SweepTable, settings: Settings) -> Fits:
    """Everything measured, by variant in order of first appearance."""
    _, first = np.unique(sweep.variant, return_index=True)
    names = sweep.variant[np.sort(first)]
    workers = min(os.cpu_count() or 1, len(names) // (ALONE // 2))
    if len(names) > ALONE and workers > 1:
        try:
            return _in_processes(sweep, settings, names, workers)
        except (OSError, EOFError):
            pass  # a process could not be started or was killed: this one does all of it
    group = VariantGroup(sweep, settings, 0, len(names))
    basins = group.basins()
    priors = by_others(sweep, settings, names, [own_law(b) for b in basins])
    return group.finish(basins, group.best(basins), priors)


def by_others(
    sweep: SweepTable, settings: Settings, names: Iterable[str], own: list[OwnLaw | None]
) -> Priors:
    """What the others say of each variant, from all their own laws (`own_law`), in order of `names`."""
    table = settings.coordinates
    if table is None:
        return table_priors(own, None)
    families = [family(sweep.optimizer_of(name)) for name in names]
    return table_priors(own, np.array([float(coordinate_exponent(table, "mup", f)) for f in families]))


def _dealt(sweep: SweepTable, settings: Settings, names: StrArray, workers: int) -> Iterator[VariantGroup]:
    """The groups, whole chunks each: every variant is fitted beside the same others, to the last bit."""
    chunks = np.array_split(np.arange(-(-len(names) // CHUNK)), workers)
    for chunk in chunks:
        first = int(chunk[0]) * CHUNK
        rows = np.isin(sweep.variant, names[first : (int(chunk[-1]) + 1) * CHUNK])
        yield VariantGroup(sweep.take(rows), settings, first, len(names))


def _in_processes(sweep: SweepTable, settings: Settings, names: StrArray, count: int) -> Fits:
    """Fits groups of variants in processes: basins out, what all say together in, the fits out."""
    groups = list(_dealt(sweep, settings, names, count))
    environment = {**os.environ, **ONE_THREAD, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    command = [sys.executable, "-c", SERVE]
    workers = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)
        for _ in groups
    ]
    try:
        for worker, group in zip(workers, groups, strict=True):
            _send(worker.stdin, group)
        seen = [_receive(worker.stdout) for worker in workers]
        envelope = lower_envelope([best for best, _ in seen])
        own = [law for _, laws in seen for law in laws]
        priors = iter(by_others(sweep, settings, names, own))
        for worker, (_, theirs) in zip(workers, seen, strict=True):
            _send(worker.stdin, (envelope, list(islice(priors, len(theirs)))))
        return {name: fit for worker in workers for name, fit in _receive(worker.stdout).items()}
    finally:
        for worker in workers:
            worker.kill()
            worker.communicate()


def _send(stream: IO[bytes] | None, thing: object) -> None:
    assert stream is not None  # every worker is started with pipes
    pickle.dump(thing, stream, protocol=pickle.HIGHEST_PROTOCOL)
    stream.flush()


def _receive(stream: IO[bytes] | None) -> Any:
    assert stream is not None
    return pickle.load(stream)


def _initial_losses(sweep: SweepTable) -> dict[str, float]:
    """Median loss at initialisation of each variant, where the sweep table has that column."""
    if "initial_loss" not in sweep.extra:
        return {}
    column = np.asarray(sweep.extra["initial_loss"], dtype=np.float64)
    known = np.isfinite(column)
    names = np.unique(sweep.variant[known])
    return {str(n): float(np.median(column[known & (sweep.variant == n)])) for n in names}


def serve() -> None:
    """A worker's life, spoken in pickles over its standard streams with the process that started it."""
    group: VariantGroup = pickle.load(sys.stdin.buffer)
    basins = group.basins()
    _send(sys.stdout.buffer, (group.best(basins), [own_law(b) for b in basins]))
    _send(sys.stdout.buffer, group.finish(basins, *pickle.load(sys.stdin.buffer)))
