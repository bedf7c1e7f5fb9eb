"""Simulated studies whose truth is known: null ones, where nothing carries, and clear ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hptransfer.quantify.result import SuggestedRun
from hptransfer.sweep.table import LossMetric, SweepTable

Array = NDArray[np.float64]
NULLS = (
    "drawn",  # optimum drawn anew at each scale
    "walk",
    "turn",
    "two_wells",
    "two_scales",
    "flat",
    "outlier",
    "monotone",
    "constant",  # every loss the same but for noise
    "units",  # a drifting study in units a thousand times smaller, still called nats
    "offset",  # the same with 100 added
    "mse",  # the same, and called what it is
)
CLEAR = ("stays", "falls", "falls_half")
SMALL = 1e-3


@dataclass(frozen=True)
class World:
    """A study before it is run: loss at any scale and value."""

    family: str
    scale: Array  # measured, ascending, [K]
    target: float
    x: Callable[[float], float]  # log2 of the best value at a scale
    excess: Callable[[Array], Array]  # loss above the best at a distance in octaves, nats
    unit: float  # what a nat is in the table
    offset: float  # added to every loss, in the table's unit
    noise: float  # sd of one run, nats
    seeds: int
    tolerance: float  # in the table's unit

    def loss(self, n: float, hp: Array) -> Array:
        """Without noise, in the table's unit."""
        above = self.excess(np.log2(hp) - self.x(n))
        return np.asarray((2.5 + 8.0 * n**-0.5 + above) * self.unit + self.offset)

    def cost(self, n: float, hp: float) -> float:
        """What a value costs at a scale, in the table's unit."""
        best = self.excess(np.linspace(-8.0, 8.0, 3201)).min()
        return float((self.excess(np.array([np.log2(hp) - self.x(n)]))[0] - best) * self.unit)


def world(family: str, seed: int) -> World:
    """One study of a family."""
    rng = np.random.default_rng([seed, sum(family.encode())])
    count = 2 if family == "two_scales" else int(rng.integers(3, 7))
    if family in CLEAR:
        count = int(rng.integers(4, 7))
    scale = 64.0 * 2.0 ** np.arange(count)
    t, start = np.arange(count + 1, dtype=float), float(rng.uniform(-8.5, -6.5))  # the last is the target
    slope = {"stays": 0.0, "falls": -1.0, "falls_half": -0.5}.get(family, float(rng.uniform(-1.0, 0.3)))
    x = start + slope * t
    if family in ("drawn", "two_scales"):
        x = start + rng.uniform(-2.0, 2.0, count + 1)
    if family == "walk":
        x = start + np.cumsum(rng.normal(0.0, 0.7, count + 1))
    if family == "turn":
        bend = rng.uniform(0.2, 0.6) * rng.choice([-1.0, 1.0])
        x = start + bend * (t - rng.uniform(0.3, 0.7) * t[-1]) ** 2
    if family == "outlier":
        x = start + np.zeros(count + 1)
        x[rng.integers(0, count)] += rng.choice([-1.5, 1.5])
    h, skew = float(np.exp(rng.uniform(np.log(0.06), np.log(0.3)))), float(rng.uniform(0.1, 0.6))
    excess = _basin(family, h, skew, rng)
    small = family in ("units", "mse")
    unit, offset = (SMALL if small else 1.0), (100.0 if family == "offset" else 0.0)
    tolerance = 0.05 * (2.5 + 8.0 * scale[-1] ** -0.5) * SMALL if small else 0.01
    places = dict(zip([*scale.tolist(), 2 * scale[-1]], x.tolist(), strict=True))
    noise = 0.003 if family in CLEAR else float(rng.uniform(0.001, 0.01))
    seeds = 2 if family in CLEAR else int(rng.integers(1, 4))
    return World(
        family,
        scale,
        float(2 * scale[-1]),
        lambda n: places.get(n, float(np.interp(np.log2(n / 64.0), t, x, x[0] + slope * np.log2(n / 64.0)))),
        excess,
        unit,
        offset,
        noise,
        seeds,
        tolerance,
    )


def _basin(family: str, h: float, skew: float, rng: np.random.Generator) -> Callable[[Array], Array]:
    if family == "flat":
        return lambda u: 0.0002 * u * u
    if family == "constant":
        return lambda u: 0.0 * u
    if family == "monotone":
        return lambda u: 0.05 * (u + 8.0)

    def linex(u: Array) -> Array:
        return np.asarray(h / skew**2 * (np.exp(np.clip(skew * u, -30, 4)) - skew * u - 1))

    if family == "two_wells":
        at, deep = float(rng.uniform(2.0, 3.0) * rng.choice([-1, 1])), float(rng.uniform(0.7, 1.1))
        return lambda u: linex(u) - deep * linex(np.array(at)) * np.exp(-0.5 * ((u - at) / 0.5) ** 2)
    return linex


def run(w: World, rng: np.random.Generator, made: list[SuggestedRun] | None = None) -> SweepTable:
    """The runs of a grid that reaches 2 to 3 octaves past every optimum, or those that are named."""
    step, cells = float(rng.choice([0.5, 1.0])), []
    if made is None:
        low, high = (f(w.x(float(n)) for n in w.scale) for f in (min, max))
        grid = np.arange(np.floor(low - 2.5), np.ceil(high + 2.5) + 0.1, step)
        cells = [(float(n), float(2.0**g), s) for n in w.scale for g in grid for s in range(w.seeds)]
    else:
        cells = [(r.scale, r.hp, f"more {i}") for r in made for i in range(r.seeds)]
    scale, hp = (np.array([cell[i] for cell in cells], dtype=float) for i in (0, 1))
    loss = np.array([w.loss(n, np.array([eta]))[0] for n, eta in zip(scale, hp, strict=True)])
    loss = loss + w.noise * w.unit * rng.standard_normal(len(loss))
    metric = LossMetric("mse", "MSE", 0.05, relative=True) if w.family == "mse" else LossMetric()
    seed = np.array([str(cell[2]) for cell in cells])
    return SweepTable(np.full(len(hp), "v"), scale, hp, seed, loss, metric=metric)


def joined(one: SweepTable, other: SweepTable) -> SweepTable:
    parts = {
        n: np.concatenate([getattr(t, n) for t in (one, other)]) for n in ("variant", "scale", "hp", "seed")
    }
    return SweepTable(**parts, loss=np.concatenate([one.loss, other.loss]), metric=one.metric)
