"""Every optimizer against its reference, step by step in float64; stacked equals single."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from tests.lm.reference import trained, trained_alone
from torch import Tensor

from hptransfer.lm.optimizer import Scalars, optimizer_of, orthogonalised, update_for
from hptransfer.lm.rule import forward_scales
from hptransfer.lm.stack import initial_weights
from hptransfer.parametrization.optimizers import OPTIMIZERS as REGISTRY
from hptransfer.runs.config import ModelConfig, RunSpec, TrainConfig
from hptransfer.runs.decoder_tensors import tensor_layout
from hptransfer.runs.schedule import schedule_factor

LR, DECAY, STEPS = 0.02, 0.3, 12
Params = Sequence[Tensor]


def run_of(rule: str = "sp", *, model: dict[str, Any] | None = None, **train: Any) -> RunSpec:
    """A run at its base width: every rule gives every tensor one LR."""
    shape = {"width": 16, "heads": 2, "depth": 1, "vocab": 260, "context": 6}
    fixed = {"dtype": "float64", "batch_size": 4, "steps": STEPS, "weight_decay": DECAY}
    return RunSpec(
        model=ModelConfig.model_validate(shape | (model or {})),
        train=TrainConfig.model_validate(fixed | train),
        rule=rule,
        base_width=16,
        lr=LR,
    )


class Lion(torch.optim.Optimizer):
    """Algorithm 2 of arXiv:2302.06675, line by line."""

    def __init__(self, params: Any, lr: float, betas: tuple[float, float], weight_decay: float) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        for group in self.param_groups:
            beta1, beta2 = group["betas"]
            for p in group["params"]:
                m = self.state[p].setdefault("m", torch.zeros_like(p))
                c = beta1 * m + (1 - beta1) * p.grad
                p.sub_(group["lr"] * (torch.sign(c) + group["weight_decay"] * p))
                self.state[p]["m"] = beta2 * m + (1 - beta2) * p.grad


def reference(run: RunSpec, weights: dict[str, Tensor]) -> list[torch.optim.Optimizer]:
    train, matrices, vectors = run.train, [], []
    for name, weight in weights.items():
        (matrices if weight.ndim >= 2 else vectors).append((name, weight))
    hidden = {t.name for t in tensor_layout(run.model) if t.role == "hidden"}

    def groups(keep: Any = lambda name: True) -> list[dict[str, Any]]:
        return [
            {"params": [w for n, w in matrices if keep(n)], "weight_decay": train.weight_decay},
            {"params": [w for n, w in vectors if keep(n)], "weight_decay": 0.0},
        ]

    if train.optimizer == "adamw":
        return [torch.optim.AdamW(groups(), lr=LR, betas=train.betas, eps=train.eps)]
    if train.optimizer == "adam":
        return [torch.optim.Adam(groups(), lr=LR, betas=train.betas, eps=train.eps)]
    if train.optimizer == "sgd":
        return [torch.optim.SGD(groups(), lr=LR, momentum=train.momentum_rate)]
    if train.optimizer == "lion":
        return [Lion(groups(), LR, train.betas, 0.0)]
    adamw = torch.optim.AdamW(
        groups(lambda n: n not in hidden), lr=LR * train.adamw_lr, betas=train.betas, eps=train.eps
    )
    muon = torch.optim.Muon(
        [w for n, w in weights.items() if n in hidden],
        lr=LR,
        weight_decay=train.weight_decay,
        momentum=train.momentum_rate,
        adjust_lr_fn=train.muon_adjust,
    )
    return [adamw, muon]


OPTIMIZERS: dict[str, dict[str, Any]] = {
    "adamw": {"optimizer": "adamw"},
    "adamw-betas-eps": {"optimizer": "adamw", "betas": (0.8, 0.99), "eps": 1e-4},
    "adam": {"optimizer": "adam"},
    "sgd": {"optimizer": "sgd"},
    "sgd-without-momentum": {"optimizer": "sgd", "momentum": 0.0},
    "lion": {"optimizer": "lion", "betas": (0.9, 0.99)},
    "muon": {"optimizer": "muon"},
    "muon-original": {"optimizer": "muon", "muon_adjust": "original", "momentum": 0.9, "adamw_lr": 0.1},
}


with_muon = pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="torch 2.9 brought Muon")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=with_muon if "muon" in name else ()) for name in OPTIMIZERS]
)
def test_every_step_is_the_reference_implementations(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # torch's Muon orthogonalises in bfloat16; in float64 the two can be compared.
    monkeypatch.setattr(torch.Tensor, "bfloat16", torch.Tensor.clone)
    run = run_of(**OPTIMIZERS[name], schedule="cosine")
    losses, weights = trained([run], STEPS)

    def made(weights: dict[str, Tensor]) -> list[torch.optim.Optimizer]:
        found = reference(run, weights)
        schedules.extend(
            torch.optim.lr_scheduler.LambdaLR(o, lambda s: schedule_factor(run.train, run.steps, s))
            for o in found
        )
        return found

    schedules: list[torch.optim.lr_scheduler.LambdaLR] = []
    steps = 0

    def advance(_: dict[str, Tensor]) -> None:
        nonlocal steps
        if steps:
            for schedule in schedules:
                schedule.optimizer._opt_called = True
                schedule.step()
        steps += 1

    alone, wanted = trained_alone(run, STEPS, forward_scales(run).attention, made, advance)
    torch.testing.assert_close(losses[:, 0].tolist(), alone, rtol=0, atol=1e-9)
    for tensor, value in wanted.items():
        torch.testing.assert_close(weights[tensor][0], value, rtol=0, atol=1e-9)
    assert alone[-1] != pytest.approx(alone[0], abs=1e-3)


@pytest.mark.parametrize("name", REGISTRY)
def test_the_registry_knows_how_many_moments_an_update_keeps(name: str) -> None:
    run, one = run_of(optimizer=name), torch.tensor(0.5)
    for tensor in tensor_layout(run.model):
        update, count = update_for(run.train, tensor), optimizer_of(run.train, tensor).moments
        weight = torch.ones(tensor.shape)
        _, after = update(weight, weight, (torch.zeros_like(weight),) * count, Scalars(*[one] * 8))
        assert len(after) == count
        assert all(moment.shape == weight.shape for moment in after)


@with_muon
def test_torchs_muon_in_bfloat16_is_near_ours() -> None:
    """One step of torch's Muon as it is; bfloat16 moves small singular values by some hundredths."""
    run = run_of(optimizer="muon", schedule="constant", warmup=0.0)
    _, weights = trained([run], 1)
    _, wanted = trained_alone(run, 1, forward_scales(run).attention, lambda w: reference(run, w))
    for tensor, value in wanted.items():
        assert (weights[tensor][0] - value).norm() <= 0.15 * (initial_weights(run)[tensor] - value).norm()


