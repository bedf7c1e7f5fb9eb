"""Training on CUDA: what is proven elsewhere on a CPU, on the device itself.

Skipped where there is no GPU. HPTRANSFER_TEST_DEVICE=cpu runs what means something on a CPU there, as a test
of these tests. `benchmarks/gpu.py` runs them first of all on a machine with a GPU.
"""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.func import grad_and_value, vmap
from torch.nn import functional as F

from hptransfer.lm import train as train_module
from hptransfer.lm.data import batch, load_corpus
from hptransfer.lm.device import free_bytes, run_bytes
from hptransfer.lm.model import Decoder, causal_attention
from hptransfer.lm.stack import compiler_found, initial_weights, step_of
from hptransfer.lm.train import train_stack
from hptransfer.runs.config import ModelConfig, ProbeConfig, RunRecord, RunSpec, TrainConfig
from hptransfer.runs.schedule import schedule_factor

DEVICE = os.environ.get("HPTRANSFER_TEST_DEVICE", "cuda")
HERE = DEVICE == "cpu" or torch.cuda.is_available()
pytestmark = [pytest.mark.cuda, pytest.mark.skipif(not HERE, reason="no CUDA device")]
only_cuda = pytest.mark.skipif(DEVICE == "cpu", reason="a CPU has no such memory")
# Nats. Float32 sums of a few hundred terms in another order differ by some 1e-6 of a loss near 5, and twelve
# steps let that grow tenfold. bfloat16 keeps 8 bits: there losses part by some 1e-3.
SINGLE, HALF = 2e-4, 2e-2
OPTIMIZERS = ("adamw", "adam", "sgd", "lion", "muon")


@pytest.fixture(params=[False, True], ids=["eager", "compiled"])
def compiled(request: pytest.FixtureRequest) -> bool:
    if request.param and not compiler_found(DEVICE):
        pytest.skip("nothing is compiled here")
    return bool(request.param)


def run_of(tiny: RunSpec, lr: float = 0.01, **train: Any) -> RunSpec:
    """A run whose head dimension CUDA's fused attention takes."""
    options = {"dtype": "float32", "steps": 12, **train}
    model = ModelConfig(width=32, depth=2, heads=4, context=40, vocab=280)
    return tiny.model_copy(
        update={"model": model, "lr": lr, "train": TrainConfig(batch_size=4, **options), "base_width": 16}
    )


def members(tiny: RunSpec, **train: Any) -> list[RunSpec]:
    """Three runs that differ in rule, LR and seeds."""
    first = run_of(tiny, 0.01, **train)
    changes = ({"rule": "mup"}, {"rule": "sp+embd", "lr": 0.02, "seed": 1}, {"lr": 0.005, "data_seed": 3})
    return [first.model_copy(update=change) for change in changes]


def trained(runs: list[RunSpec], compiled: bool, device: str = DEVICE, **options: Any) -> list[RunRecord]:
    return train_stack(runs, compiled=compiled, device=device, **options)


def curve(record: RunRecord) -> list[float]:
    return [loss for _, loss in record.curve]


def assert_same_run(a: RunRecord, b: RunRecord, tolerance: float) -> None:
    np.testing.assert_allclose(curve(a), curve(b), rtol=0, atol=tolerance)
    assert a.loss == pytest.approx(b.loss, abs=tolerance)


def heads(*shape: int, seed: int, dtype: torch.dtype) -> Tensor:
    made = torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return made.to(DEVICE, dtype)


def attended(q: Tensor, k: Tensor, v: Tensor, mask: Tensor, fused: bool) -> Tensor:
    scale = torch.tensor(q.shape[-1] ** -0.5, device=q.device)
    out = causal_attention(q, k, v, mask, scale, fused).float()
    return (out * torch.linspace(-1, 1, out.numel(), device=out.device).view(out.shape)).sum()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("length", "d_head", "groups"), [(7, 8, 4), (32, 16, 1), (65, 32, 2), (130, 64, 4)])
