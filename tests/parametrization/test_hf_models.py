"""Hugging Face models at another width, from their configs."""

import pytest
import torch

import hptransfer as hpt
from hptransfer.parametrization.hf_models import build as build_hf


@pytest.mark.parametrize("name", ["gpt2", "llama", "mixtral", "t5"])
def test_known_architectures_are_scaled_from_their_config(name: str) -> None:
    pytest.importorskip("transformers")
    model = build_hf(name, 32)
    given = hpt.parametrize(model, base=build_hf(name, 16), rule="mup")
    found = hpt.parametrize(model, base_width=16, width=32, heads="fixed", rule="mup")
    assert [(t.name, t.role, t.tensor.base_shape) for t in found.tensors] == [
        (t.name, t.role, t.tensor.base_shape) for t in given.tensors
    ]
    assert found.attention == given.attention
    grown = hpt.parametrize(model, base_width=16, rule="sp")
    assert grown.ratio == 2
    found.init_(model)
    found.verify(model, torch.optim.AdamW(found.param_groups(model, lr=1e-3)))
