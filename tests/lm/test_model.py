"""The decoder's parts by hand: rotations, attention, norms, activations."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from hptransfer.lm.model import Decoder, Norm, activated, causal_attention, rotary_table, rotate
from hptransfer.runs.config import ModelConfig

torch_double = {"dtype": torch.float64}


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), **torch_double)


def config(**fields: Any) -> ModelConfig:
    return ModelConfig.model_validate(
        {"width": 8, "heads": 2, "context": 5, "vocab": 260, "depth": 1} | fields
    )


def test_rotary_angles_golden() -> None:
    cos, sin = rotary_table(3, 4, 100.0)
    angles = torch.tensor([[0, 0], [1, 0.1], [2, 0.2]], **torch_double)  # t and t / sqrt(100)
    torch.testing.assert_close(cos, angles.cos())
    torch.testing.assert_close(sin, angles.sin())


@given(st.integers(0, 20), st.integers(0, 20), st.integers(0, 11))
def test_rotated_products_depend_on_the_distance_alone(first: int, second: int, further: int) -> None:
    cos, sin = rotary_table(32, 6, 10_000.0)
    q, k = normal(6), normal(6, seed=1)

    def product(i: int, j: int) -> float:
        return float(rotate(q, cos[i], sin[i]) @ rotate(k, cos[j], sin[j]))

    assert product(first, second) == pytest.approx(product(first + further, second + further), abs=1e-12)
    assert float(rotate(q, cos[first], sin[first]).norm()) == pytest.approx(float(q.norm()))


def test_a_quarter_turn_moves_the_first_half_into_the_second() -> None:
    turned = rotate(torch.tensor([1.0, 2.0, 3.0, 4.0]), torch.zeros(2), torch.ones(2))
    assert turned.tolist() == [-3, -4, 1, 2]


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_attention_is_torchs(groups: int) -> None:
    q, k, v = normal(2, 4, 5, 6), normal(2, groups, 5, 6, seed=1), normal(2, groups, 5, 6, seed=2)
    mask = torch.full((5, 5), -math.inf, **torch_double).triu(1)
    found = causal_attention(q, k, v, mask, torch.tensor(0.3, **torch_double))
    k, v = (x.repeat_interleave(4 // groups, dim=1) for x in (k, v))
    torch.testing.assert_close(found, F.scaled_dot_product_attention(q, k, v, is_causal=True, scale=0.3))


@pytest.mark.parametrize("norm", ["layernorm", "rmsnorm"])
@pytest.mark.parametrize("gains", ["none", "scalar", "vector"])
def test_a_norm_is_its_formula(norm: str, gains: str) -> None:
    biases = ("norm",) if norm == "layernorm" else ()
    module = Norm(config(norm=norm, gains=gains, biases=biases, norm_eps=0.1), 8).double()
    with torch.no_grad():
        for number, parameter in enumerate(module.parameters()):
            parameter.copy_(normal(*parameter.shape, seed=number))
    x = normal(3, 8, seed=9)
    centered = x - x.mean(dim=-1, keepdim=True) if norm == "layernorm" else x
    wanted = centered / (centered.square().mean(dim=-1, keepdim=True) + 0.1).sqrt()
    wanted = wanted * (1 if module.weight is None else module.weight)
    torch.testing.assert_close(module(x), wanted + (0 if module.bias is None else module.bias))
    assert (module.weight is None) == (gains == "none")


def test_norms_are_never_in_half_precision() -> None:
    assert Norm(config(), 8)(normal(3, 8).bfloat16()).dtype == torch.float32


def test_activations_golden() -> None:
    x = torch.tensor([-1.0, 2.0], **torch_double)
    assert activated(x, "relu").tolist() == [0, 2]
    assert activated(x, "relu2").tolist() == [0, 4]
    assert activated(x, "gelu").tolist() == pytest.approx([-0.158655, 1.954500], abs=1e-6)
    assert activated(x, "swiglu").item() == pytest.approx(-2 / (1 + math.e))


@pytest.mark.parametrize("positions", ["learned", "rope"])
def test_a_token_is_blind_to_what_comes_after_it(positions: str) -> None:
    model, scale = Decoder(config(positions=positions)).double(), torch.tensor(0.5, **torch_double)
    tokens = torch.tensor([[1, 2, 3, 4, 5]])
    changed = torch.tensor([[1, 2, 3, 9, 9]])
    before, after = model(tokens, scale), model(changed, scale)
    assert before.shape == (1, 5, 260)
    torch.testing.assert_close(before[:, :3], after[:, :3])
    assert not torch.allclose(before[:, 3:], after[:, 3:])
