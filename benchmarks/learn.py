"""Learn how optima of real series depart from their laws: the numbers of `priors.DEPARTURE`.

    python benchmarks/learn.py

They maximise the probability of what was found at the next scales of every series (`real_series.cases`),
given its own runs and the other variants' of its table. A project counts with the root of its number of
cases, and weak priors keep a handful of projects from being followed to the letter. `real.py` learns them
anew without each project that it judges.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from hptransfer.quantify.law import departure as departure_module
from hptransfer.quantify.law import siblings as siblings_module
from hptransfer.quantify.law.departure import traits
from hptransfer.quantify.law.scatter import LOG_NODE_WEIGHT, NODES
from hptransfer.quantify.law.siblings import NODES as SLOPE_NODES
from hptransfer.quantify.priors import DEPARTURE, LAW, DeparturePriors
from hptransfer.sweep.table import SweepTable
from real_groups import Example, Group, examples, groups
from real_series import corpus_series, public_series

# Centre and sd of the normal prior on each number, on the scale that it is learned on.
SCALARS = {
    "log_scatter": (math.log(0.05), 1.0),
    "log_wander": (math.log(0.1), 1.0),
    "log_scatter_log_sd": (0.0, 0.4),
    "log_wander_log_sd": (0.0, 0.4),
    "logit_scatter_none": (-1.5, 1.0),
    "logit_wander_none": (-1.5, 1.0),
    "logit_steady": (-2.0, 1.0),
    "logit_constant": (-2.0, 0.7),
    "logit_slope_shared": (1.5, 1.0),
    "log_slope_tau": (math.log(0.25), 0.5),
    "log_slope_tau_log_sd": (math.log(0.6), 0.3),
    "log_slope_mup_sd": (math.log(0.5), 0.4),
}
TRAITS = 4
TRAIT_SD = 0.3  # of a trait's effect on the log of a size
FLAT_SLOPE_SD = 20.0  # octaves per octave; so wide that nothing is known of a slope
LEVEL_VARIANCE = 400.0  # octaves squared; nothing is known of where an optimum lies
ESTIMATE_VARIANCE = 1e-6  # octaves squared; keeps covariances invertible
ITERATIONS = 60  # of L-BFGS


@dataclass(frozen=True)
class Batch:
    """Examples as padded tensors; E of them, at most K scales."""

    t: Tensor  # log2 n less that of the largest scale seen, the target last, [E, K + 1]
    x: Tensor  # log2 eta*, [E, K]
    errors: Tensor  # covariance of x, [E, K, K]
    real: Tensor  # which scales exist, [E, K]
    traits: Tensor  # [E, TRAITS]
    others: Tensor  # slopes of the table's other variants, in muP coordinates where known, [E, O]
    others_variance: Tensor  # of them, infinite where there is none, [E, O]
    in_mup: Tensor  # whether the coordinates are known, [E]
    found: Tensor  # log2 eta* at the target, [E]
    found_sd: Tensor  # [E]
    weight: Tensor  # of each example, [E]


def sweep_of(runs: pd.DataFrame) -> SweepTable:
    """Runs (scale, x, seed, loss) as an estimator gets them."""
    columns = (runs["scale"], 2.0 ** runs["x"], runs["seed"], runs["loss"])
    return SweepTable(np.array(["v"] * len(runs)), *(column.to_numpy() for column in columns))


def every_example() -> tuple[list[Group], list[Example]]:
    """Every table of the public series and of the corpus, and what is learned from.

    The other variants' slopes go by where learning starts, so that no project's numbers are in them.
    """
    found = groups([*public_series(), *corpus_series()])
    with using(as_priors(start())):
        return found, examples(found)


class using:
    """The estimator with other learned numbers, for as long as a block lasts."""

    def __init__(self, priors: DeparturePriors) -> None:
        self.priors, self.before = priors, DEPARTURE

    def __enter__(self) -> None:
        self.before = departure_module.DEPARTURE
        self._set(self.priors)

    def __exit__(self, *_: object) -> None:
        self._set(self.before)

    @staticmethod
    def _set(priors: DeparturePriors) -> None:
        for module in (departure_module, siblings_module):
            module.DEPARTURE = priors  # type: ignore[attr-defined]


def batched(chosen: Sequence[Example]) -> Batch:
    """The examples as tensors."""
    count, most = len(chosen), max(int(e.basins.fitted.sum()) for e in chosen)
    t, x = np.zeros((count, most + 1)), np.zeros((count, most))
    most_others = max(1, *(len(e.others) for e in chosen))
    others = np.full((count, most_others, 2), (0.0, np.inf))
    errors, real = np.zeros((count, most, most)), np.zeros((count, most), dtype=bool)
    for i, example in enumerate(chosen):
        inside = example.basins.fitted
        k, logs = int(inside.sum()), np.log2(example.basins.cells.scale[inside])
        t[i, :k], t[i, most] = logs - logs[-1], np.log2(example.case.truth.scale) - logs[-1]
        x[i, :k], real[i, :k] = example.basins.x[inside], True
        errors[i, :k, :k] = np.cov(example.basins.x_draws[:, inside].T)
        errors[i, range(k, most), range(k, most)] = 1e6
        others[i, : len(example.others)] = np.array(example.others).reshape(-1, 2)
    each = Counter(e.case.series.project for e in chosen)
    return Batch(
        *(torch.tensor(a) for a in (t, x, errors, real)),
        traits=torch.tensor(np.array([traits(e.basins) for e in chosen])),
        others=torch.tensor(others[..., 0]),
        others_variance=torch.tensor(others[..., 1]),
        in_mup=torch.tensor([e.case.series.own is not None for e in chosen]),
        found=torch.tensor([e.case.truth.x for e in chosen]),
        found_sd=torch.tensor([e.case.truth.sd for e in chosen]),
        weight=torch.tensor([each[e.case.series.project] ** -0.5 for e in chosen]),
    )


def _size_grid(log_median: Tensor, log_sd: Tensor, logit_none: Tensor) -> tuple[Tensor, Tensor]:
    """Sizes and their log prior weights of every example, [E, S]; as `scatter.SizePrior.grid`."""
    some = torch.exp(log_median[:, None] + torch.exp(log_sd) * torch.tensor(NODES))
    sizes = torch.cat([torch.zeros(len(some), 1), some], 1)
    none = torch.nn.functional.logsigmoid(logit_none)
    weights = torch.nn.functional.logsigmoid(-logit_none) + torch.tensor(LOG_NODE_WEIGHT)
    return sizes, torch.cat([none[None], weights]).expand_as(sizes)


def slope_prior(batch: Batch, scalar: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Mean and sd of the prior on each slope by the other variants', [E]; as `siblings.slope_priors`."""
    nodes = torch.tensor(SLOPE_NODES)
    tau = torch.exp(scalar["log_slope_tau"] + torch.exp(scalar["log_slope_tau_log_sd"]) * nodes)[:, None]
    weight = 1.0 / (batch.others_variance[:, None] + tau**2)  # [E, T, O]
    mean = batch.others[:, None]
    at_zero = torch.where(batch.in_mup, torch.exp(-2 * scalar["log_slope_mup_sd"]), FLAT_SLOPE_SD**-2)
    total = weight.sum(-1) + at_zero[:, None]
    mu = (weight * mean).sum(-1) / total
    chi2 = (weight * mean**2).sum(-1) - mu**2 * total
    real = torch.isfinite(batch.others_variance)[:, None]
    log_weight = torch.log(torch.where(real, weight, 1.0)).sum(-1)
    share = torch.softmax(-0.5 * (nodes**2 + chi2 - log_weight + torch.log(total)), 1)
    centre = (share * mu).sum(1, keepdim=True)
    variance = (share * (1.0 / total + tau[:, 0] ** 2 + (mu - centre) ** 2)).sum(1)
    return centre[:, 0], torch.sqrt(variance)


