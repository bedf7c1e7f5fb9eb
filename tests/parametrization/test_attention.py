"""Where attention keeps its scale, and what it is set to."""

import pytest
from small_models import scaled
from torch import nn

import hptransfer as hpt
from hptransfer.errors import RuleError
from hptransfer.parametrization.hooks import AttentionSite


def test_attention_scale_is_set_where_the_head_dimension_grows() -> None:
    model, scaling = scaled("mup")
    scaling.init_(model)
    assert [b.attn.scaling for b in model.blocks] == pytest.approx([8**-0.5 / 4] * 2)  # head_dim 8 -> 32
    model, scaling = scaled("sp")
    scaling.init_(model)
    assert model.blocks[0].attn.scaling == pytest.approx(32**-0.5)


def test_attention_without_a_scale_to_set_is_never_silent() -> None:
    class Attention(nn.Module):
        def __init__(self, n: int) -> None:
            super().__init__()
            self.qkv = nn.Linear(n, 3 * n)

    def make(n: int) -> nn.Module:
        return nn.ModuleDict({"e": nn.Embedding(5, n), "attn": Attention(n)})

    with pytest.raises(RuleError, match=r"attn \(Attention\) keeps no scale to set.* attention=False"):
        hpt.parametrize(make(8), base=make(4), rule="mup")
    assert hpt.parametrize(make(8), base=make(4), rule="mup", attention=False).attention == ()
    assert hpt.parametrize(make(8), base=make(4), rule="sp").attention == ()

    def functional(n: int) -> nn.Module:
        return nn.ModuleDict({"e": nn.Embedding(5, n), "q_proj": nn.Linear(n, n)})

    with pytest.raises(RuleError, match=r"has by its tensor q_proj.weight keeps no scale"):
        hpt.parametrize(functional(8), base=functional(4), rule="mup")


class Attention(nn.Module):
    """Keeps a scale and a head dimension under the names given."""

    def __init__(self, width: int, scale: str, head_dim: str) -> None:
        super().__init__()
        self.qkv = nn.Linear(width, 3 * width)
        setattr(self, scale, 0.5)
        setattr(self, head_dim, width // 2)


@pytest.mark.parametrize("scale", ["scaling", "softmax_scale", "scale", "norm_factor"])
@pytest.mark.parametrize("head_dim", ["head_dim", "attention_head_size", "d_head"])
def test_a_scale_is_found_by_its_usual_names(scale: str, head_dim: str) -> None:
    model, base = (nn.ModuleDict({"attn": Attention(width, scale, head_dim)}) for width in (32, 8))
    assert hpt.parametrize(model, base=base, rule="sp").attention == (
        AttentionSite("attn", scale, 0.5 * 4**-0.5),  # head_dim 4 -> 16
    )
    assert hpt.parametrize(model, base=base, rule="mup").attention[0].value == 0.5 / 4


def test_a_scale_under_another_name_is_given_by_pattern() -> None:
    model, base = (nn.ModuleDict({"mix": Attention(width, "beta", "head_dim")}) for width in (32, 8))
    with pytest.raises(RuleError, match="keeps no scale to set"):
        hpt.parametrize(model, base=base)
    found = hpt.parametrize(model, base=base, attention={"m?x": "beta"}).attention
    assert found == (AttentionSite("mix", "beta", 0.5 / 4),)
    with pytest.raises(
        RuleError, match=r"mix.qkv must say its head dimension, as one of qk_head_dim, head_dim, att"
    ):
        hpt.parametrize(model, base=base, attention={"mix.qkv": "in_features"})


@pytest.mark.parametrize(("name", "parts"), [("qkv", 3), ("to_q", 1)])
def test_a_head_dimension_that_is_not_said_is_that_of_the_projection(name: str, parts: int) -> None:
    class Attention(nn.Module):  # as those of timm's Swin, BEiT and CaiT
        def __init__(self, width: int, heads: int) -> None:
            super().__init__()
            self.num_heads, self.scale = heads, (width // heads) ** -0.5
            setattr(self, name, nn.Linear(width, parts * width))

    def sites(heads: int) -> tuple[AttentionSite, ...]:
        return hpt.parametrize(Attention(32, heads), base=Attention(8, 2), rule="mup").attention

    assert sites(2) == (AttentionSite("", "scale", 0.5 / 4),)  # head dimension 4 -> 16
    assert sites(8) == (AttentionSite("", "scale", 0.5),)


def test_heads_that_only_grow_in_number_need_no_scale() -> None:
    class GrownAttention(nn.Module):
        def __init__(self, width: int) -> None:
            super().__init__()
            self.qkv, self.head_dim = nn.Linear(width, 3 * width), 4

    assert hpt.parametrize(GrownAttention(32), base=GrownAttention(8), rule="mup").attention == ()
