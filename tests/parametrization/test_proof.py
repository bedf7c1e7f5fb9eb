"""What a forward pass shows: factors and scales that act, weights read past them, a model's own factors."""

import math

import pytest
import torch
from small_models import BASE, WIDTH, Transformer, batch, build
from torch import Tensor, nn
from torch.nn import functional as F

import hptransfer as hpt
from hptransfer.errors import RuleError, VerifyError
from hptransfer.parametrization.proof import prove


def proven(make, rule: str = "mup", x: Tensor | None = None, **kwargs):
    model = make(64)
    scaling = hpt.parametrize(model, base=make(16), rule=rule, **kwargs)
    scaling.apply_(model)
    return prove(scaling, model, torch.arange(6)[None] if x is None else x)


def faults(make, rule: str = "mup", **kwargs) -> set[tuple[str, str, str]]:
    with pytest.raises(VerifyError) as caught:
        proven(make, rule, **kwargs)
    return {(fault.tensor, fault.what, fault.found) for fault in caught.value.faults}


@pytest.mark.parametrize("rule", ["mup", "mup-tp5-table8", "mup-tp5-table9", "u-mup", "ntk", "sp"])
@pytest.mark.parametrize("tied", [False, True])
def test_a_correct_transformer_is_proven_and_left_as_it_was(rule: str, tied: bool) -> None:
    torch.manual_seed(0)
    model, base = (Transformer(n, tied=tied) for n in (WIDTH, BASE))
    scaling = hpt.parametrize(model, base=base, rule=rule)
    scaling.apply_(model)
    before, state = model(batch(0)), torch.get_rng_state()
    found = prove(scaling, model, batch(0))
    scales = len(scaling.attention) if scaling.rule.attention == -1 else 0
    assert (found.acting, found.unseen) == (len(scaling.factors) + scales, [])
    assert torch.equal(model(batch(0)), before)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(p.grad is None for p in model.parameters())
    optimizer = torch.optim.AdamW(scaling.param_groups(model, lr=0.01))
    assert scaling.verify(model, optimizer, batch(0)).proven == found.acting


def test_init_proves_where_it_is_given_a_batch() -> None:
    model = build(WIDTH)
    scaling = hpt.parametrize(model, base=build(BASE), rule="mup")
    assert scaling.init_(model, batch=batch(0)) is model
    with pytest.raises(RuleError, match=r"batch must be what the model is called with .* Transformer raised"):
        scaling.init_(model, batch={"nothing": 1})


class Tied(nn.Module):
    """How logits come from the table of tokens is its `mode`."""

    def __init__(self, n: int, mode: str) -> None:
        super().__init__()
        self.mode, self.emb, self.mix = mode, nn.Embedding(11, n), nn.Linear(n, n)
        if mode in ("alias", "first"):
            self.head = nn.Linear(n, 11, bias=False)
            self.head.weight = self.emb.weight
        if mode == "second":
            self.table = self.emb.weight

    def forward(self, ids: Tensor) -> Tensor:
        x = torch.relu(self.mix(self.emb(ids)))
        if self.mode == "alias":
            return F.linear(x, self.head.weight)
        if self.mode == "second":
            return x @ self.table.T
        if self.mode == "loss":
            return F.cross_entropy((x @ self.emb.weight.T).flatten(0, 1), ids.flatten())
        return self.head(x) if self.mode == "first" else torch.einsum("bti,vi->btv", x, self.emb.weight)


@pytest.mark.parametrize("mode", ["alias", "loss", "functional"])
def test_logits_from_a_table_by_hand_are_named(mode: str) -> None:
    found = faults(lambda n: Tied(n, mode))
    assert found == {("emb.weight", "multiplier", "weight read outside its layer, past the factor")}
    proven(lambda n: Tied(n, mode), "sp")


def test_a_second_name_of_a_table_on_no_layer_is_refused_with_the_line_to_write() -> None:
    with pytest.raises(RuleError, match=r"let a layer apply it: head = nn.Linear.*head.weight = the table"):
        proven(lambda n: Tied(n, "second"))


def test_a_tied_layer_that_is_called_and_a_table_looked_up_by_hand_are_right() -> None:
    assert proven(lambda n: Tied(n, "first")).acting == 1

    class ByHand(nn.Module):
        def __init__(self, n: int) -> None:
            super().__init__()
            self.emb, self.head = nn.Embedding(11, n), nn.Linear(n, 11)

        def forward(self, ids: Tensor) -> Tensor:
            return self.head(F.embedding(ids, self.emb.weight))

    assert proven(ByHand).faults == []
    found = faults(ByHand, "mup-tp5-table9")  # its table has a multiplier
    assert ("emb.weight", "multiplier", "weight looked up outside its layer, past the factor") in found