def log_probability(batch: Batch, numbers: Tensor) -> Tensor:
    """Of what was found, [E], under the estimator's own model of optima (`law.optimum_law`)."""
    scalar = dict(zip(SCALARS, numbers, strict=False))
    by_trait = numbers[len(SCALARS) :].reshape(3, TRAITS)
    (s, log_s), (w, log_w) = (
        _size_grid(
            scalar[f"log_{name}"] + batch.traits @ by_trait[i],
            scalar[f"log_{name}_log_sd"],
            scalar[f"logit_{name}_none"],
        )
        for i, name in enumerate(("scatter", "wander"))
    )
    log_slope, sds, means = _slopes(batch, scalar)
    grid = torch.cartesian_prod(*(torch.arange(n) for n in (s.shape[1], w.shape[1], sds.shape[1])))
    size, turn = s[:, grid[:, 0]], w[:, grid[:, 1]]  # [E, G]
    sd, mean = sds[:, grid[:, 2]], means[:, grid[:, 2]]
    steady = scalar["logit_steady"] + batch.traits @ by_trait[2]
    log_prior = log_s[:, grid[:, 0]] + log_w[:, grid[:, 1]] + torch.nn.functional.logsigmoid(-steady)[:, None]
    neither = torch.nn.functional.logsigmoid(steady)[:, None]
    log_prior = torch.where(
        (grid[:, 0] + grid[:, 1] == 0)[None], torch.logaddexp(log_prior, neither), log_prior
    )
    log_prior = log_prior + log_slope[:, grid[:, 2]]
    t, scales = batch.t, batch.x.shape[1]
    back, ahead = (-t).clamp(min=0), t.clamp(min=0)
    walk = torch.minimum(back[:, :, None], back[:, None]) + torch.minimum(ahead[:, :, None], ahead[:, None])
    covariance = (
        LEVEL_VARIANCE
        + (sd**2)[..., None, None] * (t[:, :, None] * t[:, None])[:, None]
        + turn[..., None, None] ** 2 * walk[:, None]
        + size[..., None, None] ** 2 * torch.eye(scales + 1)
    )  # [E, G, K + 1, K + 1]
    seen = covariance[:, :, :scales, :scales] + batch.errors[:, None] + ESTIMATE_VARIANCE * torch.eye(scales)
    middle = (batch.x * batch.real).sum(1) / batch.real.sum(1)
    by_slope = mean[..., None] * (t * torch.nn.functional.pad(batch.real, (0, 1), value=True))[:, None]
    residual = ((batch.x - middle[:, None]) * batch.real)[:, None] - by_slope[..., :scales]
    root = torch.linalg.cholesky(seen)
    cross = covariance[:, :, scales, :scales, None]
    solved = torch.linalg.solve_triangular(root, torch.cat([residual[..., None], cross], -1), upper=False)
    own, onto = solved[..., 0], solved[..., 1]
    log = log_prior - 0.5 * (own**2).sum(-1) - torch.log(torch.diagonal(root, dim1=-2, dim2=-1)).sum(-1)
    predicted = middle[:, None] + by_slope[..., scales] + (own * onto).sum(-1)
    variance = covariance[:, :, scales, scales] - (onto**2).sum(-1) + batch.found_sd[:, None] ** 2
    density = -0.5 * ((batch.found[:, None] - predicted) ** 2 / variance + torch.log(2 * math.pi * variance))
    return torch.logsumexp(torch.log_softmax(log, 1) + density, 1)


