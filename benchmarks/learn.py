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
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from hptransfer.quantify.basin.basins import Basins
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
    "log_sizes_shared": (0.0, 0.5),
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
class Members:
    """Variants of tables as padded tensors; M of them, at most K scales."""

    t: Tensor  # log2 n less that of the largest scale, [M, K]
    x: Tensor  # log2 eta*, [M, K]
    errors: Tensor  # covariance of x, [M, K, K]
    real: Tensor  # which scales exist, [M, K]
    traits: Tensor  # [M, TRAITS]

    def residuals(self) -> Tensor:
        """Optima less their mean, [M, K]."""
        return (self.x - self.middle()[:, None]) * self.real

    def middle(self) -> Tensor:
        """Mean optimum, [M]."""
        return (self.x * self.real).sum(1) / self.real.sum(1)


@dataclass(frozen=True)
class Batch:
    """Examples as tensors; E of them."""

    members: Members  # the variants that are asked about, and all others of their tables
    own: Tensor  # place of each example's variant among them, [E]
    others: Tensor  # places of the other variants of its table, the last one's where there are fewer, [E, O]
    other: Tensor  # which of them exist, [E, O]
    ahead: Tensor  # octaves from the largest scale seen to the target, [E]
    in_mup: Tensor  # whether the coordinates are known, [E]
    found: Tensor  # log2 eta* at the target, [E]
    found_sd: Tensor  # [E]
    weight: Tensor  # of each example, [E]


def sweep_of(runs: pd.DataFrame) -> SweepTable:
    """Runs (scale, x, seed, loss) as an estimator gets them."""
    columns = (runs["scale"], 2.0 ** runs["x"], runs["seed"], runs["loss"])
    return SweepTable(np.array(["v"] * len(runs)), *(column.to_numpy() for column in columns))


def every_example() -> tuple[list[Group], list[Example]]:
    """Every table of the public series and of the corpus, and what is learned from."""
    found = groups([*public_series(), *corpus_series()])
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


def as_members(every: Sequence[Basins]) -> Members:
    """Variants as padded tensors."""
    count, most = len(every), max(int(b.fitted.sum()) for b in every)
    t, x = np.zeros((count, most)), np.zeros((count, most))
    errors, real = np.zeros((count, most, most)), np.zeros((count, most), dtype=bool)
    for i, basins in enumerate(every):
        inside = basins.fitted
        k, logs = int(inside.sum()), np.log2(basins.cells.scale[inside])
        t[i, :k], x[i, :k], real[i, :k] = logs - logs[-1], basins.x[inside], True
        errors[i, :k, :k] = np.cov(basins.x_draws[:, inside].T)
        errors[i, range(k, most), range(k, most)] = 1e6
    seen = np.array([traits(b) for b in every])
    return Members(*(torch.tensor(a) for a in (t, x, errors, real, seen)))


def batched(chosen: Sequence[Example]) -> Batch:
    """The examples as tensors."""
    every = list({id(b): b for e in chosen for b in (e.basins, *e.others)}.values())
    place = {id(b): i for i, b in enumerate(every)}
    most = max(1, *(len(e.others) for e in chosen))
    others, other = np.zeros((len(chosen), most), dtype=int), np.zeros((len(chosen), most), dtype=bool)
    for i, example in enumerate(chosen):
        count = len(example.others)
        others[i, :count], other[i, :count] = [place[id(b)] for b in example.others], True
    each = Counter(e.case.series.project for e in chosen)
    return Batch(
        members=as_members(every),
        own=torch.tensor([place[id(e.basins)] for e in chosen]),
        others=torch.tensor(others),
        other=torch.tensor(other),
        ahead=torch.tensor([_ahead(e) for e in chosen]),
        in_mup=torch.tensor([e.case.series.own is not None for e in chosen]),
        found=torch.tensor([e.case.truth.x for e in chosen]),
        found_sd=torch.tensor([e.case.truth.sd for e in chosen]),
        weight=torch.tensor([each[e.case.series.project] ** -0.5 for e in chosen]),
    )


def _ahead(example: Example) -> float:
    """Octaves from the largest scale with an optimum to the target."""
    basins = example.basins
    return float(np.log2(example.case.truth.scale / basins.cells.scale[basins.fitted][-1]))