def test_fused_attention_is_the_spelled_out_one(
    dtype: torch.dtype, length: int, d_head: int, groups: int
) -> None:
    shapes = (4, groups, groups)
    inputs = [heads(3, 2, h, length, d_head, seed=i, dtype=dtype) for i, h in enumerate(shapes)]
    mask = torch.full((length, length), -math.inf, device=DEVICE).triu(1)
    found = []
    for fused, kind in ((True, dtype), (False, torch.float64)):
        lifted = vmap(grad_and_value(attended, argnums=(0, 1, 2)), in_dims=(0, 0, 0, None, None))
        gradients, value = lifted(*(x.to(kind) for x in inputs), mask.to(kind), fused)
        found.append([value, *gradients])
    size = max(float(x.abs().max()) for x in found[1])
    tolerance = size * (2e-5 if dtype == torch.float32 else 2e-2)
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a.double(), b.double(), rtol=0, atol=tolerance)


def test_the_fused_operators_are_sound() -> None:
    from hptransfer.lm.fused import _backward, _forward

    q, k, v = (heads(2, 2, 40, 16, seed=i, dtype=torch.float32) for i in range(3))
    utils = ("test_schema", "test_faketensor")
    torch.library.opcheck(_forward, (q, k, v), test_utils=utils)
    out, logsumexp = _forward(q, k, v)
    torch.library.opcheck(_backward, (torch.ones_like(out), q, k, v, out, logsumexp), test_utils=utils)


