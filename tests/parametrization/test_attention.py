"""Where attention keeps its scale, and what it is set to."""

import pytest
from small_models import scaled
from torch import nn

import hptransfer as hpt
from hptransfer.errors import RuleError


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

    with pytest.raises(RuleError, match=r"by its tensor q_proj.weight, has attention"):
        hpt.parametrize(functional(8), base=functional(4), rule="mup")