def _size_grid(log_median: Tensor, log_sd: Tensor, logit_none: Tensor) -> tuple[Tensor, Tensor]:
    """Sizes and their log prior weights of every example, [E, S]; as `scatter.SizePrior.grid`."""
    some = torch.exp(log_median[:, None] + torch.exp(log_sd) * torch.tensor(NODES))
    sizes = torch.cat([torch.zeros(len(some), 1), some], 1)
    none = torch.nn.functional.logsigmoid(logit_none)
    weights = torch.nn.functional.logsigmoid(-logit_none) + torch.tensor(LOG_NODE_WEIGHT)
    return sizes, torch.cat([none[None], weights]).expand_as(sizes)


@dataclass(frozen=True)
class Sizes:
    """Every size of scatter and turning of some variants, [M, S] each."""

    scatter: Tensor
    wander: Tensor
    log_prior: Tensor


def _sizes(seen: Tensor, numbers: Tensor) -> Sizes:
    """Of variants with these traits [M, TRAITS]."""
    scalar, by_trait = as_scalars(numbers), numbers[len(SCALARS) :].reshape(3, TRAITS)
    (s, log_s), (w, log_w) = (
        _size_grid(
            scalar[f"log_{name}"] + seen @ by_trait[i],
            scalar[f"log_{name}_log_sd"],
            scalar[f"logit_{name}_none"],
        )
        for i, name in enumerate(("scatter", "wander"))
    )
    grid = torch.cartesian_prod(torch.arange(s.shape[1]), torch.arange(w.shape[1]))
    steady = scalar["logit_steady"] + seen @ by_trait[2]
    log_of = torch.nn.functional.logsigmoid
    log_prior = log_s[:, grid[:, 0]] + log_w[:, grid[:, 1]] + log_of(-steady)[:, None]
    neither = (grid.sum(1) == 0)[None]
    log_prior = torch.where(neither, torch.logaddexp(log_prior, log_of(steady)[:, None]), log_prior)
    return Sizes(s[:, grid[:, 0]], w[:, grid[:, 1]], log_prior)


def _seen(members: Members, sizes: Sizes, slope_sd: Tensor) -> Tensor:
    """Covariance of optima, of a slope of that sd [M, S] and an unknown level, [M, S, K, K]."""
    t, back = members.t, -members.t
    walk = torch.minimum(back[:, :, None], back[:, None])
    departures = sizes.wander[..., None, None] ** 2 * walk[:, None]
    departures = departures + sizes.scatter[..., None, None] ** 2 * torch.eye(t.shape[1])
    by_slope = slope_sd[..., None, None] ** 2 * (t[:, :, None] * t[:, None])[:, None]
    errors = members.errors[:, None] + ESTIMATE_VARIANCE * torch.eye(t.shape[1])
    return LEVEL_VARIANCE + by_slope + departures + errors


def _likelihood(root: Tensor, own: Tensor) -> Tensor:
    """Log density, but for a constant, by a covariance's root [..., K, K] and residuals over it [..., K]."""
    return -0.5 * (own**2).sum(-1) - torch.log(torch.diagonal(root, dim1=-2, dim2=-1)).sum(-1)


def own_laws(members: Members, sizes: Sizes) -> tuple[Tensor, Tensor, Tensor]:
    """As `siblings.own_law`: slope and its variance, [M], and log likelihood of every size, [M, S]."""
    flat = torch.full_like(sizes.scatter, FLAT_SLOPE_SD)
    root = torch.linalg.cholesky(_seen(members, sizes, flat))
    towards = FLAT_SLOPE_SD**2 * members.t
    right = torch.stack([members.residuals(), towards], -1)[:, None].expand(-1, flat.shape[1], -1, -1)
    own, onto = torch.linalg.solve_triangular(root, right, upper=False).unbind(-1)
    likelihood = _likelihood(root, own)
    weight = torch.softmax(sizes.log_prior + likelihood, 1)
    slope, variance = (own * onto).sum(-1), FLAT_SLOPE_SD**2 - (onto**2).sum(-1)
    mean = (weight * slope).sum(1)
    return mean, (weight * (variance + (slope - mean[:, None]) ** 2)).sum(1), likelihood