def plain_losses(run: RunSpec) -> list[float]:
    """Training losses of one run in an ordinary loop with torch's AdamW on the device."""
    corpus = load_corpus(run.data, run.model)
    model = Decoder(run.model).to(DEVICE)
    model.load_state_dict(initial_weights(run))
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=run.lr, betas=run.train.betas, eps=run.train.eps, weight_decay=0.0
    )
    scheduler = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda s: schedule_factor(run.train, run.steps, s)
    )
    scale = torch.tensor(run.model.d_head**-0.5, device=DEVICE)
    losses = []
    for step in range(run.steps):
        tokens = torch.from_numpy(batch(corpus, run.model, run.train.batch_size, run.data_seed, step))
        tokens = tokens.to(DEVICE)
        with torch.autocast(DEVICE, torch.bfloat16, enabled=run.train.autocast):
            logits = model(tokens[:, :-1], scale)
        loss = F.cross_entropy(logits.float().flatten(0, 1), tokens[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step()
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize("autocast", [False, True], ids=["float32", "bfloat16"])
def test_a_member_follows_the_same_run_in_a_plain_loop(tiny: RunSpec, autocast: bool, compiled: bool) -> None:
    run = run_of(tiny, autocast=autocast)
    other = run.model_copy(update={"lr": 0.03, "seed": 4})
    (record, _) = trained([run, other], compiled)
    np.testing.assert_allclose(curve(record), plain_losses(run), rtol=0, atol=HALF if autocast else SINGLE)


@pytest.mark.parametrize("autocast", [False, True], ids=["float32", "bfloat16"])
def test_a_member_follows_the_same_run_trained_alone(tiny: RunSpec, autocast: bool, compiled: bool) -> None:
    runs = members(tiny, autocast=autocast)
    for record, run in zip(trained(runs, compiled), runs, strict=True):
        assert record.engine["compiled"] is compiled
        assert record.engine["device"] == DEVICE
        (alone,) = trained([run], False)
        assert_same_run(record, alone, HALF if autocast else SINGLE)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_optimizer_follows_the_cpu(tiny: RunSpec, optimizer: str, compiled: bool) -> None:
    lr = {"sgd": 0.1, "lion": 1e-3}.get(optimizer, 0.01)
    runs = [run_of(tiny, lr, optimizer=optimizer, steps=6, clip=1.0, weight_decay=0.01)]
    (there,), (here,) = trained(runs, compiled), trained(runs, False, "cpu")
    assert_same_run(there, here, SINGLE)


@pytest.mark.parametrize(
    "options",
    [
        {"norm": "rmsnorm", "positions": "rope", "activation": "swiglu", "kv_heads": 2, "qk_norm": True},
        {"tied": True, "embedding_norm": True, "activation": "relu2"},
        {"heads": 8},  # a head dimension of 4, which the fused kernel does not take
    ],
    ids=["llama", "tied", "small heads"],
)
@pytest.mark.parametrize("autocast", [False, True], ids=["float32", "bfloat16"])
def test_every_kind_of_model_follows_the_cpu(
    tiny: RunSpec, options: dict[str, Any], autocast: bool, compiled: bool
) -> None:
    run = run_of(tiny, steps=6, autocast=autocast)
    run = run.model_copy(update={"model": run.model.model_copy(update=options)})
    (there,), (here,) = trained([run], compiled), trained([run], False, "cpu")
    assert_same_run(there, here, HALF if autocast else SINGLE)


def test_float64_follows_the_cpu_to_its_last_digits(tiny: RunSpec, compiled: bool) -> None:
    runs = members(tiny, dtype="float64")
    for there, here in zip(trained(runs, compiled), trained(runs, False, "cpu"), strict=True):
        assert_same_run(there, here, 1e-9)


def test_accumulation_follows_the_cpu(tiny: RunSpec, compiled: bool) -> None:
    runs = [run_of(tiny, steps=6, accumulation=2)]
    (there,), (here,) = trained(runs, compiled), trained(runs, False, "cpu")
    assert_same_run(there, here, SINGLE)


def test_probes_leave_no_trace_and_see_what_the_cpu_sees(tiny: RunSpec, compiled: bool) -> None:
    plain = members(tiny)
    probed = [run.model_copy(update={"probes": ProbeConfig(every=4)}) for run in plain]
    without, with_, here = trained(plain, compiled), trained(probed, compiled), trained(probed, False, "cpu")
    for a, b, c in zip(without, with_, here, strict=True):
        assert curve(a) == curve(b)
        assert b.probes is not None
        assert c.probes is not None
        assert b.probes.keys() == c.probes.keys()


def test_the_same_stack_gives_the_same_bits(tiny: RunSpec, compiled: bool) -> None:
    runs = members(tiny, autocast=True)
    first, second = trained(runs, compiled), trained(runs, compiled)
    assert [(curve(r), r.loss) for r in first] == [(curve(r), r.loss) for r in second]
    assert all(record.engine.get("deterministic", True) for record in first)


class _Killed(Exception):
    pass


def test_a_stack_that_was_killed_goes_on_bit_for_bit(tiny: RunSpec, compiled: bool, tmp_path: Path) -> None:
    runs, file = members(tiny), tmp_path / "stack.safetensors"
    whole = trained(runs, compiled)

    def killed(step: int, losses: object) -> None:
        if step == 7:
            raise _Killed

    with pytest.raises(_Killed):
        trained(runs, compiled, on_step=killed, checkpoint=file, every_s=0.0)
    resumed = trained(runs, compiled, checkpoint=file, every_s=0.0)
    for a, b in zip(whole, resumed, strict=True):
        assert b.engine["resumed_at"] > 0
        assert (curve(a), a.loss, a.loss_se) == (curve(b), b.loss, b.loss_se)


@only_cuda
def test_memory_that_runs_out_halves_the_stack(
    tiny: RunSpec, compiled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = run_of(tiny, steps=3, batch_size=32)
    run = run.model_copy(update={"model": run.model.model_copy(update={"width": 256, "vocab": 4096})})
    runs = [run.model_copy(update={"lr": 0.001 * (i + 1)}) for i in range(8)]
    whole = trained(runs, compiled)
    step_of.cache_clear()
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(0).total_memory
    need = 3 * run_bytes(run.model, run.train)  # of eight, about three fit
    monkeypatch.setattr(train_module, "free_bytes", lambda device: math.inf)  # so that nobody foresees it
    torch.cuda.set_per_process_memory_fraction(min(1.0, (torch.cuda.memory_allocated() + need) / total))
    try:
        halves = trained(runs, compiled)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert max(record.engine["stack"] for record in halves) < len(runs)
    for a, b in zip(whole, halves, strict=True):
        assert_same_run(a, b, SINGLE)


@only_cuda
def test_stacks_are_sized_to_what_is_free_now(tiny: RunSpec) -> None:
    held = torch.empty(1 << 28, dtype=torch.uint8, device=DEVICE)
    free = free_bytes(DEVICE)
    del held  # the allocator keeps it; it is free all the same
    assert free_bytes(DEVICE) == pytest.approx(free + (1 << 28), rel=0.02)
