"""Factors on live modules: what a layer then reads and gives, and what is found of them."""

import copy

import pytest
import torch
from torch import nn

from hptransfer.errors import RuleError
from hptransfer.parametrization.hooks import (
    AttentionSite,
    Factor,
    live_factors,
    set_attention,
    set_factors,
    takes_factor,
    was_called,
)

X = torch.tensor([[1.0, -2.0, 3.0]])


def test_a_factor_on_the_input_multiplies_the_weight_and_leaves_the_bias() -> None:
    layer = nn.Linear(3, 2)
    plain = copy.deepcopy(layer)
    set_factors(nn.ModuleDict({"a": layer}), (Factor("a", 3.0, 1.0, "test"),))
    torch.testing.assert_close(layer(X), 3 * (plain(X) - plain.bias) + plain.bias)


def test_a_factor_on_the_output_multiplies_all_of_it_or_the_first_of_several() -> None:
    layer = nn.Linear(3, 2)
    plain = copy.deepcopy(layer)
    set_factors(layer, (Factor("", 1.0, 0.5, "test"),))
    torch.testing.assert_close(layer(X), plain(X) / 2)
    rnn = nn.GRU(3, 2)
    expected, state = rnn(X)
    set_factors(rnn, (Factor("", 1.0, 4.0, "test"),))
    output, same = rnn(X)
    torch.testing.assert_close(output, 4 * expected)
    torch.testing.assert_close(same, state)


def test_factors_replace_those_that_stand_there_and_several_hooks_multiply() -> None:
    layer = nn.Linear(3, 2)
    assert live_factors(layer) == (1.0, 1.0)
    set_factors(layer, (Factor("", 2.0, 3.0, "test"),))
    set_factors(layer, (Factor("", 5.0, 7.0, "test"),))
    assert live_factors(layer) == (5.0, 7.0)
    for hook in list(layer._forward_pre_hooks.values()):
        layer.register_forward_pre_hook(hook)
    assert live_factors(layer) == (25.0, 7.0)
    set_factors(layer, ())
    assert live_factors(layer) == (1.0, 1.0)


def test_hooks_of_others_stay() -> None:
    layer, calls = nn.Linear(3, 2), []
    layer.register_forward_hook(lambda *_: calls.append(1))
    set_factors(layer, (Factor("", 2.0, 2.0, "test"),))
    set_factors(layer, ())
    layer(X)
    assert calls == [1]


def test_it_is_known_whether_a_factor_was_ever_applied() -> None:
    layer = nn.Linear(3, 2)
    set_factors(layer, (Factor("", 2.0, 1.0, "test"),))
    assert not was_called(layer)
    layer(X)
    assert was_called(layer)
    assert not was_called(nn.Linear(3, 2))


def test_what_cannot_be_multiplied_says_so() -> None:
    layer = nn.Linear(3, 2)
    set_factors(layer, (Factor("", 2.0, 1.0, "test"),))
    with pytest.raises(RuleError, match="Linear must be given its input by position"):
        layer(input=X)

    class Text(nn.Module):
        def forward(self) -> str:
            return "no tensor"

    text = Text()
    set_factors(text, (Factor("", 1.0, 2.0, "test"),))
    with pytest.raises(RuleError, match="Text must give a tensor to be multiplied"):
        text()


def test_where_a_factor_equals_a_multiplier_on_the_weight() -> None:
    assert takes_factor(nn.Linear(3, 2), None) == takes_factor(nn.Conv1d(3, 2, 1), None) == "input"
    assert takes_factor(nn.Embedding(3, 2), None) == "output"
    assert takes_factor(nn.LayerNorm(3), None) is None
    attention = nn.MultiheadAttention(4, 2)
    assert takes_factor(attention.out_proj, attention) is None


def test_the_scale_of_attention_logits_is_set_where_it_is_kept() -> None:
    model = nn.ModuleDict({"attn": nn.Identity(), "other": nn.Identity()})
    set_attention(model, (AttentionSite("attn", "scaling", 0.125),))
    assert model["attn"].scaling == 0.125
    assert not hasattr(model["other"], "scaling")
