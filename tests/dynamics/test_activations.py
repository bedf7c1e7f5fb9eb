import math

import pytest
import torch
from small_models import build
from torch import nn
from torch.nn import functional as F

from hptransfer.dynamics.activations import layer_outputs, record_forward


def test_layers_are_named_and_hold_their_outputs() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    x = torch.randn(5, 3)
    found = layer_outputs(model, lambda: model(x))
    assert list(found) == ["0", "1", "2"]
    torch.testing.assert_close(found["0"], model[0](x).detach().flatten())
    torch.testing.assert_close(found["2"], model(x).detach().flatten())


def test_logits_that_no_layer_gives_have_a_row() -> None:
    class ByHand(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Embedding(7, 4)

        def forward(self, ids: torch.Tensor) -> torch.Tensor:
            return F.linear(self.table(ids), self.table.weight)

    model, ids = ByHand(), torch.arange(3)[None]
    found = layer_outputs(model, lambda: model(ids))
    assert list(found) == ["table", "logits"]
    torch.testing.assert_close(found["logits"], model(ids).detach().flatten())


def test_a_layer_called_twice_has_both_outputs() -> None:
    layer = nn.Linear(3, 3)
    model = nn.ModuleDict({"shared": layer})
    x = torch.randn(2, 3)
    found = layer_outputs(model, lambda: layer(layer(x)))
    assert found["shared"].numel() == 12


def test_in_place_changes_afterwards_are_not_seen() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(inplace=True))
    x = torch.randn(5, 3)
    found = layer_outputs(model, lambda: model(x))
    assert (found["0"] < 0).any()
    assert not (found["1"] < 0).any()


def test_dropout_is_off_and_every_mode_and_hook_restored() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.5), nn.Linear(4, 4))
    model[2].eval()
    x = torch.randn(5, 3)
    first, second = (layer_outputs(model, lambda: model(x)) for _ in range(2))
    assert "1" not in first  # dropout passes its input on
    torch.testing.assert_close(first["2"], second["2"])
    assert [m.training for m in model.modules()] == [True, True, True, False]
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


def test_hooks_go_when_the_model_fails() -> None:
    model = nn.Sequential(nn.Linear(3, 4))
    with pytest.raises(RuntimeError):
        layer_outputs(model, lambda: model(torch.randn(5, 7)))
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
    assert model.training


class Softmaxed(nn.Module):
    """Attention by hand, masked as a decoder's, in one of the ways that softmax is called."""

    def __init__(self, softmax) -> None:
        super().__init__()
        self.softmax = softmax

    def forward(self, q, k):
        logits = (q @ k.transpose(-2, -1)) / math.sqrt(q.shape[-1])
        mask = torch.ones(q.shape[-2], q.shape[-2], dtype=torch.bool).triu(1)
        return self.softmax(logits.masked_fill(mask, -math.inf))


@pytest.mark.parametrize(
    "softmax", [lambda x: torch.softmax(x, -1), lambda x: F.softmax(x, dim=-1), lambda x: x.softmax(-1)]
)
def test_attention_logits_are_seen_however_they_are_softmaxed(softmax) -> None:
    model, q, k = nn.ModuleDict({"attn": Softmaxed(softmax)}), *torch.randn(2, 1, 2, 4, 8)
    found = layer_outputs(model, lambda: model["attn"](q, k))["attn attention logits"].view(2, 4, 4)
    expected = (q @ k.transpose(-2, -1))[0] / math.sqrt(8)
    torch.testing.assert_close(found, expected.tril())


@pytest.mark.parametrize(
    "mask",
    [
        {"is_causal": True},
        {"attn_mask": torch.ones(4, 4, dtype=torch.bool).tril()},
        {"attn_mask": torch.full((4, 4), -math.inf).triu(1)},
        {"attn_mask": torch.full((4, 4), torch.finfo(torch.float32).min).triu(1)},
    ],
    ids=["causal", "bool", "inf", "finfo"],
)
def test_logits_inside_torch_s_own_attention_are_seen(mask) -> None:
    class Attention(nn.Module):
        def forward(self, q, k):
            return F.scaled_dot_product_attention(q, k, value=k, dropout_p=0.0, scale=0.3, **mask)

    model, q, k = Attention(), *torch.randn(2, 1, 2, 4, 8)
    found = layer_outputs(model, lambda: model(q, k))["attention logits"].view(2, 4, 4)
    torch.testing.assert_close(found, (0.3 * q @ k.transpose(-2, -1))[0].tril())


def test_grouped_queries_share_their_keys() -> None:
    q, k = torch.randn(1, 4, 3, 8), torch.randn(1, 2, 3, 8)

    class Attention(nn.Module):
        def forward(self):
            return F.scaled_dot_product_attention(q, k, k, enable_gqa=True)

    model = Attention()
    found = layer_outputs(model, model)["attention logits"].view(4, 3, 3)
    expected = q[0] @ k[0].repeat_interleave(2, 0).transpose(-2, -1) / math.sqrt(8)
    torch.testing.assert_close(found, expected)


def test_tables_nobody_calls_and_gains_stand_for_themselves() -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.tokens, self.positions = nn.Embedding(5, 3), nn.Embedding(4, 3)
            self.norm = nn.LayerNorm(3)

        def forward(self, ids):
            return self.norm(self.tokens(ids) + self.positions.weight)

    model, ids = Model(), torch.tensor([[0, 1, 2, 3]])
    found = layer_outputs(model, lambda: model(ids), dict(model.named_parameters()))
    assert set(found) == {"tokens", "norm", "positions.weight", "norm.weight", "norm.bias"}


def test_a_transformer_shows_its_logits_by_block() -> None:
    model = build(16)
    found = layer_outputs(model, lambda: model(torch.zeros(2, 6, dtype=torch.long)))
    assert [n for n in found if "logits" in n] == [f"blocks.{i}.attn attention logits" for i in (0, 1)]


def test_a_record_holds_the_last_call_of_every_layer_with_a_weight() -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 2))
    first, last = torch.randn(2, 5, 3)
    with record_forward(model) as seen:
        model(first)
        output = model(last).softmax(-1)  # of a classifier, no attention
        assert list(seen.inputs) == list(seen.outputs) == ["0", "2"]
        torch.testing.assert_close(seen.inputs["0"], last)
        torch.testing.assert_close(seen.outputs["2"].softmax(-1), output.detach())
        assert not seen.logits
        assert not seen.outputs["2"].requires_grad
    seen.clear()
    assert not seen.inputs
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


def test_a_record_holds_masked_logits_as_minus_infinity() -> None:
    softmaxed = Softmaxed(lambda x: torch.softmax(x, -1))
    model, q, k = nn.ModuleDict({"attn": softmaxed}), *torch.randn(2, 1, 2, 4, 8)
    with record_forward(model) as seen:
        model["attn"](q, k)
    logits = seen.logits["attn"]
    assert torch.equal(torch.isinf(logits[0, 0]), torch.ones(4, 4, dtype=torch.bool).triu(1))
    torch.testing.assert_close(logits.tril(), ((q @ k.transpose(-2, -1)) / math.sqrt(8)).tril())
