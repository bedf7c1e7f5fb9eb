"""Simulated studies with a known truth: basins of many shapes on exact laws, sampled on the usual grids."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hptransfer.sweep.table import SweepTable

Array = NDArray[np.float64]
Shape = Callable[[Array], Array]

# Every family the calibration prints. `HELD_OUT` ones were not looked at while the estimator was built.
FAMILIES = (
    "skewed",
    "logcosh",
    "parabola",
    "flat",
    "cliff",
    "double_well",
    "heavy_tails",
    "edges",
    "missing",
    "varying",
    "scattered",
)
# What real sweeps do that the families above do not: optima that leave any law, ragged right sides, flat
# basins.
REAL_LIKE = ("scatters", "walks", "turns", "unstable", "shallow", "seeds_differ")
HELD_OUT = ("morse", "two_slopes", "plateau", "ragged")
TIED = ("tied_wells",)
SCATTER = 0.02  # octaves by which optima of the family `scattered` lie off their law
SCATTERS, WALKS, TURNS = (
    (0.05, 0.4),
    (0.1, 0.4),
    (0.03, 0.12),
)  # octaves; a step; of slope per octave, either way
SEED_OPTIMA = (0.05, 0.3)  # octaves by which the optimum of one seed differs from another's
GAP = 0.05  # L_inf of variant b above that of variant a, nats


@dataclass(frozen=True)
class Truth:
    """What a study was made from; x is log2 of the learning rate.

    Attributes:
        scale: shape [K]. x: true optimum of each scale. loss: true loss there.
        inside: whether the grid holds cells on both sides of the optimum, shape [K].
        drift: d log eta* / d log n. alpha: of the loss law. gamma: exponent of the raw curvature.
        kappa: alpha - 2 beta + gamma. r_inf: L_inf(b) - L_inf(a).
        target: four times the largest scale. x_target: true optimum there.
    """

    scale: Array
    x: Array
    loss: Array
    inside: NDArray[np.bool_]
    drift: float
    alpha: float
    gamma: float
    kappa: float
    r_inf: float
    target: float
    x_target: float


@dataclass(frozen=True)
class Study:
    """One simulated study: variants a and b on the same laws but for b's higher L_inf."""

    family: str
    sweep: SweepTable
    truth: Truth
    spare: SweepTable | None = None  # further seeds of every run, for planners that may ask for them


def _shape(family: str, rng: np.random.Generator) -> tuple[Shape, float]:
    """A basin in octaves from some origin, and where right of its optimum runs diverge (octaves)."""
    h = float(np.exp(rng.uniform(np.log(0.06), np.log(0.32))))
    if family == "shallow":  # half an octave costs 0.0005 to 0.005 nats
        h = float(np.exp(rng.uniform(np.log(0.004), np.log(0.04))))
    wall = float(rng.uniform(2.0, 4.5))
    skew = float(rng.uniform(0.2, 0.9))
    if family == "logcosh":
        k, lean = rng.uniform(0.7, 2.0), rng.uniform(-0.35, 0.35)
        return lambda u: h * k * k * (np.logaddexp(u / k, -u / k) + lean * np.sqrt(1 + (u / k) ** 2)), np.inf
    if family == "parabola":
        return lambda u: 0.5 * h * u * u, np.inf
    if family == "flat":
        w = rng.uniform(1.0, 2.0)
        return lambda u: h * (0.15 * u * u + 0.35 * u**4 / w**2) * np.exp(0.1 * np.tanh(u)), wall
    if family == "cliff":
        at, soft, tall = rng.uniform(0.4, 1.5), rng.uniform(0.1, 0.35), rng.uniform(0.2, 0.6)
        k = rng.uniform(0.8, 2.0)

        def cliff(u: Array) -> Array:
            rise = np.logaddexp(0.0, (u - at) / soft) * soft * tall
            return h * k * k * np.logaddexp(u / k, -u / k) + 0.8 * np.tanh(rise / 0.8)

        return cliff, wall + 1.0
    if family in ("double_well", "tied_wells"):
        return _two_wells(lambda u: _linex(u, h, 0.4), 0.0 if family == "tied_wells" else 0.03, rng), wall
    if family == "morse":
        s = rng.uniform(0.2, 0.7)
        return lambda u: h / s**2 * (1 - np.exp(np.clip(s * u, -20, 6))) ** 2 / 2, wall
    if family == "two_slopes":
        a, b, soft = rng.uniform(0.3, 0.8), rng.uniform(1.0, 3.0), rng.uniform(0.5, 1.0)
        return lambda u: h * soft * (a * np.logaddexp(0, -u / soft) + b * np.logaddexp(0, u / soft)) * 2, wall
    if family == "plateau":
        top = rng.uniform(0.3, 1.0)
        return lambda u: top * np.tanh(_linex(u, h, skew) / top), np.inf
    return lambda u: _linex(u, h, skew), wall


