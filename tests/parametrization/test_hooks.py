"""Factors on live modules: what a layer then reads and gives, and what is found of them."""

import copy
import pickle
import sys
from typing import NamedTuple

import pytest
import torch
from torch import nn

from hptransfer.errors import RuleError
from hptransfer.parametrization.hooks import (
    AttentionSite,
    Factor,
    batch_recorder,
    live_factors,
    own_containers,
    record_batch,
    set_attention,
    set_factors,
    takes_factor,
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


def test_factors_replace_those_that_stand_there() -> None:
    layer = nn.Linear(3, 2)
    assert live_factors(layer) == (1.0, 1.0)
    set_factors(layer, (Factor("", 2.0, 3.0, "test"),))
    set_factors(layer, (Factor("", 5.0, 7.0, "test"),))
    assert live_factors(layer) == (5.0, 7.0)
    assert isinstance(layer, nn.Linear)
    set_factors(layer, ())
    assert live_factors(layer) == (1.0, 1.0)
    assert type(layer) is nn.Linear


def test_hooks_of_others_stay() -> None:
    layer, calls = nn.Linear(3, 2), []
    layer.register_forward_hook(lambda *_: calls.append(1))
    set_factors(layer, (Factor("", 2.0, 2.0, "test"),))
    set_factors(layer, ())
    layer(X)
    assert calls == [1]


def test_what_cannot_be_multiplied_says_so() -> None:
    layer = nn.Linear(3, 2)
    set_factors(layer, (Factor("", 2.0, 1.0, "test"),))
    torch.testing.assert_close(layer(input=X), layer(X))
    with pytest.raises(RuleError, match="Linear must be given input, to be multiplied"):
        layer()

    class Text(nn.Module):
        def forward(self) -> str:
            return "no tensor"

    text = Text()
    set_factors(text, (Factor("", 1.0, 2.0, "test"),))
    with pytest.raises(RuleError, match="Text must give a tensor to be multiplied"):
        text()


class Model(nn.Module):
    """Tables, a hidden layer and a head that a factor can stand on."""

    def __init__(self) -> None:
        super().__init__()
        self.emb, self.mix, self.head = nn.Embedding(11, 8), nn.Linear(8, 8), nn.Linear(8, 11)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.head(torch.relu(self.mix(self.emb(ids))))


IDS = torch.arange(6)[None]
FACTORS = (Factor("head", 0.25, 1.0, "test"), Factor("emb", 1.0, 2.0, "test"))


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_a_compiled_model_has_its_own_factors_whatever_was_compiled_before(backend: str) -> None:
    """Code compiled for a model without factors, or with others, is not taken for this one."""
    torch.manual_seed(0)
    plain = Model()
    for factors in ((), FACTORS, (Factor("head", 3.0, 1.0, "test"),), ()):
        model = copy.deepcopy(plain)
        set_factors(model, factors)
        compiled = torch.compile(model, backend=backend, fullgraph=True)
        torch.testing.assert_close(compiled(IDS), model(IDS))
    before = compiled(IDS)
    set_factors(model, FACTORS)  # after torch.compile too
    torch.testing.assert_close(compiled(IDS), model(IDS))
    assert not torch.equal(compiled(IDS), before)


def test_copies_pickles_exports_and_checkpointed_blocks_keep_factors() -> None:
    from torch.utils.checkpoint import checkpoint

    torch.manual_seed(0)
    model = Model()
    set_factors(model, FACTORS)
    expected = model(IDS)
    torch.testing.assert_close(copy.deepcopy(model)(IDS), expected)
    torch.testing.assert_close(pickle.loads(pickle.dumps(model))(IDS), expected)
    torch.testing.assert_close(torch.export.export(model, (IDS,)).module()(IDS), expected)
    torch.testing.assert_close(checkpoint(model, IDS, use_reentrant=False), expected)


def test_a_forward_pass_that_was_replaced_on_the_object_is_refused() -> None:
    model = Model()
    model.head.forward = lambda x: x  # as accelerate's hooks do
    with pytest.raises(RuleError, match=r"head must have its own forward pass.*call init_ or apply_ before"):
        set_factors(model, FACTORS)


def test_the_first_batch_is_kept_two_rows_of_it_and_not_in_a_copy() -> None:
    model = Model()
    record_batch(model)
    assert batch_recorder(model).batch is None
    model(torch.arange(8).reshape(4, 2))
    model(IDS)
    (kept,) = batch_recorder(model).batch.args
    assert kept.tolist() == [[0, 1], [2, 3]]
    assert batch_recorder(copy.deepcopy(model)).batch is None
    assert batch_recorder(Model()) is None


def test_where_a_factor_equals_a_multiplier_on_the_weight() -> None:
    assert takes_factor(nn.Linear(3, 2), None) == takes_factor(nn.Conv1d(3, 2, 1), None) == "input"
    assert takes_factor(nn.Embedding(3, 2), None) == "output"
    assert takes_factor(nn.LayerNorm(3), None) is None
    attention = nn.MultiheadAttention(4, 2)
    assert takes_factor(attention.out_proj, attention) is None


def test_the_scale_of_attention_logits_is_set_where_it_is_kept() -> None:
    model = nn.ModuleDict({"attn": nn.Identity(), "other": nn.Identity()})
    model["attn"].scaling = 1.0
    set_attention(model, (AttentionSite("attn", "scaling", 0.125),))
    assert model["attn"].scaling == 0.125
    model["attn"].scaling = torch.tensor(2.0)  # as GPT-J keeps it
    set_attention(model, (AttentionSite("attn", "scaling", 0.5),))
    assert torch.equal(model["attn"].scaling, torch.tensor(0.5))
    assert not hasattr(model["other"], "scaling")


class Point(NamedTuple):
    at: list[int]
    of: int


def test_arguments_have_containers_of_their_own_and_share_what_they_hold() -> None:
    class Cache:
        def __init__(self) -> None:
            self.keys, self.itself = [torch.ones(2)], self

    cache, net = Cache(), nn.Linear(2, 2)
    (copied, inside), kwargs = own_containers(((cache, [cache, net]), {"cache": cache}))
    assert copied is not cache
    assert inside[0] is kwargs["cache"] is copied.itself is copied
    assert inside[1] is net
    assert copied.keys[0] is cache.keys[0]
    copied.keys.append(torch.zeros(2))
    assert len(cache.keys) == 1
    size, point = torch.Size([2, 3]), Point([1], 2)
    kept = own_containers({"size": size, "file": sys.stdout, "module": copy, "point": point})
    assert (kept["size"], kept["file"], kept["module"]) == (size, sys.stdout, copy)
    assert isinstance(kept["size"], torch.Size)
    assert kept["point"] == point
    assert kept["point"].at is not point.at


@pytest.mark.slow
def test_factors_act_in_code_that_inductor_has_compiled() -> None:
    """In every mode, of models of one shape with other factors in one process, and after torch.compile."""
    torch.manual_seed(0)
    plain = Model()
    for mode in ("default", "reduce-overhead", "max-autotune-no-cudagraphs", "max-autotune"):
        torch.compiler.reset()
        for factors in ((), FACTORS):
            model = copy.deepcopy(plain)
            set_factors(model, factors)
            compiled = torch.compile(model, mode=mode)
            with torch.no_grad():
                torch.testing.assert_close(compiled(IDS), model(IDS), rtol=1e-4, atol=1e-5)
