"""What the pages are made from: the tables of runs, their fits, and what the papers published."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd

import hptransfer as hpt
from hptransfer import SweepTable, TransferFit
from hptransfer.parametrization.catalogue import SWITCHES
from hptransfer.parametrization.coordinates import Coordinates
from hptransfer.quantify.basin.basins import Basins
from hptransfer.quantify.law.laws import Laws, fit_laws
from hptransfer.quantify.parallel import VariantGroup
from hptransfer.quantify.pooling import pooled
from hptransfer.quantify.settings import Settings
from hptransfer.sweep.table import FloatArray
from papers.collect import TABLES, read_notes

ROOT = Path(__file__).resolve().parents[2]
SERIES = ROOT / "benchmarks" / "corpus" / "tables"  # 20 further set-ups, each with its own table
PUBLISHED = ROOT.parent / "shared" / "data"  # the papers' own numbers: read where they are, not kept here
DRAWS = 1000
LEVEL = 0.95


@dataclass(frozen=True)
class Draws:
    """A number with the draws that its interval comes from."""

    value: float
    draws: FloatArray  # shape [B]; NaN where a draw has none

    def __sub__(self, other: Draws) -> Draws:
        return Draws(self.value - other.value, self.draws - other.draws)

    @property
    def interval(self) -> tuple[float, float]:
        """Its 95% interval."""
        low, high = np.nanquantile(self.draws, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        return float(low), float(high)


@dataclass(frozen=True)
class Fitted:
    """A sweep with its fit and the parts of it that the instrument itself does not print."""

    sweep: SweepTable
    fit: TransferFit

    @cached_property
    def basins(self) -> dict[str, Basins]:
        """The basins behind the fit, by variant: the same runs and the same seed."""
        group = VariantGroup(self.sweep, self._settings, 0, len(self.fit.variants))
        return {b.cells.variant: b for b in group.basins()}

    @cached_property
    def laws(self) -> dict[str, Laws]:
        """The laws behind the fit; a variant with too few optima has none."""
        found = (
            (name, fit_laws(b, None, np.random.default_rng([self._settings.seed, 3, i])))
            for i, (name, b) in enumerate(self.basins.items())
        )
        return {name: laws for name, laws in found if laws is not None}

    @cached_property
    def pooled(self) -> dict[str, Basins]:
        """The basins drawn towards their law, from which costs are read."""
        return {
            name: pooled(b, self.laws.get(name), np.random.default_rng([self._settings.seed, 4, i]))
            for i, (name, b) in enumerate(self.basins.items())
        }

    @cached_property
    def _settings(self) -> Settings:
        return Settings(**self.fit.settings)

    def metric(self, variant: str, name: str) -> Draws | None:
        """A metric of the fit; None where it has none."""
        found = self.fit.variants[variant]
        value = found.metrics[name].value if name in found.metrics else None
        if value is None or name not in found.draws:
            return None
        return Draws(value, found.draws[name].astype(np.float64))

    def shift(self, variant: str) -> Draws | None:
        """Octaves by which the optimum of the largest width lies above that of the smallest."""
        b = self.basins[variant]
        if not (b.fitted[0] and b.fitted[-1]):
            return None
        return Draws(float(b.x[-1] - b.x[0]), b.x_draws[:, -1] - b.x_draws[:, 0])

    def keeping(self, variant: str) -> Draws | None:
        """Loss given up at the largest width by keeping the smallest width's optimum, that number, nats."""
        b = self.pooled[variant]
        if not (b.fitted[0] and b.fitted[-1]):
            return None
        kept, last = float(b.x[0]), len(b.fitted) - 1
        draws = b.regret_draws(last, np.full(len(b.x_draws), kept))
        return Draws(float(b.regret_at(last, np.array([kept]))[0]), draws)


def table(name: str) -> pd.DataFrame | None:
    """The runs of a collected study; None where it is not there."""
    path = TABLES / f"{name}.csv.gz"
    return pd.read_csv(path) if path.exists() else None


def names(prefix: str) -> list[str]:
    """Collected studies whose name begins so, in order."""
    return sorted(p.name.removesuffix(".csv.gz") for p in TABLES.glob(f"{prefix}*.csv.gz"))


