"""Attention scale: where a model keeps it, and what a rule asks it to be."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

import torch
from torch import nn

from hptransfer.errors import RuleError
from hptransfer.parametrization.hooks import AttentionSite
from hptransfer.parametrization.pairing import Pairing
from hptransfer.parametrization.parameters import matching
from hptransfer.parametrization.rule import Rule
from hptransfer.words import precise

SCALES = (
    *("scaling", "softmax_scale", "scale", "norm_factor"),
    *("inv_norm_factor", "scale_attn", "attn_scale", "qk_scale", "scaling_factor"),
)
HEAD_DIMS = (
    *("qk_head_dim", "head_dim", "attention_head_size", "head_size", "key_value_proj_dim", "d_head"),
    *("dim_head", "d_k"),
)
_HEADS = ("num_heads", "num_attention_heads", "n_heads", "n_head", "heads")
_WIDTHS = ("inner_dim", "all_head_size", "embed_dim", "hidden_size", "d_model", "n_embd")
_PROJECTIONS = {"qkv": 3, "q": 1, "q_proj": 1, "query": 1, "to_q": 1}  # layers, and how many maps each holds
_NAMED = re.compile(r"attention|attn|(^|[._])(qkv|q_proj|query)($|[._])", re.IGNORECASE)


def attention_sites(
    pairing: Pairing, rule: Rule, given: Mapping[str, str] | bool | None
) -> tuple[AttentionSite, ...]:
    """The scale of attention logits for every attention module: the base's x (head_dim / base's)**exponent.

    A scale that grows like sqrt(head_dim) is one that logits are divided by: it gets the inverse. Attention
    over frozen weights, as of a pretrained model under LoRA, keeps its scale.

    Args:
        pairing: of the model's modules with the base's.
        rule: whose `attention` exponent counts.
        given: None to find the modules; a mapping of module-name pattern -> attribute; False where the model
            has no attention, keeps its head dimension, or scales the logits itself.

    Raises:
        RuleError: the rule changes the attention scale of a module that keeps none to set.
    """
    if given is False:
        return ()
    here = pairing.modules
    found = _given(here, given) if isinstance(given, Mapping) else _found(here)
    sites = []
    for name, attribute in found.items():
        twin = pairing.base_modules.get(name)
        if twin is None:
            raise RuleError(f"every attention module must be in the base too, but {name} is not")
        if not any(weight.ndim > 1 and not weight.requires_grad for weight in here[name].parameters()):
            sites.append(_site(name, attribute, here[name], twin, rule))
    if given is None and rule.attention != -0.5:
        _nothing_missed(pairing, found, rule)
    return tuple(sites)


def known_heads(pairing: Pairing) -> frozenset[str]:
    """Names of the modules that are attention by their class and say their head dimension, or hold such."""
    return frozenset(name for name, module in pairing.modules.items() if is_attention(module))


def _site(name: str, attribute: str, module: nn.Module, twin: nn.Module, rule: Rule) -> AttentionSite:
    ratio = _head_ratio(module, twin, name)
    native, base = (_number(getattr(m, attribute)) for m in (module, twin))
    assert native is not None
    assert base is not None
    divides = _divides(native / base if base else 1.0, ratio, native, _head_dim(module))
    value = base * ratio ** (-rule.attention if divides else rule.attention)
    return AttentionSite(name, attribute, value, native, divides)


def _divides(grown: float, ratio: float, value: float, head_dim: float | None) -> bool:
    """Whether logits are divided by a scale: it grows with the head dimension, or is its root."""
    if ratio != 1.0 and not math.isclose(grown, 1.0):
        return (grown > 1) == (ratio > 1)
    return value > 1 and head_dim is not None and math.isclose(value, head_dim**0.5, rel_tol=1e-3)


def _given(here: Mapping[str, nn.Module], given: Mapping[str, str]) -> dict[str, str]:
    found = {}
    for pattern, attribute in given.items():
        for name in matching(pattern, here, "an attention pattern must match a module"):
            if _first_number(here[name], (attribute,)) is None:
                raise RuleError(f"{name}.{attribute} must be a number to scale attention logits by")
            found[name] = attribute
    return found


def _found(here: Mapping[str, nn.Module]) -> dict[str, str]:
    scales = {name: _first_number(module, SCALES) for name, module in here.items() if is_attention(module)}
    return {name: scale for name, scale in scales.items() if scale and _head_dim(here[name]) is not None}


def _nothing_missed(pairing: Pairing, found: Mapping[str, str], rule: Rule) -> None:
    """An attention module whose scale nobody sets is an error, unless its head dimension stays."""
    attention = {name: module for name, module in pairing.modules.items() if is_attention(module)}
    told = {name: pairing.base_modules.get(name) for name, m in attention.items() if _head_dim(m) is not None}
    stays = [name for name, twin in told.items() if twin and _head_dim(twin) == _head_dim(attention[name])]
    for name, module in attention.items():
        if not _covered(name, [*found, *stays]):
            raise RuleError(_unset(rule, f"{name} ({type(module).__name__})"))
    kinds = (type(module).__name__.lower() for module in pairing.modules.values())
    if not found and not any("attention" in kind or "attn" in kind for kind in kinds):
        named = next((name for name in pairing.tensors if _NAMED.search(name)), None)
        if named is not None:
            raise RuleError(_unset(rule, f"the attention that the model has by its tensor {named}"))


def _unset(rule: Rule, what: str) -> str:
    return (
        f"{rule.name} scales attention logits by head_dim**{precise(rule.attention)}, but {what} keeps no "
        f"scale to set (looked for {', '.join(SCALES[:4])} beside {', '.join(HEAD_DIMS[1:4])}): let it read "
        "one, and give attention={module pattern: attribute}; or attention=False where the head dimension "
        "stays or the model scales its logits by itself"
    )


def _covered(name: str, found: Sequence[str]) -> bool:
    """Whether it is a found module, or a wrapper around or a part of one."""
    return any(name == f or f.startswith(f"{name}.") or name.startswith(f"{f}.") for f in found)


def is_attention(module: nn.Module) -> bool:
    """By its class's name; RWKV's, which keeps no logits, by the gate that it has instead."""
    name = type(module).__name__.lower()
    return ("attention" in name or "attn" in name) and not hasattr(module, "receptance")


def _head_dim(module: nn.Module) -> float | None:
    attribute = _first_number(module, HEAD_DIMS)
    if attribute is not None:
        return _number(getattr(module, attribute))
    heads, width = _first_number(module, _HEADS), _first_number(module, _WIDTHS)
    if heads is None:
        return None
    if width is not None:
        return float(getattr(module, width)) / float(getattr(module, heads))
    for name, parts in _PROJECTIONS.items():
        if isinstance(layer := getattr(module, name, None), nn.Linear):
            return layer.out_features / parts / float(getattr(module, heads))
    return None


def _head_ratio(module: nn.Module, twin: nn.Module, name: str) -> float:
    here, there = _head_dim(module), _head_dim(twin)
    if here is None or there is None:
        raise RuleError(
            f"{name} must say its head dimension, as one of {', '.join(HEAD_DIMS)}, to have its scale set"
        )
    return here / there


def _first_number(module: nn.Module, attributes: Sequence[str]) -> str | None:
    """The first of the attributes that is a number, or a tensor of one that is no weight."""
    return next((name for name in attributes if _number(getattr(module, name, None)) is not None), None)


def _number(value: object) -> float | None:
    if isinstance(value, torch.Tensor) and not isinstance(value, nn.Parameter) and value.numel() == 1:
        return None if value.is_meta else float(value)
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None