def test_orthogonalised_singular_values_are_near_one() -> None:
    for rows, columns in ((8, 8), (24, 8), (8, 24)):
        matrix = torch.randn(3, rows, columns, generator=torch.Generator().manual_seed(0))
        values = torch.linalg.svdvals(orthogonalised(matrix))
        assert 0.6 < values.min() < values.max() < 1.3
    assert (orthogonalised(torch.zeros(4, 4)) == 0).all()


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_stacked_equals_single(name: str) -> None:
    members = [
        run_of(**OPTIMIZERS[name] | {"weight_decay": decay, "clip": clip}).model_copy(
            update={"lr": lr, "seed": seed}
        )
        for decay, clip, lr, seed in ((0.1, 0.05, 0.01, 0), (0.0, 1e9, 0.03, 1), (0.3, 1.0, 0.003, 2))
    ]
    together, weights = trained(members, 5)
    for index, member in enumerate(members):
        alone, own = trained([member], 5)
        torch.testing.assert_close(together[:, index], alone[:, 0], rtol=0, atol=1e-10)
        for tensor, value in own.items():
            torch.testing.assert_close(weights[tensor][index], value[0], rtol=0, atol=1e-10)


@pytest.mark.parametrize("optimizer", ["adamw", "lion", "muon"])
def test_kinds_of_decay(optimizer: str) -> None:
    """One step from a gradient of zero shrinks by exactly what the kind says."""
    from hptransfer.lm.rule import decoder_settings
    from hptransfer.parametrization.tensor_settings import step_decay

    run = RunSpec(
        model=ModelConfig(width=64, heads=4),
        train=TrainConfig(optimizer=optimizer, weight_decay=0.1, lr_batch_rule="sqrt", base_batch_size=2),
        rule="mup",
        base_width=16,
        lr=0.01,
    )
    eta = 0.01 * 2  # batch 8 = 4 x 2

    def shrinks(kind: str) -> dict[str, float]:
        train = run.train.model_copy(update={"decay_kind": kind})
        found = decoder_settings(run.model_copy(update={"train": train}))
        assert {step_decay(found[group]) for group in ("vector", "blocks.vector", "scalar")} == {0}
        return {group: step_decay(found[group]) for group in ("embedding", "blocks.hidden", "readout")}

    hidden = eta * {"muon": 2.0}.get(optimizer, 1.0)  # Muon's LR in SP coordinates falls like m**-1/2 alone
    assert shrinks("coupled") == pytest.approx(
        {"embedding": 0.1 * eta * 4, "blocks.hidden": 0.1 * hidden, "readout": 0.1 * eta}
    )
    assert set(shrinks("independent").values()) == {0.1}
    assert list(shrinks("mup").values()) == pytest.approx([0.1 * eta * 4] * 3)


def test_decay_acts_through_the_schedule() -> None:
    """With a gradient of zero AdamW leaves decay alone to act."""
    from hptransfer.lm.optimizer import adamw

    one = torch.tensor(1.0)
    scalars = Scalars(one, torch.tensor(0.25), one * 0.9, one * 0.9, one, one, one, one)
    weight, _ = adamw(torch.ones(3), torch.zeros(3), (torch.zeros(3), torch.zeros(3)), scalars)
    assert weight.tolist() == [0.75] * 3
    run = run_of(optimizer="adamw", decay_kind="independent", schedule="linear", warmup=0.5)
    coupled = run.model_copy(
        update={"train": run.train.model_copy(update={"decay_kind": "coupled", "weight_decay": DECAY / LR})}
    )
    a, b = trained([run], 4), trained([coupled], 4)
    torch.testing.assert_close(a[0], b[0], rtol=0, atol=1e-12)  # LR x (lambda / LR) is lambda
