"""Fused attention against the spelled-out one: alone, under vmap, in a training step, in a fake device."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.func import grad_and_value, vmap

from hptransfer.lm.fused import _backward, _forward, aligned
from hptransfer.lm.model import Decoder, causal_attention
from hptransfer.lm.run_tensors import stack_settings, stack_step_settings
from hptransfer.lm.stack import initial_state, stack_step
from hptransfer.runs.config import RunSpec

MASK = torch.full((7, 7), -math.inf, dtype=torch.float64).triu(1)


def heads(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def loss(q: Tensor, k: Tensor, v: Tensor, scale: Tensor, fused: bool) -> Tensor:
    out = causal_attention(q, k, v, MASK, scale, fused)
    return (out * torch.linspace(-1, 1, out.numel(), dtype=out.dtype).view(out.shape)).sum()


def gradients(
    q: Tensor, k: Tensor, v: Tensor, scale: Tensor, fused: bool
) -> tuple[tuple[Tensor, ...], Tensor]:
    found: tuple[tuple[Tensor, ...], Tensor] = grad_and_value(loss, argnums=(0, 1, 2, 3))(
        q, k, v, scale, fused
    )
    return found


def assert_same(a: object, b: object) -> None:
    torch.testing.assert_close(a, b, rtol=0, atol=1e-11)


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_one_run(groups: int) -> None:
    inputs = heads(3, 4, 7, 6), heads(3, groups, 7, 6, seed=1), heads(3, groups, 7, 6, seed=2)
    scale = torch.tensor(0.3, dtype=torch.float64)
    assert_same(gradients(*inputs, scale, True), gradients(*inputs, scale, False))


@pytest.mark.parametrize("in_dims", [(0, 0, 0, 0), (1, 0, 2, 0), (None, 0, 0, 0), (0, 0, None, None)])
def test_a_stack(in_dims: tuple[int | None, ...]) -> None:
    def stacked(dim: int | None, seed: int) -> Tensor:
        one = heads(3, 4, 7, 6, seed=seed)
        return one if dim is None else torch.stack([one, 2 * one, one - 1, one.flip(0), one * 0], dim)

    inputs = [stacked(dim, seed) for seed, dim in enumerate(in_dims[:3])]
    scale = torch.tensor(0.3 if in_dims[3] is None else [0.1, 0.2, 0.3, 0.4, 0.5], dtype=torch.float64)
    fused, spelled = (vmap(gradients, in_dims=(*in_dims, None))(*inputs, scale, f) for f in (True, False))
    assert_same(fused, spelled)


def test_a_stack_is_one_call(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[torch.Size] = []

    class Counting(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
            if "attention" in str(func):
                calls.append(args[0].shape)
            return func(*args, **(kwargs or {}))

    with Counting():
        vmap(lambda q: causal_attention(q, q, q, MASK, torch.tensor(1.0), True))(heads(5, 3, 4, 7, 6))
    assert {tuple(shape) for shape in calls} == {(15, 4, 7, 6)}


@pytest.mark.parametrize("seed", range(2))
def test_the_operators_are_sound(seed: int) -> None:
    q, k, v = (heads(2, 2, 7, 8, seed=seed + i) for i in range(3))
    utils = ("test_schema", "test_faketensor")
    torch.library.opcheck(_forward, (q, k, v), test_utils=utils)
    out, logsumexp = _forward(q, k, v)
    torch.library.opcheck(_backward, (heads(2, 2, 7, 8, seed=9), q, k, v, out, logsumexp), test_utils=utils)


@pytest.mark.parametrize("compiled", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_training_step_is_the_same(tiny: RunSpec, compiled: bool) -> None:
    def compiler(step: Any) -> Any:
        return torch.compile(step, fullgraph=True, backend="aot_eager") if compiled else step

    shallow = tiny.model_copy(update={"model": tiny.model.model_copy(update={"depth": 1})})
    runs = [shallow.model_copy(update={"seed": i, "lr": 0.01 * (i + 1)}) for i in range(3)]
    tokens = torch.randint(0, 280, (3, 3, 13), generator=torch.Generator().manual_seed(0))
    after = []
    for fused in (False, True):
        shape, state = initial_state(runs)
        decoder = Decoder(shape.model, fused).double()
        step = stack_step(decoder, shape, compiler) if fused else stack_step(decoder, shape)
        state, losses = step(state, stack_settings(runs), stack_step_settings(runs, 0), tokens)
        after.append((losses, state.weights, state.moments))
    assert_same(after[0], after[1])


@pytest.mark.parametrize("options", [{"positions": "rope"}, {"qk_norm": True}, {"kv_heads": 1}])
def test_under_autocast_queries_keys_and_values_go_in_alike(tiny: RunSpec, options: dict[str, Any]) -> None:
    """Rotations and norms put queries and keys back into float32, beside values in bfloat16."""
    train = tiny.train.model_copy(update={"dtype": "float32", "autocast": True})
    model = tiny.model.model_copy(update=options)
    run = tiny.model_copy(update={"model": model, "train": train})
    tokens = torch.randint(0, 280, (1, 3, 13), generator=torch.Generator().manual_seed(0))
    losses = []
    for fused in (False, True):
        key, state = initial_state([run])
        step = stack_step(Decoder(key.model, fused).float(), key)
        _, loss = step(state, stack_settings([run]), stack_step_settings([run], 0), tokens)
        losses.append(float(loss))
    assert losses[0] == pytest.approx(losses[1], abs=0.01)


@pytest.mark.parametrize(("d_head", "fits"), [(8, True), (64, True), (4, False), (12, False)])
def test_head_dimensions_of_the_kernel(d_head: int, fits: bool) -> None:
    assert aligned(d_head) is fits
