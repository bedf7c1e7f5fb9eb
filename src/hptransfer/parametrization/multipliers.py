"""Forward multipliers a rule asks for, as factors on modules; an error where a model has no place for one."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase

import torch
from torch import nn

from hptransfer.errors import RuleError
from hptransfer.parametrization.hooks import Factor, takes_factor
from hptransfer.parametrization.pairing import Pairing
from hptransfer.parametrization.parameters import matching, unwrapped
from hptransfer.parametrization.plan import TensorPlan
from hptransfer.parametrization.roles import TensorRole
from hptransfer.parametrization.rule import Rule
from hptransfer.words import precise

# Where a model keeps the number that it multiplies an embedding's rows by.
_EMBEDDING_SCALES = ("scalar_embed_scale", "embed_scale", "embedding_scale", "emb_scale", "input_scale")

# The last modules of residual branches, by Hugging Face model type.
_LLAMA = ("*.self_attn.o_proj", "*.mlp.down_proj")
RESIDUAL_ENDS: Mapping[str, tuple[str, ...]] = {
    "gpt2": ("*.attn.c_proj", "*.mlp.c_proj"),
    "gpt_neox": ("*.attention.dense", "*.mlp.dense_4h_to_h"),
    **dict.fromkeys(
        ("llama", "qwen2", "qwen3", "gemma", "olmo", "mistral", "smollm3", "granite", "cohere"), _LLAMA
    ),
    # A norm at the branch's end takes off what stands before it.
    **dict.fromkeys(
        ("gemma2", "gemma3_text"), ("*.post_attention_layernorm", "*.post_feedforward_layernorm")
    ),
    "opt": ("*.self_attn.out_proj", "*.fc2"),
    **dict.fromkeys(("falcon", "bloom"), ("*.self_attention.dense", "*.mlp.dense_4h_to_h")),
    "gptj": ("*.attn.out_proj", "*.mlp.fc_out"),
    "phi": ("*.self_attn.dense", "*.mlp.fc2"),
    "mixtral": ("*.self_attn.o_proj", "*.mlp"),
    "mamba": ("*.mixer.out_proj",),
    "vit": ("*.attention.o_proj", "*.mlp.fc2"),
    "t5": ("*.SelfAttention.o", "*.EncDecAttention.o", "*.DenseReluDense.wo"),
}


def module_factors(
    model: nn.Module, pairing: Pairing, plans: Sequence[TensorPlan], rule: Rule, residual: Sequence[str]
) -> tuple[Factor, ...]:
    """Every factor that differs from one.

    A tensor's multiplier sits on the module that applies it; what the architecture multiplies by itself
    (Gemma's embedding by sqrt(width), T5's tied logits by 1/sqrt(width)) is taken off it. Tied logits get the
    embedding's multiplier times m**tied. A residual branch gets (depth ratio)**residual on its last module,
    found by the patterns `residual`, or by the model's type where none is given.

    Raises:
        RuleError: a multiplier is needed where no module can carry it.
    """
    found: dict[str, Factor] = {}
    natives = native_embeddings(pairing)
    for plan in plans:
        if plan.frozen:
            continue  # what is not trained stays as it is, in the forward pass too
        tensor, wanted = plan.tensor, plan.factors.multiplier
        for owner in appliers(tensor, pairing.modules):
            native = 1.0 if rule.keeps_native_multipliers else natives.get(owner, 1.0)
            if wanted / native != 1.0:
                _add(found, pairing.modules, owner, wanted / native, f"multiplier on {tensor.name}", rule)
        if tensor.role == "embedding" and rule.tied is not None:
            for logits in tied_readouts(tensor, pairing.modules):
                factor = wanted * tensor.ratio ** (rule.tied - _native_logits(model))
                why = f"factor on the logits of the tied {tensor.name}"
                _add(found, pairing.modules, logits, factor, why, rule)
    if rule.residual and any(ratio != 1.0 for ratio in pairing.depth_ratios.values()):
        for end in _residual_ends(model, pairing.modules, residual, rule):
            had = found.get(end, Factor(end, 1.0, 1.0, "residual branch"))
            found[end] = replace(had, on_output=had.on_output * pairing.depth_of(end) ** rule.residual)
    return tuple(f for f in found.values() if (f.on_input, f.on_output) != (1.0, 1.0))


def _add(
    found: dict[str, Factor], here: Mapping[str, nn.Module], name: str, factor: float, why: str, rule: Rule
) -> None:
    place = takes_factor(here[name], here.get(name.rpartition(".")[0]))
    if place is None and "tied" in why:
        raise RuleError(
            f"{rule.name} needs a {why} of {precise(factor)} in the forward pass, but "
            f"{type(here[name]).__name__} {name or '(the model)'} is no layer that can carry it: "
            "let a layer apply it: head = nn.Linear(width, vocabulary, bias=False), head.weight = the table's"
        )
    if place is None:
        raise RuleError(
            f"{rule.name} needs a {why} of {precise(factor)} in the forward pass, but "
            f"{type(here[name]).__name__} {name or '(the model)'} is no layer that can carry it: "
            "use the same rule with its multipliers in init and LR, rule=hpt.without_multipliers(rule)"
        )
    had = found.get(name, Factor(name, 1.0, 1.0, why))
    on_input, on_output = (factor, 1.0) if place == "input" else (1.0, factor)
    found[name] = Factor(name, had.on_input * on_input, had.on_output * on_output, why)


def appliers(tensor: TensorRole, here: Mapping[str, nn.Module]) -> list[str]:
    """Modules that apply a tensor in its own role: its owner, and every further table that looks it up."""
    owner, *others = (name.rpartition(".")[0] for name in (tensor.name, *tensor.aliases))
    return [owner, *(other for other in others if isinstance(here[other], nn.Embedding))]


def tied_readouts(tensor: TensorRole, here: Mapping[str, nn.Module]) -> list[str]:
    """Modules that apply an embedding's tensor as a readout."""
    owners = [alias.rpartition(".")[0] for alias in tensor.aliases]
    return [owner for owner in owners if not isinstance(here[owner], nn.Embedding)]


