"""Hugging Face models at another width, from their configs alone: nothing is downloaded."""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from hptransfer.errors import MissingExtraError, RuleError
from hptransfer.parametrization.parameters import unwrapped

# Fields of configs, by the size that they hold; a list, as of SegFormer's stages, is scaled item by item.
WIDTHS = ("hidden_size", "n_embd", "d_model", "dim", "hidden_sizes", "embed_dim", "block_out_channels")
OTHER_WIDTHS = (
    *(
        "word_embed_proj_dim",
        "embedding_size",
        "attention_hidden_size",
        "projection_size",
        "decoder_hidden_size",
    ),
    *("lru_width", "mamba_d_ssm"),
)
MLPS = (
    *(
        "intermediate_size",
        "n_inner",
        "d_ff",
        "moe_intermediate_size",
        "ffn_dim",
        "ffn_hidden_size",
        "hidden_dim",
    ),
    *("encoder_ffn_dim", "decoder_ffn_dim", "shared_expert_intermediate_size", "intermediate_size_mlp"),
    *("shared_intermediate_size", "expert_ffn_hidden_size"),
)
HEADS = (
    *("num_attention_heads", "n_head", "num_heads", "num_key_value_heads", "num_kv_heads", "n_heads"),
    *("encoder_attention_heads", "decoder_attention_heads", "attention_heads"),
    *("linear_num_key_heads", "linear_num_value_heads", "mamba_n_heads"),
)
KEY_HEADS = ("num_key_value_heads", "num_kv_heads")  # one alone, shared by all queries, stays one
HEAD_DIMS = (
    *("head_dim", "d_kv", "attention_head_dim", "qk_nope_head_dim", "qk_rope_head_dim", "v_head_dim"),
    *("linear_key_head_dim", "linear_value_head_dim", "mamba_d_head"),
)
STEP_RANKS = ("time_step_rank", "mamba_dt_rank")  # Mamba's, derived from the width
# Not widths, whatever their value: sizes of the vocabulary, of contexts and images, numbers of things.
_NOT_WIDTHS = re.compile(
    r"vocab|position|token|length|image|window|chunk|num_|max_|_id$|^n_|size_per|buckets|local|projection_dim"
)
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


def at_another_width(model: nn.Module) -> nn.Module | None:
    """A build at twice the width, on the meta device, to tell roles by; None where no config makes one."""
    held = _width_of(getattr(unwrapped(model), "config", None))
    for heads in ("grow", "fixed") if held else ():
        try:
            with torch.device("meta"):
                return build_at_width(model, 2 * held[1], None, heads)  # type: ignore[index]
        except RuleError:
            continue
    return None


def build_at_width(
    model: nn.Module, base_width: int, width: int | None, heads: str, depth: int | None = None
) -> nn.Module:
    """The model's class at another width, from its config; its weights are freshly drawn.

    Args:
        model: with a Hugging Face `config`.
        base_width: to build at.
        width: that the model is said to have, checked where given.
        heads: `grow`: head dimension stays and heads are scaled; `fixed`: the other way round.
        depth: number of blocks to build; None: the model's.

    Raises:
        RuleError: the model has no such config, or a size would not be whole.
    """
    inner = unwrapped(model)
    config = getattr(inner, "config", None)
    held = _width_of(config)
    if held is None:
        raise RuleError(
            f"base_width= must be given a model with a Hugging Face config, but {type(inner).__name__} has "
            "none; give base=, the same model built at the base width"
        )
    if heads not in ("grow", "fixed"):
        raise RuleError(f"heads must be 'grow' or 'fixed', but got {heads!r}")
    name, found = held
    if width is not None and width != found:
        raise RuleError(f"width must be the model's, but got {width} where its {name} is {found}")
    scaled = _scaled(config, base_width, found, heads)
    if depth is not None:
        _set_depth(scaled, depth, type(inner).__name__)
    try:
        with torch.random.fork_rng(devices=[]):  # building the base leaves the user's random numbers alone
            if isinstance(scaled, Mapping):  # diffusers
                base: nn.Module = type(inner).from_config(scaled)  # type: ignore[attr-defined]
            else:
                base = type(inner)(scaled)
    except (TypeError, ValueError, RuntimeError, AttributeError, AssertionError) as error:
        line = " ".join(str(error).split())[:200]
        raise RuleError(
            f"the config must make a model at the base width, but {type(inner).__name__} raised "
            f"{type(error).__name__}: {line}; choose another base_width or heads=, or give base="
        ) from None
    _check_known(config, inner, base, found)
    return base