def _linex(u: Array, h: float, s: float) -> Array:
    """Linear on the left, exponential on the right."""
    return h / s**2 * (np.exp(np.clip(s * u, -30, 30)) - s * u - 1)


def _two_wells(shape: Shape, higher: float, rng: np.random.Generator) -> Shape:
    """The shape with a second minimum 2.2 to 3.5 octaves off, behind a crest of at least 0.01 nats.

    It is `higher` to 0.15 nats above the first. Where two are as low as each other nobody can say which is
    the lower: that is the family `tied_wells`, which has its own lines in the table.
    """
    grid = np.linspace(-5.0, 4.5, 1901)
    while True:
        at, wide = rng.uniform(2.2, 3.5) * rng.choice([-1.0, 1.0]), rng.uniform(0.45, 0.8)
        aim = float(rng.uniform(higher, 0.15)) if higher else 0.0
        dent, plain = np.exp(-0.5 * ((grid - at) / wide) ** 2), shape(grid)
        second = np.abs(grid - at) < 0.3
        deep = float(np.min(np.where(second, (plain - aim) / dent, np.inf)))
        value = plain - deep * dent
        minimum = grid[second][np.argmin(value[second])]
        between = (grid - minimum) * grid < 0
        if abs(minimum - at) < 0.29 and value[between].max() > value[second].min() + 0.01:
            return lambda u: shape(u) - deep * np.exp(-0.5 * ((u - at) / wide) ** 2)


def _centred(shape: Shape) -> tuple[Shape, float]:
    """The shape with its global minimum at (0, 0), and its curvature there, nats per octave squared."""
    grid = np.arange(-5.0, 4.0, 1e-4)
    value = shape(grid)
    i = int(np.argmin(value))
    at, floor, d = grid[i], value[i], 0.02
    around = shape(np.array([at - d, at, at + d]))
    h = float((around[0] - 2 * around[1] + around[2]) / d**2)
    return lambda u: shape(u + at) - floor, h


def simulate(family: str, seed: int, spare: int = 0) -> Study:
    """One study of a family, the same for the same seed; `spare` seeds stand beside those of the grid."""
    rng = np.random.default_rng([seed, sum(map(ord, family))])
    if family == "ragged":
        return _study(family, "skewed", rng, spare)
    base = {
        "scattered": "skewed",
        **dict.fromkeys(("scatters", "walks", "turns", "unstable", "seeds_differ"), "skewed"),
        "heavy_tails": "skewed",
        "edges": "skewed",
        "missing": "skewed",
        "varying": "skewed",
    }
    return _study(family, base.get(family, family), rng, spare)