def test_a_head_that_another_task_uses_is_no_fault() -> None:
    class Heads(nn.Module):
        def __init__(self, n: int) -> None:
            super().__init__()
            self.emb, self.boxes, self.classes = nn.Embedding(11, n), nn.Linear(n, 4), nn.Linear(n, 10)

        def forward(self, ids: Tensor) -> Tensor:
            return self.boxes(self.emb(ids))

    found = proven(Heads, "mup-tp5-table8")
    assert (found.acting, found.unseen) == (1, ["classes"])


class Mixer(nn.Module):
    """Attention in a class that does not say so; `how` it computes its logits."""

    def __init__(self, n: int, how: str) -> None:
        super().__init__()
        self.how, self.head_dim = how, n // 2
        self.scale = self.head_dim**0.5 if how == "divide" else self.head_dim**-0.5
        self.maps, self.out = nn.Linear(n, 3 * n), nn.Linear(n, n)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (p.unflatten(-1, (2, -1)).transpose(1, 2) for p in self.maps(x).chunk(3, -1))
        if self.how == "unread":
            y = F.scaled_dot_product_attention(q, k, v)
        elif self.how == "sdpa":
            y = F.scaled_dot_product_attention(q, k, v, scale=self.scale)
        elif self.how == "divide":
            y = (q @ k.mT / self.scale + torch.ones(6, 6).tril().log()).softmax(-1) @ v
        elif self.how == "einsum":
            y = torch.softmax(torch.einsum("bhqd,bhkd->bhqk", q, k) * self.scale, -1) @ v
        else:
            y = ((q * self.scale) @ k.mT).softmax(-1) @ v
        return self.out(y.transpose(1, 2).flatten(2))


class Attention(Mixer):
    """The same, under its usual name."""


def net(kind: type[Mixer], how: str):
    def make(n: int) -> nn.Module:
        torch.manual_seed(0)
        return nn.Sequential(nn.Embedding(11, n), kind(n, how), nn.Linear(n, 11))

    return make


@pytest.mark.parametrize("how", ["sdpa", "divide", "einsum", "queries"])
def test_a_scale_that_is_read_is_proven_and_a_divisor_is_moved_the_other_way(how: str) -> None:
    assert proven(net(Attention, how)).acting == 1
    model, base = net(Attention, how)(64), net(Attention, how)(16)
    (site,) = hpt.parametrize(model, base=base, rule="mup").attention
    assert site.value == pytest.approx(8**0.5 * 4 if how == "divide" else 8**-0.5 / 4)


def test_a_scale_that_is_not_read_is_named() -> None:
    unread = {("1.scale", "attention scale", "the forward pass does not read it")}
    assert faults(net(Attention, "unread")) == unread
    assert proven(net(Attention, "unread"), "sp").faults == []


def test_a_scale_of_one_that_divides_is_seen_in_the_logits() -> None:
    def make(n: int) -> nn.Module:
        model = net(Attention, "divide")(n)
        model[1].scale = 1.0  # nothing in the number says what it does
        return model

    assert faults(make) == {("1.scale", "attention scale", "logits are divided by it")}


@pytest.mark.parametrize("how", ["sdpa", "einsum", "divide"])
def test_attention_under_any_name_is_found_by_what_runs(how: str) -> None:
    ((place, what, found),) = faults(net(Mixer, how))
    assert (place, what) == ("1 (Mixer)", "attention scale")
    assert "that no scale is set for" in found
    assert proven(net(Mixer, how), attention={"1": "scale"}).acting == 1
    assert proven(net(Mixer, how), attention=False).faults == []


class Scaled(nn.Module):
    """Multiplies its embedding by sqrt(width), in one of the ways that models do."""

    def __init__(self, n: int, how: str) -> None:
        super().__init__()
        self.how, self.n, self.emb, self.head = how, n, nn.Embedding(11, n), nn.Linear(n, 11)
        if how == "attribute":
            self.embed_scale = math.sqrt(n)

    def forward(self, ids: Tensor) -> Tensor:
        x = self.emb(ids)
        if self.how == "attribute":
            x = x * self.embed_scale
        elif self.how == "hand":
            x = F.dropout(x, 0.1) * math.sqrt(self.n)
        elif self.how == "divide":
            x = x.float() / self.n**-0.5
        return self.head(x)


