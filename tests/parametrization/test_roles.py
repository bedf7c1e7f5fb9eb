"""Roles of single layers and of small modules, what overrides them, and what is refused as ambiguous."""

import pytest
import torch
from small_models import build as build_small
from torch import nn

from hptransfer.errors import RuleError
from hptransfer.parametrization.roles import find_roles


class Bag(nn.Module):
    """Any modules under any names."""

    def __init__(self, **parts: nn.Module | nn.Parameter) -> None:
        super().__init__()
        for name, part in parts.items():
            setattr(self, name, part)


class Conv1D(nn.Module):
    """GPT-2's linear layer, whose weight is [in, out]."""

    def __init__(self, nf: int, nx: int) -> None:
        super().__init__()
        self.nf, self.weight = nf, nn.Parameter(torch.empty(nx, nf))


class LayerNormLinear(nn.Linear):
    """A linear layer, whatever its name."""


class Sized(nn.Module):
    """A linear layer of someone's own, as Transformer Engine's, with a norm in front."""

    def __init__(self, n: int, out: int) -> None:
        super().__init__()
        self.in_features, self.out_features = n, out
        self.weight = nn.Parameter(torch.empty(out, n))


class HeadNorm(nn.Module):
    """A norm with gains of its own for each head, as Cohere's."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(n // 2, 2))


def roles_of(make, overrides=None) -> dict[str, tuple[str, float]]:
    with torch.device("meta"):
        return {t.name: (t.role, t.ratio) for t in find_roles(make(8), make(4), overrides)}


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda n: nn.Conv2d(3, n, 3), {"weight": "embedding", "bias": "vector"}),
        (lambda n: nn.Conv2d(n, 2 * n, 3), {"weight": "hidden", "bias": "vector"}),
        (lambda n: nn.Conv2d(n, 10, 1), {"weight": "readout", "bias": "scalar"}),
        (lambda n: nn.Conv2d(n, n, 3, groups=n), {"weight": "vector", "bias": "vector"}),
        (lambda n: nn.Conv2d(n, n, 3, groups=2), {"weight": "hidden", "bias": "vector"}),
        (lambda n: nn.ConvTranspose2d(n, 3, 3), {"weight": "readout", "bias": "scalar"}),
        (lambda n: nn.Conv1d(3, n, 3, bias=False), {"weight": "embedding"}),
        (lambda n: Conv1D(10, n), {"weight": "readout"}),
        (lambda n: Conv1D(n, 3), {"weight": "embedding"}),
        (lambda n: nn.BatchNorm2d(n), {"weight": "vector", "bias": "vector"}),
        (lambda n: nn.RMSNorm(n), {"weight": "vector"}),
        (lambda n: nn.Embedding(7, n), {"weight": "embedding"}),
        (
            lambda n: nn.MultiheadAttention(n, 2),
            {
                "in_proj_weight": "hidden",
                "in_proj_bias": "vector",
                "out_proj.weight": "hidden",
                "out_proj.bias": "vector",
            },
        ),
        (lambda n: nn.Linear(n, 1), {"weight": "readout", "bias": "scalar"}),
        (lambda n: nn.Linear(1, n), {"weight": "embedding", "bias": "vector"}),
        (lambda n: nn.Embedding(1, n), {"weight": "embedding"}),
        (lambda n: nn.EmbeddingBag(7, n), {"weight": "embedding"}),
        (lambda n: nn.Conv1d(n, 1, 3), {"weight": "readout", "bias": "scalar"}),
        (lambda n: nn.ConvTranspose2d(n, 2 * n, 2), {"weight": "hidden", "bias": "vector"}),
        (lambda n: LayerNormLinear(n, 10), {"weight": "readout", "bias": "scalar"}),
        (lambda n: Sized(n, n), {"weight": "hidden"}),
        (lambda n: HeadNorm(n), {"weight": "vector"}),
        (
            lambda n: nn.LSTM(3, n),
            {
                "weight_ih_l0": "embedding",
                "weight_hh_l0": "hidden",
                "bias_ih_l0": "vector",
                "bias_hh_l0": "vector",
            },
        ),
        (lambda n: nn.GRUCell(n, n, bias=False), {"weight_ih": "hidden", "weight_hh": "hidden"}),
        (
            lambda n: nn.utils.parametrizations.weight_norm(nn.Linear(n, n, bias=False)),
            {"parametrizations.weight.original0": "vector", "parametrizations.weight.original1": "hidden"},
        ),
        (lambda n: Bag(gate=nn.Linear(n, 4, bias=False), x=nn.Linear(n, n)), None),
    ],
)
def test_layers(make, expected) -> None:
    found = roles_of(lambda n: Bag(layer=make(n)))
    if expected is None:
        assert found["layer.gate.weight"][0] == "readout"
    else:
        assert {name.removeprefix("layer."): role for name, (role, _) in found.items()} == expected
        assert all(ratio == (1 if role == "scalar" else 2) for role, ratio in found.values())


def test_a_norm_over_fixed_heads_is_scalar() -> None:
    found = roles_of(lambda n: Bag(q_norm=nn.RMSNorm(4), proj=nn.Linear(n, n, bias=False)))
    assert found == {"q_norm.weight": ("scalar", 1), "proj.weight": ("hidden", 2)}


def test_lora() -> None:
    class Lora(nn.Module):
        def __init__(self, n: int) -> None:
            super().__init__()
            self.base = nn.Linear(n, n, bias=False)
            self.lora_A, self.lora_B = nn.Linear(n, 2, bias=False), nn.Linear(2, n, bias=False)

    found = roles_of(lambda n: Bag(blocks=nn.ModuleList([Lora(n)])))
    assert {n.rpartition("blocks.0.")[2]: role for n, (role, _) in found.items()} == {
        "base.weight": "hidden",
        "lora_A.weight": "hidden",
        "lora_B.weight": "embedding",
    }


def test_multi_query_keys_are_hidden_not_readouts() -> None:
    def block(n: int) -> nn.Module:
        return Bag(q_proj=nn.Linear(n, n, bias=False), k_proj=nn.Linear(n, 4, bias=False))

    found = roles_of(lambda n: Bag(blocks=nn.ModuleList([block(n)])))
    assert found == {"blocks.0.q_proj.weight": ("hidden", 2), "blocks.0.k_proj.weight": ("hidden", 2)}


def test_own_ratios_are_of_fan_in() -> None:
    def make(n: int) -> nn.Module:
        inner = {4: 12, 8: 48}[n]
        return Bag(up=nn.Linear(n, inner), down=nn.Linear(inner, n, bias=False))

    assert roles_of(make) == {
        "up.weight": ("hidden", 2),
        "up.bias": ("vector", 4),
        "down.weight": ("hidden", 4),
    }


def test_a_tied_readout_has_the_embedding_s_role_whichever_comes_first() -> None:
    def make(n: int) -> nn.Module:
        model = Bag(head=nn.Linear(n, 7, bias=False), table=nn.Embedding(7, n))
        model.head.weight = model.table.weight
        return model

    assert roles_of(make) == {"table.weight": ("embedding", 2)}


def ambiguous(n: int) -> nn.Module:
    return Bag(blocks=nn.ModuleList([Bag(squeeze=nn.Linear(n, 3, bias=False), mix=nn.Linear(n, n))]))


def test_ambiguity_names_the_tensor_and_the_override() -> None:
    with pytest.raises(RuleError) as caught:
        roles_of(ambiguous)
    text = str(caught.value)
    assert "blocks.0.squeeze.weight [3, 4] -> [3, 8] (Linear)" in text
    assert "overrides={'blocks.*.squeeze.weight': 'hidden'}" in text
    assert roles_of(ambiguous, {"blocks.*.squeeze.weight": "hidden"})["blocks.0.squeeze.weight"] == (
        "hidden",
        2,
    )


def test_the_first_override_wins() -> None:
    found = roles_of(ambiguous, {"*.squeeze.*": "readout", "blocks.*": "vector"})
    assert found["blocks.0.squeeze.weight"] == ("readout", 2)
    assert found["blocks.0.mix.weight"] == ("vector", 2)


class Squeeze(nn.Module):
    def __init__(self, n: int) -> None:
        super().__init__()
        self.down, self.up = nn.Linear(n, 3), nn.Linear(3, n)


@pytest.mark.parametrize("container", [nn.ModuleList, lambda blocks: nn.Sequential(*blocks)])
def test_blocks_in_sequential_are_blocks(container) -> None:
    def make(n: int) -> nn.Module:
        return Bag(blocks=container([Squeeze(n), Squeeze(n)]), out=nn.Linear(n, 5))

    with pytest.raises(RuleError, match=r"blocks.0.down.weight .* inside a repeated block"):
        roles_of(make)


def test_layers_in_sequential_and_heads_in_a_list_are_no_blocks() -> None:
    def make(n: int) -> nn.Module:
        heads = nn.ModuleList([nn.Linear(n, 2), nn.Linear(n, 3)])
        return Bag(net=nn.Sequential(nn.Linear(4, n), nn.ReLU(), nn.Linear(n, n)), heads=heads)

    found = roles_of(make)
    assert found["heads.1.weight"] == ("readout", 2)
    assert found["net.2.weight"] == ("hidden", 2)


@pytest.mark.parametrize(
    ("name", "shape", "likely"),
    [
        ("mixing", (8, 3), "embedding"),
        ("mixing", (3, 8), "readout"),
        ("queries", (3, 8), "embedding"),
        ("gamma", (3, 8), "vector"),
    ],
)
def test_an_ambiguity_suggests_the_role_that_is_likely(
    name: str, shape: tuple[int, int], likely: str
) -> None:
    def make(n: int) -> nn.Module:
        size = [n if side == 8 else side for side in shape]
        return Bag(**{name: nn.Parameter(torch.empty(size)), "proj": nn.Linear(n, n)})

    with pytest.raises(RuleError, match=f"overrides={{'{name}': '{likely}'}}"):
        roles_of(make)


def test_what_cannot_be_said_of_a_tensor() -> None:
    with pytest.raises(
        RuleError, match=r"that is hidden must grow on its input side, but 0.weight .*'embedding'"
    ):
        roles_of(lambda n: nn.Sequential(nn.Linear(3, n), nn.Linear(n, n)), {"0.weight": "hidden"})

    def normed(n: int) -> nn.Module:
        return Bag(out=nn.utils.parametrizations.weight_norm(nn.Linear(n, 5)))

    with pytest.raises(RuleError, match="a readout must have no weight normalisation"):
        roles_of(normed)
    name = "out.parametrizations.weight.original0"
    assert roles_of(normed, {name: "scalar"})[name] == ("scalar", 1)


def test_a_bias_of_experts_is_a_vector() -> None:
    def make(n: int) -> nn.Module:
        return Bag(gate_up_proj_bias=nn.Parameter(torch.empty(3, n)), proj=nn.Linear(n, n))

    assert roles_of(make)["gate_up_proj_bias"] == ("vector", 2)


def test_a_bare_parameter_is_ambiguous() -> None:
    def make(n: int) -> nn.Module:
        return Bag(mixing=nn.Parameter(torch.empty(3, n)), proj=nn.Linear(n, n))

    with pytest.raises(RuleError, match=r"the role of mixing \[3, 4\] -> \[3, 8\] \(Bag\) is ambiguous"):
        roles_of(make)


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        ({"*": "output"}, "one of embedding, hidden, readout, vector, scalar, but '\\*' is given 'output'"),
        ({"nothing.*": "hidden"}, "'nothing.\\*' matches none of"),
    ],
)
def test_bad_overrides(overrides, says: str) -> None:
    with pytest.raises(RuleError, match=says):
        roles_of(ambiguous, overrides)


@pytest.mark.parametrize(
    ("model", "base", "says"),
    [
        (lambda: build_small(8), lambda: build_small(8), "every tensor has the same shape in both"),
        (lambda: nn.Linear(8, 8), lambda: nn.Embedding(8, 8), "bias only in the model"),
        (lambda: nn.Embedding(9, 8), lambda: nn.Embedding(7, 4), "rows must not grow"),
        (lambda: nn.Conv1d(8, 8, 3), lambda: nn.Conv2d(4, 4, 3), "as many dimensions in both"),
        (lambda: nn.ReLU(), lambda: nn.ReLU(), "must have parameters, but ReLU has none"),
        (lambda: nn.LazyLinear(3), lambda: nn.LazyLinear(3), "weight is lazy"),
    ],
)
@pytest.mark.filterwarnings("ignore:Lazy modules")
def test_two_builds_that_do_not_fit(model, base, says: str) -> None:
    with pytest.raises(RuleError, match=says):
        find_roles(model(), base())
