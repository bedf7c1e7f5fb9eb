"""Hugging Face models at another width, from their configs alone: nothing is downloaded."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import nn

from hptransfer.errors import MissingExtraError, RuleError
from hptransfer.parametrization.parameters import unwrapped

WIDTHS = ("hidden_size", "n_embd", "d_model", "intermediate_size", "n_inner", "d_ff", "moe_intermediate_size")
HEADS = ("num_attention_heads", "n_head", "num_heads", "num_key_value_heads")
HEAD_DIMS = ("head_dim", "d_kv")


@dataclass(frozen=True)
class Architecture:
    """How a small model of a family is built.

    Attributes:
        config: class name in transformers.
        model: class name in transformers.
        width, depth, heads, vocab, context: names of the config's fields; None where it has none.
        mlp: field and factor of the MLP's hidden size.
        fixed: other fields, kept small.
    """

    config: str
    model: str
    width: str = "hidden_size"
    depth: str = "num_hidden_layers"
    heads: str | None = "num_attention_heads"
    vocab: str | None = "vocab_size"
    context: str | None = "max_position_embeddings"
    mlp: tuple[str, int] | None = ("intermediate_size", 4)
    fixed: tuple[tuple[str, Any], ...] = ()


_TOKENS = (("bos_token_id", None), ("eos_token_id", None), ("pad_token_id", None))
_GPT2 = Architecture(
    "GPT2Config",
    "GPT2LMHeadModel",
    width="n_embd",
    depth="n_layer",
    heads="n_head",
    context="n_positions",
    mlp=None,
    fixed=_TOKENS,
)
_MIXTRAL = Architecture(
    "MixtralConfig",
    "MixtralForCausalLM",
    fixed=(*_TOKENS, ("num_key_value_heads", None), ("num_local_experts", 4)),
)
_VIT = Architecture(
    "ViTConfig",
    "ViTForImageClassification",
    vocab=None,
    context=None,
    fixed=(("image_size", 32), ("patch_size", 8)),
)
_T5 = Architecture(
    "T5Config",
    "T5ForConditionalGeneration",
    width="d_model",
    depth="num_layers",
    heads="num_heads",
    context=None,
    mlp=("d_ff", 4),
    fixed=(("eos_token_id", None), ("pad_token_id", 0), ("decoder_start_token_id", 0)),
)


def _decoder(prefix: str, fixed: tuple[tuple[str, Any], ...] = _TOKENS) -> Architecture:
    return Architecture(f"{prefix}Config", f"{prefix}ForCausalLM", fixed=fixed)


MODELS: Mapping[str, Architecture] = {
    "gpt2": _GPT2,
    "gpt_neox": _decoder("GPTNeoX"),
    "llama": _decoder("Llama"),
    "qwen2": _decoder("Qwen2"),
    "gemma": _decoder("Gemma", (*_TOKENS[:2], ("pad_token_id", 0))),
    "olmo": _decoder("Olmo"),
    "mixtral": _MIXTRAL,
    "mamba": Architecture(
        "MambaConfig", "MambaForCausalLM", heads=None, context=None, mlp=None, fixed=_TOKENS
    ),
    "vit": _VIT,
    "t5": _T5,
    "bert": Architecture("BertConfig", "BertForMaskedLM", fixed=(("pad_token_id", 0),)),
}


def build(
    name: str, width: int, *, depth: int = 2, heads: int = 4, vocab: int = 512, context: int = 64
) -> nn.Module:
    """A small model of that family, randomly initialised, heads the same at every width.

    Args:
        name: of the family, a key of `MODELS`.
        width: size of the residual stream; the MLP's grows with it.
        depth: number of blocks.
        heads: number of attention heads, for queries and keys alike.
        vocab: number of tokens.
        context: most positions, where the family has a limit.

    Raises:
        RuleError: the family is unknown, or the shapes do not fit together.
        MissingExtraError: transformers is not installed.
    """
    if name not in MODELS:
        raise RuleError(f"the model must be a known family, but got {name!r}; valid: {', '.join(MODELS)}")
    if heads <= 0 or width % heads:
        raise RuleError(f"heads must divide width, but got width={width}, heads={heads}")
    family = MODELS[name]
    fields: dict[str, Any] = {family.width: width, family.depth: depth, **dict(family.fixed)}
    sizes = ((family.heads, heads), (family.vocab, vocab), (family.context, context))
    fields |= {field: value for field, value in sizes if field is not None}
    if family.mlp is not None:
        fields[family.mlp[0]] = family.mlp[1] * width
    if "num_key_value_heads" in fields or name in ("llama", "qwen2", "gemma", "olmo"):
        fields["num_key_value_heads"] = heads
    if name in ("gemma", "t5"):
        fields["head_dim" if name == "gemma" else "d_kv"] = width // heads
    library = _transformers()
    return cast(nn.Module, getattr(library, family.model)(getattr(library, family.config)(**fields)))


def build_at_width(model: nn.Module, base_width: int, width: int | None, heads: str) -> nn.Module:
    """The model's class at another width, from its config; its weights are freshly drawn.

    Args:
        model: with a Hugging Face `config`.
        base_width: to build at.
        width: that the model is said to have, checked where given.
        heads: `grow`: head dimension stays and heads are scaled; `fixed`: the other way round.

    Raises:
        RuleError: the model has no such config, or a size would not be whole.
    """
    inner = unwrapped(model)
    config = getattr(inner, "config", None)
    field = next((f for f in WIDTHS[:3] if isinstance(getattr(config, f, None), int)), None)
    if config is None or field is None:
        raise RuleError(
            f"base_width= must be given a model with a Hugging Face config, but {type(inner).__name__} has "
            "none; give base=, the same model built at the base width"
        )
    if heads not in ("grow", "fixed"):
        raise RuleError(f"heads must be 'grow' or 'fixed', but got {heads!r}")
    found = int(getattr(config, field))
    if width is not None and width != found:
        raise RuleError(f"width must be the model's, but got {width} where its {field} is {found}")
    scaled = _scaled(config, base_width, found, heads)
    rng = torch.get_rng_state()
    try:
        return type(inner)(scaled)
    finally:
        torch.set_rng_state(rng)  # building the base leaves the user's random numbers alone


def _scaled(config: Any, base_width: int, width: int, heads: str) -> Any:
    """A copy of a config with every width-like field scaled by base_width / width."""
    scaled = copy.deepcopy(config)
    moving = (*WIDTHS, *(HEADS if heads == "grow" else HEAD_DIMS))
    for name in moving:
        value = getattr(config, name, None)
        if isinstance(value, int) and not isinstance(value, bool) and value > 0:
            setattr(scaled, name, _whole(value, base_width, width, name))
    if isinstance(getattr(config, "time_step_rank", None), int):  # Mamba derives it so from the width
        scaled.time_step_rank = math.ceil(base_width / 16)
    return scaled


def _whole(value: int, base_width: int, width: int, name: str) -> int:
    if base_width <= 0 or (value * base_width) % width:
        raise RuleError(
            f"{name} must be whole at the base width, but {value} x {base_width}/{width} is not; choose "
            "another base_width, or give base="
        )
    return value * base_width // width


def _transformers() -> Any:
    try:
        import transformers
    except ImportError:
        raise MissingExtraError("hf", "a Hugging Face model") from None
    return transformers