def test_an_embedding_that_the_model_multiplies_by_itself() -> None:
    assert proven(lambda n: Scaled(n, "none")).faults == []
    found = hpt.parametrize(Scaled(64, "attribute"), base=Scaled(16, "attribute"), rule="mup")
    assert [(f.module, f.on_output) for f in found.factors] == [("emb", 0.5)]
    assert proven(lambda n: Scaled(n, "attribute")).acting == 1
    for how in ("hand", "divide"):
        assert faults(lambda n, how=how: Scaled(n, how)) == {
            ("emb.weight", "multiplier", "times sqrt(width) = 8 in the model")
        }
        assert proven(lambda n, how=how: Scaled(n, how), "sp").faults == []


def test_a_factor_that_something_else_hides_is_named() -> None:
    model = Tied(64, "first")
    scaling = hpt.parametrize(model, base=Tied(16, "first"), rule="mup")
    scaling.apply_(model)
    model.head.forward = lambda x: F.linear(x, model.head.weight)
    with pytest.raises(VerifyError, match="the forward pass does not read it"):
        prove(scaling, model, torch.arange(6)[None])


class Cache:
    """Keys and values of the steps before, in containers within containers, as decoders keep them."""

    def __init__(self) -> None:
        self.layers: dict[int, list[Tensor]] = {}

    def grow(self, layer: int, *new: Tensor) -> list[Tensor]:
        old = self.layers.get(layer)
        self.layers[layer] = (
            list(new) if old is None else [torch.cat(p, 1) for p in zip(old, new, strict=True)]
        )
        return self.layers[layer]


class CachedAttention(nn.Module):
    def __init__(self, n: int, reads: bool) -> None:
        super().__init__()
        self.head_dim, self.reads, self.scale = n, reads, n**-0.5
        self.q, self.kv = nn.Linear(n, n), nn.Linear(n, 2 * n)

    def forward(self, x: Tensor, mask: Tensor, cache: dict[str, Cache]) -> Tensor:
        k, v = cache["own"].grow(0, *self.kv(x).chunk(2, -1))
        scale = self.scale if self.reads else 0.25
        return F.scaled_dot_product_attention(self.q(x), k, v, attn_mask=mask, scale=scale)


class Decoder(nn.Module):
    def __init__(self, n: int, reads: bool, masked: bool) -> None:
        super().__init__()
        self.emb, self.mix, self.head = nn.Embedding(11, n), CachedAttention(n, reads), nn.Linear(n, 11)
        self.masked = masked

    def forward(self, ids: Tensor, cache: Cache | None = None) -> Tensor:
        cache = Cache() if cache is None else cache
        size = ids.shape[1]
        mask = torch.ones(size, size).tril().bool() if self.masked else None
        return self.head(self.mix(self.emb(ids), mask, {"own": cache}))


@pytest.mark.parametrize("masked", [False, True])
def test_a_cache_that_grows_with_every_call_hides_no_unread_scale(masked: bool) -> None:
    torch.manual_seed(0)
    assert proven(lambda n: Decoder(n, True, masked)).acting == 1
    assert faults(lambda n: Decoder(n, False, masked)) == {
        ("mix.scale", "attention scale", "the forward pass does not read it")
    }
    cache = Cache()
    proven(lambda n: Decoder(n, True, masked), x=(torch.arange(6)[None], cache))
    assert cache.layers == {}  # the caller's stays as it was


@pytest.mark.parametrize("reads", ["weight", "both", "bias"])
def test_a_bias_that_another_module_holds_too_is_not_named_beside_its_layer_s_factor(reads: str) -> None:
    """As BERT's `cls.predictions.bias`, which is the decoder's."""

    class Head(nn.Module):
        def __init__(self, n: int) -> None:
            super().__init__()
            self.bias = nn.Parameter(torch.zeros(11))
            self.decoder = nn.Linear(n, 11)
            self.decoder.bias = self.bias

        def forward(self, x: Tensor) -> Tensor:
            if reads == "bias":
                return self.decoder(x) + self.bias
            return F.linear(x, self.decoder.weight, self.decoder.bias if reads == "both" else None)

    def make(n: int) -> nn.Module:
        return nn.Sequential(nn.Embedding(11, n), Head(n))

    if reads == "bias":
        assert proven(make, "mup-tp5-table8").acting == 1
    else:
        assert {tensor for tensor, _, _ in faults(make, "mup-tp5-table8")} == {"1.decoder.weight"}
