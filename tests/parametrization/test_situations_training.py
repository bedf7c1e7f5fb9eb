"""What people do to models and optimizers in training: copies, new heads, schedulers, several optimizers."""

from __future__ import annotations

import copy
import io

import pytest
import torch
from situations import BASE, IDS, RULE, VOCAB, WIDTH, Simple, ready
from torch import Tensor, nn
from torch.nn import functional as F

import hptransfer as hpt
from hptransfer.errors import HPTransferError


def test_head_replaced_after_init() -> None:
    model, scaling, optimizer = ready(Simple)
    model.head = nn.Linear(WIDTH, VOCAB, bias=False)
    optimizer = torch.optim.AdamW(scaling.param_groups(model, lr=1e-3, weight_decay=0.1))
    with pytest.raises(HPTransferError, match="head"):
        scaling.verify(model, optimizer, IDS)


@pytest.mark.filterwarnings("ignore")
def test_schedulers_with_a_floor_or_one_maximum() -> None:
    model, scaling, optimizer = ready(Simple)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 10, eta_min=1e-4)
    scaling.verify(model, optimizer)
    for _ in range(5):
        schedule.step()
    with pytest.raises(HPTransferError, match="lr"):
        scaling.verify(model, optimizer)
    model, scaling, optimizer = ready(Simple)
    torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1e-3, total_steps=10)
    with pytest.raises(HPTransferError, match="lr"):
        scaling.verify(model, optimizer)


def test_optimizer_state_of_another_width() -> None:
    small = Simple(BASE)
    at_base = hpt.parametrize(small, base=Simple(2 * BASE), rule=RULE, narrower=True)
    saved = torch.optim.AdamW(at_base.param_groups(small, lr=1e-3, weight_decay=0.1)).state_dict()
    model, scaling, optimizer = ready(Simple)
    optimizer.load_state_dict(saved)
    with pytest.raises(HPTransferError, match="lr"):
        scaling.verify(model, optimizer)


def test_accelerate_with_accumulation() -> None:
    accelerate = pytest.importorskip("accelerate")
    model, scaling, optimizer = ready(Simple)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda s: min(1.0, s / 3))
    accelerator = accelerate.Accelerator(cpu=True, gradient_accumulation_steps=2)
    live, opt, sched = accelerator.prepare(model, optimizer, schedule)
    for _ in range(4):
        with accelerator.accumulate(live):
            loss = F.cross_entropy(live(IDS).flatten(0, 1), IDS.flatten())
            accelerator.backward(loss)
            opt.step()
            sched.step()
            opt.zero_grad()
        scaling.verify(live, opt, IDS)


class Tasks(Simple):
    def __init__(self, n: int) -> None:
        super().__init__(n)
        self.head = nn.ModuleDict(
            {"tags": nn.Linear(n, 5), "value": nn.Linear(n, 1), "next": nn.Linear(n, VOCAB)}
        )

    def forward(self, ids: Tensor, task: str = "value") -> dict[str, Tensor]:
        return {task: self.head[task](self.hidden(ids))}


def test_heads_of_several_tasks_with_their_own_rates() -> None:
    torch.manual_seed(0)
    model = Tasks(WIDTH)
    scaling = hpt.parametrize(model, base=Tasks(BASE), rule=RULE)
    scaling.init_(model)
    groups = scaling.param_groups(model, lr=1e-3, factors={"head.value": 5.0, "head.*": 0.5})
    optimizer = torch.optim.AdamW([{**g, "name": f"group{i}"} for i, g in enumerate(groups)])
    found = scaling.verify(model, optimizer, IDS)
    assert set(found.unseen) == {"head.tags", "head.next"}
    assert found.proven == 1
    assert {t.name: t.role for t in scaling.tensors}["head.value.weight"] == "readout"
    scaling.verify(model, optimizer, {"ids": IDS, "task": "tags"})


def test_an_optimizer_for_each_tensor() -> None:
    model, scaling, _optimizer = ready(Simple)
    several = [
        torch.optim.AdamW([{**g, "params": [p], "names": [n]}])
        for g in scaling.param_groups(model, lr=1e-3)
        for p, n in zip(g["params"], g["names"], strict=True)
    ]
    scaling.verify(model, several, IDS)
    several[0].param_groups[0]["lr"] *= 4
    with pytest.raises(HPTransferError, match="lr"):
        scaling.verify(model, several, IDS)


def test_rates_set_by_the_loop_from_a_list_by_index() -> None:
    # A loop that remembers base LRs by group index and writes them back after the groups were sorted anew.
    model, scaling, optimizer = ready(Simple)
    initial = [g["lr"] for g in optimizer.param_groups]
    optimizer.param_groups.sort(key=lambda g: g["lr"])
    for g, lr in zip(optimizer.param_groups, initial, strict=True):
        g["lr"] = lr
    if initial != sorted(initial):
        with pytest.raises(HPTransferError, match="lr"):
            scaling.verify(model, optimizer)


def test_generator_and_discriminator_with_two_optimizers() -> None:
    class Gan(nn.Module):
        def __init__(self, n: int) -> None:
            super().__init__()
            self.gen = nn.Sequential(nn.Linear(8, n), nn.ReLU(), nn.Linear(n, n), nn.ReLU(), nn.Linear(n, 6))
            self.disc = nn.Sequential(nn.Linear(6, n), nn.ReLU(), nn.Linear(n, n), nn.ReLU(), nn.Linear(n, 1))

        def forward(self, z: Tensor) -> Tensor:
            return self.disc(self.gen(z))

    torch.manual_seed(0)
    model = Gan(WIDTH)
    scaling = hpt.parametrize(model, base=Gan(BASE), rule=RULE)
    scaling.init_(model)
    groups = scaling.param_groups(model, lr=1e-3, factors={"disc.*": 4.0})
    parts = [
        [
            {
                **g,
                "params": [p for p, n in zip(g["params"], g["names"], strict=True) if n.startswith(side)],
                "names": [n for n in g["names"] if n.startswith(side)],
            }
            for g in groups
            if any(n.startswith(side) for n in g["names"])
        ]
        for side in ("gen", "disc")
    ]
    found = scaling.verify(model, [torch.optim.AdamW(p) for p in parts], torch.randn(4, 8))
    assert found.proven == found.modules == 2


def test_ema_copies() -> None:
    model, scaling, optimizer = ready(Simple)
    ema = copy.deepcopy(model)
    averaged = torch.optim.swa_utils.AveragedModel(model)
    want = model(IDS)
    assert torch.equal(ema(IDS), want)
    assert torch.equal(averaged(IDS), want)
    scaling.verify(model, optimizer, IDS)


def test_whole_model_saved() -> None:
    model, _scaling, _optimizer = ready(Simple)
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    loaded = torch.load(file, weights_only=False)
    assert torch.equal(loaded(IDS), model(IDS))


def test_trace() -> None:
    model, *_ = ready(Simple)
    traced = torch.jit.trace(model, (IDS,))
    torch.testing.assert_close(traced(IDS), model(IDS))


def test_functional_call_and_ensembles() -> None:
    model, _scaling, _optimizer = ready(Simple)
    values = dict(model.named_parameters())
    assert torch.equal(torch.func.functional_call(model, values, (IDS,)), model(IDS))
    stacked = {n: torch.stack([v, v]) for n, v in values.items()}
    out = torch.func.vmap(lambda p: torch.func.functional_call(model, p, (IDS,)))(stacked)
    torch.testing.assert_close(out[1], model(IDS))
