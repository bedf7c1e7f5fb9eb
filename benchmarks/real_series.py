"""Series of real sweeps, public ones and those of the corpus, and the predictions that are asked of them.

A series is one variant of one project over its scales. A case is a series cut below one of its scales, as a
person would have had it, with the optimum that was found at a scale above.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator

from hptransfer.parametrization.coordinates import coordinate_exponent
from hptransfer.parametrization.optimizers import family

Array = NDArray[np.float64]

HERE = Path(__file__).resolve().parent
PUBLIC = HERE.parents[1] / "shared" / "data" / "sweeps"
CORPUS = HERE / "corpus" / "tables"
LEAST_SCALES = 3  # that a cut leaves
LEAST_NOISE = 0.0005  # nats, of one run
# Octaves: an optimum known less well judges nothing. Of series with several seeds, and of single runs.
MOST_TRUTH_SD, MOST_SINGLE_SD = 0.2, 0.5
VIEWS = 2  # of each corpus series: which seeds and learning rates the estimator sees


@dataclass(frozen=True)
class Series:
    """The runs of one variant as columns (scale, x = log2 eta, seed, loss), NaN where a run diverged.

    Attributes:
        project: whose runs they are; judged and learned from as one.
        name: of the series in it.
        runs: what an estimator may see.
        every: all runs, from which the truth comes; the same as `runs` for public series.
        own: slope of what the user sets less that of x, octaves per octave, where x is in muP coordinates
            (-1 under SP, 0 under muP); None where the coordinates are not known.
        optimizer: that trained the runs.
        view: series of one view were seen with the same eyes.
    """

    project: str
    name: str
    runs: pd.DataFrame
    every: pd.DataFrame
    own: int | None = None
    optimizer: str = "adamw"
    view: int = 0


@dataclass(frozen=True)
class Truth:
    """What was found at one scale.

    Attributes:
        scale: n.
        x: log2 of the optimum.
        sd: of it, octaves.
        cost: loss above the best at log2 eta, nats, between the outermost finished runs.
    """

    scale: float
    x: float
    sd: float
    cost: PchipInterpolator

    def cost_at(self, x: float) -> float:
        """Nats; NaN outside the range of the runs."""
        return float(self.cost(x))


@dataclass(frozen=True)
class Case:
    """A prediction asked of a series: its runs up to a scale, and what was found beyond."""

    series: Series
    runs: pd.DataFrame
    truth: Truth

    @property
    def ahead(self) -> float:
        """Octaves of scale from the largest that is seen to the one asked for."""
        return float(np.log2(self.truth.scale / self.runs["scale"].max()))


def truth_at(every: pd.DataFrame, scale: float) -> Truth | None:
    """The optimum of one scale by its own runs; None where it is at an edge or hardly known.

    With several seeds it is the minimum of a cubic by least squares through the cells within 1.5 octaves,
    its sd from seeds drawn again; with one, the vertex of the parabola through the three lowest cells, its
    sd from the residuals of a cubic through the seven cells around.
    """
    part = every[every["scale"] == scale]
    mean = part.groupby("x")["loss"].agg(lambda loss: loss.mean() if loss.notna().all() else np.nan)
    x, y = mean.index.to_numpy(float), mean.to_numpy(float)
    usable = np.isfinite(y)
    x, y = x[usable], y[usable]
    if len(x) < 3 or int(np.argmin(y)) in (0, len(x) - 1):
        return None
    cost = PchipInterpolator(x, y - y.min(), extrapolate=False)
    several = part.groupby("x")["seed"].nunique().max() >= 4
    at, sd = _by_seeds(part) if several else _by_parabola(x, y)
    if not sd < (MOST_TRUTH_SD if several else MOST_SINGLE_SD):
        return None
    return Truth(scale, at, max(sd, 0.01), cost)


def _vertex(x: Array, y: Array) -> tuple[float, Array]:
    """Of the parabola through the lowest cell and its neighbours, and its derivatives in their losses."""
    best = int(np.argmin(y))
    u, v = x[best - 1 : best + 2] - x[best], y[best - 1 : best + 2]
    inverse = np.linalg.inv(np.stack([np.ones(3), u, u**2], axis=1))
    _, slope, bend = inverse @ v
    derivative = -inverse[1] / (2 * bend) + slope * inverse[2] / (2 * bend**2)
    return float(x[best] - slope / (2 * bend)), derivative


def _by_parabola(x: Array, y: Array) -> tuple[float, float]:
    at, derivative = _vertex(x, y)
    best = int(np.argmin(y))
    near = slice(max(best - 3, 0), best + 4)
    u, v = x[near] - x[best], y[near]
    spare = len(u) - 4
    noise = LEAST_NOISE
    if spare > 0:
        residual = v - np.polyval(np.polyfit(u, v, 3), u)
        noise = max(noise, float(np.sqrt(np.sum(residual**2) / spare)))
    return at, float(noise * np.sqrt(derivative @ derivative))


def _cubic_minimum(x: Array, y: Array, centre: float) -> float:
    near = np.abs(x - centre) <= 1.5
    u, v = x[near] - centre, y[near]
    coefficients = np.polyfit(u, v, min(3, len(u) - 1))
    fine = np.linspace(-1.25, 1.25, 501)
    return float(centre + fine[np.argmin(np.polyval(coefficients, fine))])


def _by_seeds(part: pd.DataFrame) -> tuple[float, float]:
    """The cubic's minimum from all seeds, and its sd over 40 drawings of the seeds."""
    table = part.pivot_table(index="x", columns="seed", values="loss", dropna=False)
    full = table.dropna(axis=0, thresh=max(4, table.shape[1] - 2))
    x, losses = full.index.to_numpy(float), full.to_numpy(float)
    if len(x) < 4:
        return float("nan"), float("inf")
    # A run that diverged where others did not counts with the worst loss of its cell.
    losses = np.where(np.isfinite(losses), losses, np.nanmax(losses, axis=1, keepdims=True))
    centre = float(x[np.argmin(losses.mean(axis=1))])
    at = _cubic_minimum(x, losses.mean(axis=1), centre)
    rng = np.random.default_rng(0)
    drawn = rng.integers(losses.shape[1], size=(40, losses.shape[1]))
    again = [_cubic_minimum(x, losses[:, one].mean(axis=1), at) for one in drawn]
    return at, float(np.std(again))