@cache
def fitted(*studies: str, coordinates: Coordinates = "mup") -> Fitted:
    """Several collected studies of one grid, fitted together: all of their variants are compared."""
    frame = pd.concat([pd.read_csv(TABLES / f"{name}.csv.gz") for name in studies])
    return fit_frame(frame, coordinates)


@cache
def fitted_where_all(*studies: str) -> Fitted:
    """Several collected studies fitted together in muP coordinates, on the widths and seeds that all have."""
    whole = [pd.read_csv(TABLES / f"{name}.csv.gz") for name in studies]
    for column in ("width", "seed"):
        shared = set.intersection(*(set(frame[column]) for frame in whole))
        whole = [frame[frame[column].isin(shared)] for frame in whole]
    return fit_frame(pd.concat(whole), "mup")


@cache
def fitted_series(setup: str, coordinates: Coordinates = "mup") -> Fitted:
    """One set-up of the corpus."""
    return fit_frame(pd.read_csv(SERIES / f"{setup}.csv.gz"), coordinates)


def fit_frame(frame: pd.DataFrame, coordinates: Coordinates) -> Fitted:
    """Runs fitted together, in these coordinates."""
    hp = "lr_mup" if coordinates == "mup" else "lr"
    frame = frame.drop(columns=[c for c in ("status", "diverged_step") if c in frame])
    sweep = hpt.read(frame, scale="width", hp=hp, loss="loss", variant="variant", seed="seed")
    fit = hpt.quantify(sweep, draws=DRAWS, coordinates=coordinates)
    return Fitted(sweep, fit)


def decays() -> dict[float, str]:
    """The studies at a fixed number of steps that are there, by weight decay."""
    return _by_decay("kalra-step-")


def token_decays() -> dict[float, str]:
    """The studies at fixed tokens per parameter that are there, by weight decay."""
    return _by_decay("kalra-tpp-")


def _by_decay(prefix: str) -> dict[float, str]:
    return dict(sorted((float(name.removeprefix(prefix)), name) for name in names(prefix)))


def variant_of(rule: str, decay: float) -> str:
    """How a study names a rule at a weight decay."""
    return f"{rule} wd={decay:g}"


def published() -> pd.DataFrame | None:
    """E, kappa and R(inf) as published, a row for each rule and weight decay; None without the file."""
    path = PUBLISHED / "kalra_metrics.csv"
    if not path.exists():
        return None
    frame = pd.read_csv(path)
    rules = [rule_of(_switches(key)) for key in frame["abc_key"]]
    return frame.assign(rule=rules).rename(columns={"irr_loss_gap_unscaled": "R_inf"})


def _switches(key: str) -> frozenset[str]:
    """Switches thrown in a published key: `sp_attn_last` throws two, `mup_sp_ln` all but `ln`."""
    words = ["mup", "sp", "last"] if key == "sp_lr" else key.split("_")  # sp_lr is published as muP-Last
    return frozenset(SWITCHES) - {*words[2:]} if words[0] == "mup" else frozenset(words[1:])


def rule_of(switches: frozenset[str]) -> str:
    """The catalogue's name of SP with these switches thrown."""
    missing = [s for s in SWITCHES if s not in switches]
    if len(missing) <= 1:
        return "mup" + "".join(f"-{s}" for s in missing)
    return "+".join(("sp", *(s for s in SWITCHES if s in switches)))


def switches_of(rule: str) -> frozenset[str]:
    """The switches thrown in a rule of the 16."""
    if rule.startswith("mup"):
        return frozenset(SWITCHES) - {*rule.split("-")[1:]}
    return frozenset(rule.split("+")[1:])


def the_sixteen() -> Iterator[str]:
    """The 16 rules, SP first, muP last."""
    for count in range(len(SWITCHES) + 1):
        for chosen in combinations(SWITCHES, count):
            yield rule_of(frozenset(chosen))


def spec_of(name: str) -> Mapping[str, object]:
    """What made a collected study."""
    return dict(read_notes()[name])