def slope_prior(batch: Batch, own: tuple[Tensor, Tensor], numbers: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and sd of the prior on each slope by the other variants', [E]; as `siblings.table_priors`."""
    scalar, nodes = as_scalars(numbers), torch.tensor(SLOPE_NODES)
    tau = torch.exp(scalar["log_slope_tau"] + torch.exp(scalar["log_slope_tau_log_sd"]) * nodes)[:, None]
    mean, variance = (a[batch.others][:, None] for a in own)
    real = batch.other[:, None]
    weight = real / (variance + tau**2)  # [E, T, O]
    at_zero = torch.where(batch.in_mup, torch.exp(-2 * scalar["log_slope_mup_sd"]), FLAT_SLOPE_SD**-2)
    total = weight.sum(-1) + at_zero[:, None]
    mu = (weight * mean).sum(-1) / total
    chi2 = (weight * mean**2).sum(-1) - mu**2 * total
    log_weight = torch.log(torch.where(real, weight, 1.0)).sum(-1)
    share = torch.softmax(-0.5 * (nodes**2 + chi2 - log_weight + torch.log(total)), 1)
    centre = (share * mu).sum(1, keepdim=True)
    spread = (share * (1.0 / total + tau[:, 0] ** 2 + (mu - centre) ** 2)).sum(1)
    return centre[:, 0], torch.sqrt(spread)


def _slopes(batch: Batch, own: tuple[Tensor, Tensor], numbers: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Log weight, sd and mean of no slope, an unknown one, and one like the other variants', [E, 3] each."""
    scalar, log_of = as_scalars(numbers), torch.nn.functional.logsigmoid
    centre, sd = slope_prior(batch, own, numbers)
    some = batch.other.any(1) | batch.in_mup
    shared, constant = scalar["logit_slope_shared"], scalar["logit_constant"]
    zero, drifts = torch.zeros_like(sd), log_of(-constant)
    unknown = torch.where(some, log_of(-shared), zero) + math.log(FLAT_SLOPE_SD / LAW.slope_sd)
    alike = torch.where(some, log_of(shared), torch.tensor(-math.inf))
    log_weight = torch.stack([log_of(constant) + zero, drifts + unknown, drifts + alike], 1)
    sds = torch.stack([zero, zero + FLAT_SLOPE_SD, torch.where(some, sd, 1.0)], 1)
    return log_weight, sds, torch.stack([zero, zero, torch.where(some, centre, 0.0)], 1)


def log_probability(batch: Batch, numbers: Tensor) -> Tensor:
    """Of what was found, [E], under the estimator's own model of optima (`law.optimum_law`)."""
    sizes = _sizes(batch.members.traits, numbers)
    *own_slopes, likelihood = own_laws(batch.members, sizes)
    log_slope, sds, means = _slopes(batch, (own_slopes[0], own_slopes[1]), numbers)
    rest = (likelihood[batch.others] * batch.other[..., None]).sum(1)  # [E, S]
    rest = rest / batch.other.sum(1).clamp(min=1)[:, None]  # they count as one
    log_size = sizes.log_prior[batch.own]
    raised = log_size + torch.exp(as_scalars(numbers)["log_sizes_shared"]) * rest
    log_size = torch.log_softmax(raised, 1) + torch.logsumexp(log_size, 1, keepdim=True)
    count = log_size.shape[1]
    grid = torch.cartesian_prod(torch.arange(count), torch.arange(3))
    asked = Sizes(*(a[batch.own][:, grid[:, 0]] for a in (sizes.scatter, sizes.wander, sizes.log_prior)))
    sd, mean = sds[:, grid[:, 1]], means[:, grid[:, 1]]
    m = batch.members
    members = Members(*(a[batch.own] for a in (m.t, m.x, m.errors, m.real, m.traits)))
    root = torch.linalg.cholesky(_seen(members, asked, sd))
    residual = members.residuals()[:, None] - mean[..., None] * (members.t * members.real)[:, None]
    ahead = batch.ahead[:, None]
    cross = LEVEL_VARIANCE + (sd**2 * ahead)[..., None] * members.t[:, None]
    solved = torch.linalg.solve_triangular(root, torch.stack([residual, cross], -1), upper=False)
    own, onto = solved.unbind(-1)
    log = log_size[:, grid[:, 0]] + log_slope[:, grid[:, 1]] + _likelihood(root, own)
    predicted = members.middle()[:, None] + mean * ahead + (own * onto).sum(-1)
    variance = LEVEL_VARIANCE + sd**2 * ahead**2 + asked.wander**2 * ahead + asked.scatter**2
    variance = variance - (onto**2).sum(-1) + batch.found_sd[:, None] ** 2
    density = -0.5 * ((batch.found[:, None] - predicted) ** 2 / variance + torch.log(2 * math.pi * variance))
    return torch.logsumexp(torch.log_softmax(log, 1) + density, 1)


def as_scalars(numbers: Tensor) -> dict[str, Tensor]:
    """The numbers but for the effects of traits, by name."""
    return dict(zip(SCALARS, numbers, strict=False))


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
        sizes_shared=math.exp(scalar["log_sizes_shared"]),
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