def _slopes(batch: Batch, scalar: Mapping[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """Log weight, sd and mean of no slope, an unknown one, and one like the other variants', [E, 3] each."""
    log_of = torch.nn.functional.logsigmoid
    centre, sd = slope_prior(batch, scalar)
    some = torch.isfinite(batch.others_variance).any(1) | batch.in_mup
    shared, constant = scalar["logit_slope_shared"], scalar["logit_constant"]
    zero = torch.zeros_like(sd)
    unknown = torch.where(some, log_of(-shared), zero) + math.log(FLAT_SLOPE_SD / LAW.slope_sd)
    alike = torch.where(some, log_of(shared), torch.tensor(-math.inf))
    log_weight = torch.stack(
        [log_of(constant) + zero, log_of(-constant) + unknown, log_of(-constant) + alike], 1
    )
    sds = torch.stack([zero, zero + FLAT_SLOPE_SD, torch.where(some, sd, 1.0)], 1)
    return log_weight, sds, torch.stack([zero, zero, torch.where(some, centre, 0.0)], 1)


def start() -> Tensor:
    """The centres of the priors."""
    return torch.tensor([centre for centre, _ in SCALARS.values()] + [0.0] * (3 * TRAITS))


def learned(chosen: Sequence[Example], begin: Tensor | None = None, steps: int = ITERATIONS) -> Tensor:
    """The numbers of highest posterior density given these examples."""
    batch = batched(chosen)
    centres, sds = torch.tensor(list(SCALARS.values())).T
    numbers = (start() if begin is None else begin.clone()).requires_grad_(True)
    search = torch.optim.LBFGS([numbers], max_iter=steps, line_search_fn="strong_wolfe")

    def cost() -> Any:
        search.zero_grad()
        prior = (((numbers[: len(SCALARS)] - centres) / sds) ** 2).sum()
        prior = prior + ((numbers[len(SCALARS) :] / TRAIT_SD) ** 2).sum()
        value = 0.5 * prior - (batch.weight * log_probability(batch, numbers)).sum()
        value.backward()
        return value

    search.step(cost)
    return numbers.detach()


def as_priors(numbers: Tensor) -> DeparturePriors:
    """The learned numbers in the place where the estimator reads them."""
    scalar = {name: float(value) for name, value in zip(SCALARS, numbers, strict=False)}
    by_trait = numbers[len(SCALARS) :].reshape(3, TRAITS).tolist()
    share = {
        name: 1 / (1 + math.exp(-scalar[f"logit_{name}"]))
        for name in ("scatter_none", "wander_none", "constant", "steady", "slope_shared")
    }
    return replace(
        DEPARTURE,
        scatter=math.exp(scalar["log_scatter"]),
        wander=math.exp(scalar["log_wander"]),
        scatter_log_sd=math.exp(scalar["log_scatter_log_sd"]),
        wander_log_sd=math.exp(scalar["log_wander_log_sd"]),
        scatter_by_trait=tuple(by_trait[0]),
        wander_by_trait=tuple(by_trait[1]),
        steady_by_trait=tuple(by_trait[2]),
        slope_tau=math.exp(scalar["log_slope_tau"]),
        slope_tau_log_sd=math.exp(scalar["log_slope_tau_log_sd"]),
        slope_mup_sd=math.exp(scalar["log_slope_mup_sd"]),
        **share,
    )


def main() -> None:
    torch.set_default_dtype(torch.float64)
    _, chosen = every_example()
    projects = {e.case.series.project for e in chosen}
    print(f"{len(chosen)} cases of {len(projects)} projects")
    found = as_priors(learned(chosen))
    for name in (f.name for f in fields(found)):
        value = getattr(found, name)
        print(name, tuple(round(v, 3) for v in value) if isinstance(value, tuple) else round(value, 3))


if __name__ == "__main__":
    main()