def _study(family: str, base: str, rng: np.random.Generator, spare: int) -> Study:
    scales = int(rng.integers(3, 8))
    factor = 4.0 if scales == 3 and rng.random() < 0.5 else 2.0
    n = float(rng.choice([32, 64, 128])) * factor ** np.arange(scales)
    shape, wall = _shape(base, rng)
    centred, h0 = _centred(shape)
    t = np.log2(n / n[0])
    drift = float(rng.uniform(-1.2, 0.2))
    bend = float(rng.uniform(-0.4, 0.3))
    alpha, level, gain = rng.uniform(0.3, 1.0), rng.uniform(1.5, 3.2), rng.uniform(0.4, 1.5)
    x = rng.uniform(-9.5, -6.5) + drift * t
    law, apart = float(x[0]), SCATTER if family == "scattered" else 0.0
    x = x + apart * rng.standard_normal(scales) if apart else x
    x_target = None
    if family in ("scatters", "walks", "turns"):
        off = _off_law(family, np.append(t, t[-1] + 2.0), rng)
        x, x_target = x + off[:-1], law + drift * (t[-1] + 2.0) + off[-1]
    loss = level + gain * (n / n[0]) ** -alpha
    step = float(rng.choice([0.5, 1.0]))
    sigma = float(np.exp(rng.uniform(np.log(0.001), np.log(0.012))))
    growth, seeds = float(rng.uniform(0.0, 1.0)), int(rng.integers(1, 4))
    off, half = rng.uniform(-1.5, 1.5), rng.uniform(2.5, 4.0)
    phase = rng.uniform(0, step)
    if family == "edges":
        off, half = rng.uniform(0.6, 1.6) * rng.choice([-1.0, 1.0]), rng.uniform(1.2, 2.2)
    common = rng.random() < 0.4 and family != "edges"
    between = rng.uniform(*SEED_OPTIMA) if family == "seeds_differ" else 0.0
    rows: list[tuple[str, float, float, str, float]] = []
    more: list[tuple[str, float, float, str, float]] = []
    other = rng.spawn(1)[0]  # leaves the study's own stream as it is
    inside = np.zeros(scales, dtype=bool)
    for k in range(scales):
        low, high = (x.min() - 2.5, x.max() + 2.5) if common else (x[k] + off - half, x[k] + off + half)
        grid = phase + step * np.arange(np.ceil((low - phase) / step), np.floor((high - phase) / step) + 1)
        if family == "missing":
            grid = grid[rng.random(len(grid)) > 0.15]
        u = grid - x[k]
        this = centred
        if family == "varying":
            wobble = _linex_centred(h0, float(np.clip(0.5 + 0.25 * rng.standard_normal(), 0.05, 1.2)))
            this = wobble
        rise = this(u) * 2.0 ** (bend * t[k])
        alive = u < wall
        inside[k] = bool(((u < 0) & alive).any() and ((u > 0) & alive).any())
        sd = sigma * (1 + growth * np.maximum(u, 0)) * np.sqrt(1 + (rise / 0.5) ** 2)
        if family == "ragged":  # spikes: noise that takes over right of the optimum
            sd = np.hypot(sd, 0.02 * np.maximum(u + 0.5, 0) ** 2)
        for variant, gap in (("a", 0.0), ("b", GAP)):
            for s in range(seeds + spare):
                draw, table = (rng, rows) if s < seeds else (other, more)
                tails = family == "heavy_tails"  # with the same sd as the normal noise of the others
                noise = draw.standard_t(3, len(u)) / np.sqrt(3.0) if tails else draw.standard_normal(len(u))
                own = this(u - between * draw.standard_normal()) * 2.0 ** (bend * t[k]) if between else rise
                value = np.where(alive, loss[k] + gap + own + sd * noise, np.nan)
                if family == "unstable":
                    value = value + _instability(u, draw)
                table += [(variant, n[k], 2.0**g, str(s), y) for g, y in zip(grid, value, strict=True)]
    truth = Truth(
        scale=n,
        x=x,
        loss=loss,
        inside=inside,
        drift=drift,
        alpha=float(alpha),
        gamma=bend - 2 * drift,
        kappa=float(alpha) + bend,
        r_inf=GAP,
        target=4 * float(n[-1]),
        x_target=float(
            law + drift * (t[-1] + 2.0) + (apart * rng.standard_normal() if apart else 0.0)
            if x_target is None
            else x_target
        ),
    )
    return Study(family, _sweep(rows), truth, _sweep(more) if spare else None)


def _off_law(family: str, t: Array, rng: np.random.Generator) -> Array:
    """What the optima at log2 scales t, the last of them the target, lie off their law by, octaves."""
    if family == "scatters":
        return rng.uniform(*SCATTERS) * rng.standard_normal(len(t))
    if family == "walks":
        steps = rng.uniform(*WALKS) * rng.standard_normal(len(t)) * np.sqrt(np.diff(t, prepend=t[0]))
        return np.cumsum(steps)
    turn = rng.uniform(*TURNS) * rng.choice([-1.0, 1.0])
    return 0.5 * turn * np.maximum(t - rng.uniform(0.3, 1.0) * t[-2], 0.0) ** 2


def _instability(u: Array, rng: np.random.Generator) -> Array:
    """What single runs right of the optimum lose: now and then much, more often the further right."""
    struck = rng.random(len(u)) < np.clip(0.15 + 0.2 * u, 0.0, 0.6)
    return np.where(struck, 0.05 * rng.lognormal(0.0, 1.0, len(u)) * np.maximum(u + 0.3, 0.0), 0.0)


def _linex_centred(h: float, s: float) -> Shape:
    return lambda u: _linex(u, h, s)


def _sweep(rows: list[tuple[str, float, float, str, float]]) -> SweepTable:
    variant, scale, hp, seed, loss = zip(*rows, strict=True)
    return SweepTable(
        np.array(variant), np.array(scale, float), np.array(hp, float), np.array(seed), np.array(loss, float)
    )