def public_series(folder: Path = PUBLIC) -> Iterator[Series]:
    """Every series of the public files with three scales or more."""
    for path in sorted(folder.glob("*.csv")):
        if path.stem in ("muon_cnn_cifar10", "nanochat_pr644_lr_wd"):
            continue  # three learning rates a width; no scale
        table = pd.read_csv(path)
        for name, scale, part in _split(path.stem, table):
            runs = pd.DataFrame(
                {
                    "scale": part[scale].astype(float),
                    "x": np.log2(part["lr"].astype(float)),
                    "seed": part["seed"].astype(str),
                    "loss": part["loss"].where(np.isfinite(part["loss"])),
                }
            ).reset_index(drop=True)
            if runs["scale"].nunique() >= LEAST_SCALES:
                yield Series(path.stem, name, runs, runs)


def _split(stem: str, table: pd.DataFrame) -> Iterator[tuple[str, str, pd.DataFrame]]:
    """Name, scale column and rows of each series of a file."""
    if stem == "steplaw_dense":  # fixed batch size and tokens per parameter
        ratio = (table["tokens"] / table["params"]).round(-1)
        for (batch, fixed), part in table.groupby(["batch_size", ratio]):
            yield f"batch {batch}, {fixed:g} tokens a parameter", "params", part
        return
    scale = "width" if table["width"].nunique() > 1 else "tokens"
    keys = ["source", "variant", *(c for c in ("epoch", "weight_decay") if c in table)]
    keys = [key for key in keys if table[key].nunique(dropna=False) > 1] or ["variant"]
    for key, part in table.groupby(keys, dropna=False):
        yield "/".join(str(k)[-20:] for k in key), scale, part


def corpus_series(folder: Path = CORPUS, views: int = VIEWS) -> Iterator[Series]:
    """Every series of the corpus, in as many views as asked for."""
    optimizers = _optimizers()
    for path in sorted(folder.glob("*.csv.gz")):
        table = pd.read_csv(path)
        setup = path.name.removesuffix(".csv.gz")
        optimizer = optimizers.get(setup, "adamw")
        for variant, part in table.groupby("variant", sort=False):
            every = pd.DataFrame(
                {
                    "scale": part["width"].astype(float),
                    "x": np.log2(part["lr_mup"]),
                    "seed": part["seed"].astype(str),
                    "loss": part["loss"].where(part["loss"] < part["initial_loss"]),
                }
            )
            # A user of muP sets muP's own learning rate, a user of SP that of the optimizer.
            own = coordinate_exponent("mup", "sp", family(optimizer)) if variant.startswith("sp") else 0
            for view in range(views):
                rng = np.random.default_rng([zlib.crc32(f"{setup}/{variant}".encode()), view])
                name = f"{variant} view {view}"
                yield Series(setup, name, _seen(every, rng), every, own, optimizer, view)


def _optimizers() -> dict[str, str]:
    """Of each set-up that names one."""
    setups = yaml.safe_load((HERE / "corpus" / "setups.yaml").read_text())["setups"]
    found = ((name, content.get("train", {}).get("optimizer")) for name, content in setups.items())
    return {name: optimizer for name, optimizer in found if optimizer}


def _seen(every: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """One to three seeds on a one- or half-octave grid, cut off in the ways that people cut them.

    Each width keeps what lies within a reach of its own lowest loss, to either side; now and then one
    learning rate only to the right, or nothing that diverged.
    """
    seeds = rng.choice(sorted(every["seed"].unique()), size=rng.integers(1, 4), replace=False)
    step, phase = rng.integers(1, 3), rng.integers(0, 2)  # in half octaves
    left, right = rng.choice([1.5, 2.0, 2.5]) + step / 4, rng.choice([0.5, 1.0]) + step / 2
    part = every[every["seed"].isin(seeds)].copy()
    kept = []
    for _, cells in part.groupby("scale"):
        places = np.unique(cells["x"])
        on_grid = places[(np.arange(len(places)) % step) == phase % step]
        best = cells.loc[cells["loss"].idxmin(), "x"]
        wanted = on_grid[(on_grid >= best - left - 0.1) & (on_grid <= best + right + 0.1)]
        kept.append(cells[cells["x"].isin(wanted)])
    return pd.concat(kept, ignore_index=True)


def cases(series: Series) -> Iterator[Case]:
    """Every cut that leaves three scales, with every larger scale whose optimum is known."""
    scales = np.unique(series.runs["scale"])
    truths = {scale: truth_at(series.every, scale) for scale in scales[LEAST_SCALES:]}
    for count in range(LEAST_SCALES, len(scales)):
        runs = series.runs[series.runs["scale"] <= scales[count - 1]]
        for scale in scales[count:]:
            if (truth := truths[scale]) is not None:
                yield Case(series, runs, truth)