def native_embeddings(pairing: Pairing) -> dict[str, float]:
    """By embedding module, how much more than the base's the model multiplies its rows by itself.

    The number stands on the table's module (Gemma, BioGPT, XGLM), or on one that holds the table of tokens
    (Pegasus, RecurrentGemma); a T5Gemma model's config says its width.
    """
    found = {}
    for name, module in pairing.modules.items():
        twin = pairing.base_modules.get(name)
        if not isinstance(module, nn.Embedding) or not isinstance(twin, nn.Embedding):
            continue
        width = module.embedding_dim / twin.embedding_dim
        ratio = _native_ratio(module, twin)
        holder = name.rpartition(".")[0]
        if ratio == 1.0 and not re.search(r"pos|type|segment", name.rpartition(".")[2]):
            here, there = pairing.modules[holder], pairing.base_modules.get(holder)
            ratio = 1.0 if there is None else _native_ratio(here, there)
        if ratio == 1.0 and _multiplies_by_width(pairing.modules[holder]):
            ratio = width**0.5
        if ratio != 1.0:
            found[name] = ratio
    return found


def _native_ratio(module: nn.Module, twin: nn.Module) -> float:
    for attribute in _EMBEDDING_SCALES:
        here, there = (_number_of(getattr(m, attribute, None)) for m in (module, twin))
        if here and there and not math.isclose(here, there, rel_tol=1e-6):
            return here / there
    return 1.0


def _number_of(value: object) -> float | None:
    """A number, also one in a tensor that is no weight."""
    if isinstance(value, torch.Tensor) and value.numel() == 1 and not value.is_meta:
        return float(value)
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _multiplies_by_width(module: nn.Module) -> bool:
    """Whether its code multiplies by sqrt(width) on the fly, as T5Gemma's and RecurrentGemma's does."""
    return type(module).__name__.startswith(("T5GemmaEncoder", "T5GemmaDecoder", "RecurrentGemmaModel"))


def _native_logits(model: nn.Module) -> float:
    """Exponent of width in what an architecture multiplies tied logits by (T5: width**-1/2)."""
    config = getattr(unwrapped(model), "config", None)
    return -0.5 if getattr(config, "scale_decoder_outputs", False) else 0.0


def _residual_ends(
    model: nn.Module, here: Mapping[str, nn.Module], given: Sequence[str], rule: Rule
) -> list[str]:
    """The last module of every residual branch, by pattern."""
    kind = getattr(getattr(unwrapped(model), "config", None), "model_type", None)
    patterns = tuple(given) or RESIDUAL_ENDS.get(str(kind), ())
    for pattern in given:
        matching(pattern, here, "a residual pattern must match a module")
    if not patterns:
        raise RuleError(
            f"{rule.name} scales residual branches by depth, but the last modules of this model's branches "
            "are not known: give residual=[patterns], such as ['blocks.*.attn.out', 'blocks.*.mlp.down']"
        )
    return [name for name in here if any(fnmatchcase(name, pattern) for pattern in patterns)]
