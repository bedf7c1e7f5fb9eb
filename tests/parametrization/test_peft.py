"""peft's adapters: roles of what is trained, frozen weights and the model's output untouched."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

import hptransfer as hpt
from hptransfer.errors import RuleError

pytest.importorskip("transformers")
peft = pytest.importorskip("peft")

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")  # peft reads old names of transformers
IDS = torch.arange(12).reshape(2, 6)


def adapted(width: int, kind: str, **config: Any) -> nn.Module:
    from hptransfer.parametrization.hf_models import build

    torch.manual_seed(0)
    model = peft.get_peft_model(build("llama", width, vocab=31), getattr(peft, kind)(**config))
    return model.eval()


@pytest.mark.parametrize(
    ("kind", "config", "roles"),
    [
        (
            "LoraConfig",
            {"r": 4, "target_modules": ["q_proj", "down_proj"]},
            {"lora_A": "hidden", "lora_B": "embedding"},
        ),
        ("LoraConfig", {"r": 1, "target_modules": ["q_proj"]}, {"lora_A": "hidden", "lora_B": "embedding"}),
        (
            "LoraConfig",
            {"r": 4, "target_modules": ["q_proj"], "use_dora": True},
            {"lora_A": "hidden", "lora_B": "embedding", "lora_magnitude_vector": "vector"},
        ),
        (
            "IA3Config",
            {"target_modules": ["k_proj", "down_proj"], "feedforward_modules": ["down_proj"]},
            {"ia3_l": "vector"},
        ),
    ],
)
def test_adapters(kind: str, config: dict[str, Any], roles: dict[str, str]) -> None:
    model, base = (adapted(width, kind, **config) for width in (64, 32))
    before = {name: weight.clone() for name, weight in model.named_parameters()}
    output = model(input_ids=IDS).logits
    scaling = hpt.parametrize(model, base=base, rule="mup-tp5-table8")
    scaling.init_(model)
    assert torch.equal(model(input_ids=IDS).logits, output)
    trained = {t.name: t.role for t in scaling.tensors if not t.frozen}
    assert set(trained.values()) == set(roles.values())
    assert all(role == roles[next(word for word in roles if word in name)] for name, role in trained.items())
    optimizer = torch.optim.AdamW(scaling.param_groups(model, lr=1e-2, weight_decay=0.1))
    model(input_ids=IDS).logits.square().mean().backward()
    optimizer.step()
    found = scaling.verify(model, optimizer, {"input_ids": IDS})
    assert found.tensors == len(trained)
    frozen = {name: weight for name, weight in model.named_parameters() if not weight.requires_grad}
    assert all(torch.equal(weight, before[name]) for name, weight in frozen.items())


def test_a_trained_copy_of_the_head_keeps_its_values() -> None:
    config = {"r": 4, "target_modules": ["q_proj"], "modules_to_save": ["lm_head"]}
    model, base = (adapted(width, "LoraConfig", **config) for width in (64, 32))
    output = model(input_ids=IDS).logits
    with pytest.raises(
        RuleError, match=r"pretrained weights must keep their forward pass,.*without_multipliers"
    ):
        hpt.parametrize(model, base=base, rule="mup-tp5-table8")
    scaling = hpt.parametrize(model, base=base, rule="mup-tp5-table3")
    scaling.init_(model)
    assert torch.equal(model(input_ids=IDS).logits, output)
