"""Hugging Face models at another width, from their configs alone: nothing is downloaded."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from hptransfer.errors import MissingExtraError, RuleError
from hptransfer.parametrization.parameters import unwrapped

WIDTHS = ("hidden_size", "n_embd", "d_model")  # fields of configs, by the size that they hold
MLPS = ("intermediate_size", "n_inner", "d_ff", "moe_intermediate_size")
HEADS = ("num_attention_heads", "n_head", "num_heads", "num_key_value_heads")
HEAD_DIMS = ("head_dim", "d_kv")
DEPTHS = ("num_hidden_layers", "n_layer", "num_layers")
CONTEXTS = ("max_position_embeddings", "n_positions")

_PLAIN = ("hidden_size", "num_hidden_layers", "vocab_size")
_ENCODER = (*_PLAIN, "num_attention_heads", "intermediate_size", "max_position_embeddings")
_LLAMA = (*_ENCODER, "num_key_value_heads")
_NO_TOKENS = {"bos_token_id": None, "eos_token_id": None, "pad_token_id": None}


@dataclass(frozen=True)
class Architecture:
    """How a small model of a family is built."""

    prefix: str  # of its class names in transformers
    head: str = "ForCausalLM"  # rest of the model's class name
    sizes: tuple[str, ...] = _LLAMA  # fields of its config that hold a size
    fixed: Mapping[str, Any] = field(default_factory=lambda: _NO_TOKENS)  # other fields, kept small


MODELS: Mapping[str, Architecture] = {
    "gpt2": Architecture("GPT2", "LMHeadModel", ("n_embd", "n_layer", "vocab_size", "n_head", "n_positions")),
    "gpt_neox": Architecture("GPTNeoX", sizes=_ENCODER),
    "llama": Architecture("Llama"),
    "qwen2": Architecture("Qwen2"),
    "gemma": Architecture("Gemma", sizes=(*_LLAMA, "head_dim"), fixed=_NO_TOKENS | {"pad_token_id": 0}),
    "olmo": Architecture("Olmo"),
    "mixtral": Architecture("Mixtral", fixed=_NO_TOKENS | {"num_local_experts": 4}),
    "mamba": Architecture("Mamba", sizes=_PLAIN),
    "vit": Architecture(
        "ViT",
        "ForImageClassification",
        ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size"),
        {"image_size": 32, "patch_size": 8},
    ),
    "t5": Architecture(
        "T5",
        "ForConditionalGeneration",
        ("d_model", "num_layers", "vocab_size", "num_heads", "d_ff", "d_kv"),
        {"eos_token_id": None, "pad_token_id": 0, "decoder_start_token_id": 0},
    ),
    "bert": Architecture("Bert", "ForMaskedLM", _ENCODER, {"pad_token_id": 0}),
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
    try:
        import transformers
    except ImportError:
        raise MissingExtraError("hf", "a Hugging Face model") from None
    sizes = {
        **dict.fromkeys(WIDTHS, width),
        **dict.fromkeys(MLPS, 4 * width),
        **dict.fromkeys(HEADS, heads),
        **dict.fromkeys(HEAD_DIMS, width // heads),
        **dict.fromkeys(DEPTHS, depth),
        **dict.fromkeys(CONTEXTS, context),
        "vocab_size": vocab,
    }
    family = MODELS[name]
    config_class = getattr(transformers, f"{family.prefix}Config")
    model_class: type[nn.Module] = getattr(transformers, f"{family.prefix}{family.head}")
    return model_class(config_class(**{size: sizes[size] for size in family.sizes}, **family.fixed))


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
    held = next((name for name in WIDTHS if isinstance(getattr(config, name, None), int)), None)
    if config is None or held is None:
        raise RuleError(
            f"base_width= must be given a model with a Hugging Face config, but {type(inner).__name__} has "
            "none; give base=, the same model built at the base width"
        )
    if heads not in ("grow", "fixed"):
        raise RuleError(f"heads must be 'grow' or 'fixed', but got {heads!r}")
    found = int(getattr(config, held))
    if width is not None and width != found:
        raise RuleError(f"width must be the model's, but got {width} where its {held} is {found}")
    scaled = _scaled(config, base_width, found, heads)
    with torch.random.fork_rng(devices=[]):  # building the base leaves the user's random numbers alone
        return type(inner)(scaled)


def _scaled(config: Any, base_width: int, width: int, heads: str) -> Any:
    """A copy of a config with every width-like field scaled by base_width / width."""
    scaled = copy.deepcopy(config)
    for name in (*WIDTHS, *MLPS, *(HEADS if heads == "grow" else HEAD_DIMS)):
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
