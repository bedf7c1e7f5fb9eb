"""How often the two answers are right: never yes where nothing carries, settled where it clearly does or not.

python benchmarks/decisions.py --studies 1000    # null studies, clear ones, and suggested runs followed
"""

from __future__ import annotations

import argparse
import os
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hptransfer.fit import quantify
from hptransfer.quantify.result import SuggestedRun, VariantFit
from hptransfer.quantify.suggest import is_settled
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


def wrong(w: World, fit: VariantFit) -> tuple[bool, bool]:
    """Whether a yes to keeping, and one to following the law, costs more than the tolerance anywhere."""
    verdict, places = fit.verdict, [*w.scale.tolist(), w.target]
    keep = law = False
    if verdict.keep.value == "yes" and verdict.kept_hp.value is not None:
        keep = max(w.cost(n, verdict.kept_hp.value) for n in places) > w.tolerance
    if verdict.extrapolate.value == "yes" and fit.predictions[0].hp_recommended is not None:
        law = w.cost(w.target, fit.predictions[0].hp_recommended) > w.tolerance
    return keep, law


def judged(task: tuple[str, int, bool]) -> dict[str, object]:
    """One study: both answers, whether they are right, and what following the suggested runs did."""
    family, seed, follow = task
    w, rng = world(family, seed), np.random.default_rng([seed, 1])
    sweep = run(w, rng)
    fit = quantify(sweep, targets=(w.target,), suggest=follow).variants["v"]
    keep, law = wrong(w, fit)
    out: dict[str, object] = {
        "family": family,
        "keep": fit.verdict.keep.value,
        "law": fit.verdict.extrapolate.value,
    }
    out |= {"wrong keep": keep, "wrong law": law, "word": fit.verdict.value}
    found = fit.verdict.suggested
    if follow and found is not None:
        out["offered"] = bool(found.runs)
        if found.runs:
            more = joined(sweep, run(w, rng, list(found.runs)))
            again = quantify(more, targets=(w.target,)).variants["v"]
            out |= {"promised": found.settles, "settled": is_settled(fit.verdict, again.verdict)}
            out |= {"price": found.cost_share}
    return out


def _share(rows: list[dict[str, object]], key: str, value: object = True) -> str:
    hits = sum(row.get(key) == value for row in rows)
    return f"{hits}/{len(rows)} = {hits / max(len(rows), 1):.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--studies", type=int, default=1000, help="null studies; as many clear ones")
    parser.add_argument(
        "--followed", type=int, default=100, help="clear studies whose suggested runs are made"
    )
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes")
    args = parser.parse_args()
    seeds = range(args.first_seed, args.first_seed + args.studies)
    tasks = [(NULLS[i % len(NULLS)], seed, False) for i, seed in enumerate(seeds)]
    tasks += [(CLEAR[i % len(CLEAR)], seed, i < args.followed) for i, seed in enumerate(seeds)]
    with ProcessPoolExecutor(args.jobs) as pool:
        rows = list(pool.map(judged, tasks, chunksize=2))
    print("null studies: a yes whose true cost exceeds the tolerance, of all studies (target 0.025)")
    for family in (*NULLS, "all"):
        some = [r for r in rows if r["family"] == family or (family == "all" and r["family"] in NULLS)]
        words = dict(Counter(str(r["word"]) for r in some))
        print(f"  {family:10s} keep {_share(some, 'wrong keep')}  law {_share(some, 'wrong law')}  {words}")
    print("clear studies: settled, and rightly (target 0.8)")
    right = {"stays": ("yes", ""), "falls": ("no", "yes"), "falls_half": ("no", "yes")}
    for family in CLEAR:
        some = [r for r in rows if r["family"] == family]
        keep, law = right[family]
        both = [r for r in some if r["keep"] == keep and (not law or r["law"] == law)]
        print(f"  {family:10s} keep {_share(some, 'keep', keep)}  both {len(both)}/{len(some)}")
        print(f"             wrong yes: keep {_share(some, 'wrong keep')}, law {_share(some, 'wrong law')}")
    asked = [r for r in rows if "offered" in r]
    offered = [r for r in asked if r["offered"]]
    print(
        f"suggested runs: offered {_share(asked, 'offered')}; "
        f"followed once they settle {_share(offered, 'settled')}"
    )
    if offered:
        print(f"  promised {np.mean([float(str(r['promised'])) for r in offered]):.2f} on average")
        prices = np.quantile([float(str(r["price"])) for r in offered], [0.1, 0.5, 0.9])
        print(f"  price, of what was spent: {np.round(prices, 2)}")


if __name__ == "__main__":
    main()