def _set_depth(config: Any, depth: int, model: str) -> None:
    """Gives a config another number of blocks, and its lists of one entry a block that many entries."""
    held = next((name for name in DEPTHS if isinstance(_value(config, name), int)), None)
    if held is None or depth < 1 or isinstance(config, Mapping):
        raise RuleError(
            f"base_depth= must be positive, for a config with a number of blocks ({', '.join(DEPTHS)}), but "
            f"got {depth} for {model}; give base=, the same model built at the base width and depth"
        )
    before = _value(config, held)
    for name, value in list(vars(config).items()):
        if isinstance(value, list) and len(value) == before:
            setattr(config, name, [value[i % before] for i in range(depth)])
    setattr(config, held, depth)


def _width_of(config: Any) -> tuple[str, int] | None:
    """Name and value of a config's width; of a list of stages, or of two towers, the first one's."""
    for name in WIDTHS:
        value = _value(config, name)
        value = value[0] if isinstance(value, (list, tuple)) and value else value
        if isinstance(value, int) and not isinstance(value, bool) and value > 0:
            return name, value
    heads, head_dim = _value(config, "num_attention_heads"), _value(config, "attention_head_dim")
    if isinstance(config, Mapping) and isinstance(heads, int) and isinstance(head_dim, int):
        return "num_attention_heads x attention_head_dim", heads * head_dim
    return next((found for _, part in _parts(config) if (found := _width_of(part))), None)


def _value(config: Any, name: str) -> Any:
    return config.get(name) if isinstance(config, Mapping) else getattr(config, name, None)


def _parts(config: Any) -> list[tuple[str, Any]]:
    """Configs within a config, as CLIP's of text and images."""
    return [
        (name, part) for name, part in getattr(config, "__dict__", {}).items() if hasattr(part, "to_dict")
    ]


def _scaled(config: Any, base_width: int, width: int, heads: str) -> Any:
    """A copy of a config with every width-like field scaled by base_width / width."""
    is_mapping = isinstance(config, Mapping)
    scaled: Any = dict(config) if is_mapping else copy.deepcopy(config)

    def put(name: str, value: Any) -> None:
        if is_mapping:
            scaled[name] = value
        else:
            setattr(scaled, name, value)

    for name in (*WIDTHS, *OTHER_WIDTHS, *MLPS, *(HEADS if heads == "grow" else HEAD_DIMS)):
        value = _value(config, name)
        if isinstance(value, (list, tuple)) and all(isinstance(each, int) for each in value):
            put(name, type(value)(_whole(each, base_width, width, name) for each in value))
        elif isinstance(value, int) and not isinstance(value, bool) and value > (name in KEY_HEADS):
            put(name, _whole(value, base_width, width, name))
    for name in STEP_RANKS:
        if isinstance(_value(config, name), int):
            put(name, math.ceil(base_width / 16))
    for name, part in _parts(config):
        put(name, _scaled(part, base_width, width, heads))
    return scaled


def _check_known(config: Any, model: nn.Module, base: nn.Module, width: int) -> None:
    """A field that looks like a width, and that nothing has scaled, is an error that names it."""
    known = {*WIDTHS, *OTHER_WIDTHS, *MLPS, *HEADS, *HEAD_DIMS, *STEP_RANKS}
    held = {n for p in model.parameters() for n in p.shape} & {n for p in base.parameters() for n in p.shape}
    for name, value in dict(getattr(config, "__dict__", config)).items():
        looks_so = isinstance(value, int) and value >= width and value % width == 0 and value in held
        if looks_so and name not in known and not _NOT_WIDTHS.search(name):
            raise RuleError(
                f"base_width= must know every width of the config, but {name}={value} is {value // width} "
                "times the width and no known field: give base=, the same model built at the base width"
            )


def _whole(value: int, base_width: int, width: int, name: str) -> int:
    if base_width <= 0 or (value * base_width) % width:
        raise RuleError(
            f"{name} must be whole at the base width, but {value} x {base_width}/{width} is not; choose "
            "another base_width, heads='grow' or 'fixed', or give base="
        )
    return value * base_width // width
