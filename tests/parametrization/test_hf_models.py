"""Hugging Face models at another width, from their configs."""

import pytest
import torch

import hptransfer as hpt
from hptransfer.errors import RuleError
from hptransfer.parametrization.hf_models import CONTEXTS, DEPTHS, HEADS, MODELS, WIDTHS, build_at_width
from hptransfer.parametrization.hf_models import build as build_hf

pytest.importorskip("transformers")

VOCABS = ("vocab_size",)


@pytest.mark.parametrize("name", ["gpt2", "llama", "mixtral", "t5"])
def test_known_architectures_are_scaled_from_their_config(name: str) -> None:
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


@pytest.mark.parametrize("name", MODELS)
def test_sizes_are_those_asked_for_and_the_usual_ones(name: str) -> None:
    with torch.device("meta"):
        config = build_hf(name, 32, depth=3, heads=2, vocab=40, context=24).config
        usual = build_hf(name, 32).config
    sizes = {
        "width": WIDTHS,
        "depth": DEPTHS,
        "heads": HEADS[:3],
        "context": CONTEXTS,
        "vocab": ["vocab_size"],
    }
    asked = {"width": (32, 32), "depth": (3, 2), "heads": (2, 4), "context": (24, 64), "vocab": (40, 512)}
    left_out = {"mamba": {"heads", "context"}, "vit": {"context", "vocab"}, "t5": {"context"}}
    for size, fields in sizes.items():
        if size in left_out.get(name, ()):
            continue
        (field,) = (field for field in fields if field in config.to_dict())
        assert (getattr(config, field), getattr(usual, field)) == asked[size], field
    if name not in ("gpt2", "mamba"):  # the MLP of these follows the width by itself
        assert config.d_ff == 128 if name == "t5" else config.intermediate_size == 128
    if name in ("gemma", "t5"):
        assert config.d_kv == 16 if name == "t5" else config.head_dim == 16


def test_vit_sees_sixteen_patches_and_mixtral_has_four_experts() -> None:
    with torch.device("meta"):
        vit, mixtral = build_hf("vit", 32), build_hf("mixtral", 32)
    assert vit.vit.embeddings.position_embeddings.shape == (1, 1 + 16, 32)  # a class token before the patches
    assert vit.vit.embeddings.patch_embeddings.projection.weight.shape == (32, 3, 8, 8)
    assert mixtral.model.layers[0].mlp.experts.down_proj.shape[0] == 4


@pytest.mark.parametrize("name", MODELS)
def test_special_tokens_are_none_or_the_first_of_the_small_vocabulary(name: str) -> None:
    """The usual ones, such as GPT-2's 50256, would lie outside it."""
    with torch.device("meta"):
        config = build_hf(name, 32).config
    found = {kind: getattr(config, f"{kind}_token_id", None) for kind in ("bos", "eos", "pad")}
    pad = 0 if name in ("gemma", "t5", "bert") else None
    assert found == {"bos": None, "eos": None, "pad": pad}
    assert getattr(config, "decoder_start_token_id", None) == (0 if name == "t5" else None)


def test_a_family_that_is_not_known_or_does_not_fit() -> None:
    with pytest.raises(RuleError, match="must be a known family, but got 'gpt5'; valid: gpt2, gpt_neox"):
        build_hf("gpt5", 32)
    for heads in (5, 0, -4):
        with pytest.raises(RuleError, match=f"heads must divide width, but got width=32, heads={heads}"):
            build_hf("gpt2", 32, heads=heads)


@pytest.mark.parametrize(
    ("heads", "number", "head_dim"),
    [("grow", 1, 8), ("fixed", 4, 2)],  # of 4 heads of 8 at width 32, at width 8
)
def test_heads_or_their_dimension_shrink_with_the_width(heads: str, number: int, head_dim: int) -> None:
    model = build_hf("gemma", 32)
    config = build_at_width(model, 8, 32, heads).config
    assert (config.num_attention_heads, config.num_key_value_heads, config.head_dim) == (
        number,
        number,
        head_dim,
    )
    assert (config.hidden_size, config.intermediate_size, config.num_hidden_layers) == (8, 32, 2)
    assert model.config.hidden_size == 32


def test_mamba_s_time_step_rank_is_derived_from_the_width() -> None:
    assert build_at_width(build_hf("mamba", 64), 40, None, "grow").config.time_step_rank == 3


def test_building_the_base_leaves_the_user_s_random_numbers_alone() -> None:
    model = build_hf("gpt2", 32)
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    build_at_width(model, 16, None, "grow")
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize(
    ("base_width", "width", "heads", "says"),
    [
        (16, 64, "grow", "width must be the model's, but got 64 where its hidden_size is 32"),
        (16, None, "shrink", "heads must be 'grow' or 'fixed', but got 'shrink'"),
        (12, None, "grow", "num_attention_heads must be whole at the base width, but 4 x 12/32 is not"),
        (0, None, "fixed", "hidden_size must be whole at the base width"),
    ],
)
def test_a_base_that_cannot_be_built(base_width: int, width: int | None, heads: str, says: str) -> None:
    with pytest.raises(RuleError, match=says):
        build_at_width(build_hf("gpt2", 32), base_width, width, heads)
