"""FSDP2 and DDP, two gloo processes: groups are built after wrapping, and verify reads sharded tensors."""

import os
import socket
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from small_models import batch, build, loss_of
from torch import nn

import hptransfer as hpt
from hptransfer.errors import RuleError, VerifyError

pytestmark = pytest.mark.skipif(not dist.is_available() or not dist.is_gloo_available(), reason="no gloo")
WORLD = 2
WRAPS = ("fsdp", "ddp")


def worker(rank: int, port: int, results: Any) -> None:
    torch.set_num_threads(1)
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    dist.init_process_group("gloo", rank=rank, world_size=WORLD)
    try:
        for wrap in WRAPS:
            results[wrap, rank] = check(wrap)
    finally:
        dist.destroy_process_group()


def check(wrap: str) -> dict[str, Any]:
    model = build(32)
    scaling = hpt.parametrize(model, base=build(8, seed=1), rule="mup-tp5-table9")
    scaling.init_(model)
    expected = loss_of(model, batch(0)).item()
    wrapped = shard(model) if wrap == "fsdp" else nn.parallel.DistributedDataParallel(model)
    optimizer = torch.optim.AdamW(scaling.param_groups(wrapped, lr=0.01, weight_decay=0.1))
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 / (step + 1))
    losses = []
    for step in range(2):
        loss = loss_of(wrapped, batch(step))
        loss.backward()
        optimizer.step()
        scheduler.step()
        losses.append(loss.item())
    done = scaling.verify(wrapped, optimizer)
    optimizer.param_groups[0]["lr"] *= 2
    try:
        scaling.verify(wrapped, optimizer)
        caught = False
    except VerifyError:
        caught = True
    found = {
        "first": losses[0] - expected,
        "tensors": done.tensors,
        "factor": done.lr_factor,
        "caught": caught,
    }
    if wrap == "fsdp":
        try:
            scaling.init_(wrapped)
        except RuleError as error:
            found["late init"] = str(error)
        plain = scaling.init_(build(32), seed=4)
        scaling.init_(wrapped, seed=4)
        same = zip(plain.parameters(), wrapped.parameters(), strict=True)
        matrices = [torch.equal(a, b.full_tensor()) for a, b in same if a.dim() == 2]
        found["seeded"] = all(matrices) and len(matrices) > 5
    return found


def shard(model: nn.Module) -> nn.Module:
    from torch.distributed.fsdp import fully_shard

    for block in model.blocks:
        fully_shard(block)
    fully_shard(model)
    return model


@pytest.fixture(scope="module")
def found() -> dict[tuple[str, int], dict[str, Any]]:
    """What each process saw, by wrapper and rank; one start of two processes serves both wrappers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with mp.Manager() as manager:
        results = manager.dict()
        mp.spawn(worker, (port, results), nprocs=WORLD)
        return dict(results)


@pytest.mark.parametrize("rank", range(WORLD))
@pytest.mark.parametrize("wrap", WRAPS)
def test_verify_under(wrap: str, rank: int, found: dict[tuple[str, int], dict[str, Any]]) -> None:
    seen = found[wrap, rank]
    assert abs(seen["first"]) < 1e-5  # the multipliers still act
    assert seen["tensors"] == len(list(build(32).parameters()))
    assert seen["factor"] == pytest.approx(1 / 3)
    assert seen["caught"]
    if wrap == "fsdp":
        assert "init_ must come before fully_shard or be given a seed" in seen["late init"]
        assert seen["seeded"]
