import pytest
import torch
from small_models import CONTEXT, VOCAB, build
from torch import nn

import hptransfer as hpt
from hptransfer.errors import DynamicsError

TOKENS = torch.randint(0, VOCAB, (4, CONTEXT), generator=torch.Generator().manual_seed(0))


def roles_of(model: nn.Module, rule: dict[str, str] | None = None) -> dict[str, str]:
    """The role that each probed tensor got."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with hpt.probe(model, optimizer, rule, names=["weight_rms"]) as recorder:
        model(TOKENS).sum().backward()
        optimizer.step()
    return dict(zip(recorder.table.layer.tolist(), recorder.table.role.tolist(), strict=True))


def test_without_a_scaling_roles_are_guessed() -> None:
    roles = roles_of(build(16))
    assert roles["tokens"] == roles["positions"] == "embedding"
    assert roles["readout"] == "readout"
    assert roles["blocks.0.up"] == roles["blocks.0.attn.out"] == "hidden"
    assert roles["norm"] == roles["norm.bias"] == "vector"


def test_the_first_pattern_that_matches_names_the_role() -> None:
    roles = roles_of(build(16), {"*.attn.out.weight": "readout", "*.attn.*": "vector"})
    assert roles["blocks.0.attn.out"] == "readout"
    assert roles["blocks.0.attn.qkv"] == "vector"
    assert roles["blocks.0.up"] == "hidden"


def test_eta_is_the_scaling_s_own_and_not_a_group_s() -> None:
    model = build(32)
    scaling = hpt.parametrize(model, base=build(8), rule="mup")
    optimizer = torch.optim.AdamW(scaling.param_groups(model, lr=0.01))
    assert len({group["lr"] for group in optimizer.param_groups}) > 1
    with hpt.probe(model, optimizer, scaling, names=["lr"], run="mine") as recorder:
        model(TOKENS).sum().backward()
        optimizer.step()
    assert recorder.table.value == pytest.approx([0.01])
    assert recorder.table.run.tolist() == ["mine"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"every": 0}, "every must be at least 1"),
        ({"names": ["gradrms"]}, "did you mean 'grad_rms'"),
        ({"rule": {"*": "big"}}, "a role must be one of embedding, hidden"),
        ({"rule": hpt.parametrize(nn.Linear(4, 4), base=nn.Linear(2, 2))}, "every tensor must have a role"),
    ],
)
def test_what_cannot_be_probed_is_told(settings: dict, message: str) -> None:
    model = build(16)
    with pytest.raises(DynamicsError, match=message):
        hpt.probe(model, torch.optim.SGD(model.parameters(), lr=0.1), **settings)


def test_an_optimizer_that_holds_a_part_of_the_tensors() -> None:
    model = nn.Sequential(nn.Embedding(11, 8), nn.Linear(8, 8), nn.Linear(8, 11))
    optimizer = torch.optim.AdamW(model[1].parameters(), lr=1e-2)
    with hpt.probe(model, optimizer, every=1) as recorder:
        model(torch.arange(4)).logsumexp(-1).mean().backward()
        optimizer.step()
    assert "1" in set(recorder.table.layer.tolist())
