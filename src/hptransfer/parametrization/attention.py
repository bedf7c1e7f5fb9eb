"""Attention scale: where a model keeps it, and what a rule asks it to be."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from torch import nn

from hptransfer.errors import RuleError
from hptransfer.parametrization.hooks import AttentionSite
from hptransfer.parametrization.pairing import Pairing
from hptransfer.parametrization.parameters import matching
from hptransfer.parametrization.rule import Rule

SCALES = ("scaling", "softmax_scale", "scale", "norm_factor")
HEAD_DIMS = ("head_dim", "attention_head_size", "head_size", "key_value_proj_dim", "d_head", "dim_head")
_NAMED = re.compile(r"attention|attn|(^|[._])(qkv|q_proj|query)($|[._])", re.IGNORECASE)


def attention_sites(
    pairing: Pairing, rule: Rule, given: Mapping[str, str] | bool | None
) -> tuple[AttentionSite, ...]:
    """The scale of attention logits for every attention module: the base's x (head_dim / base's)**exponent.

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
        value = float(getattr(twin, attribute)) * _head_ratio(here[name], twin, name) ** rule.attention
        sites.append(AttentionSite(name, attribute, value))
    if given is None and rule.attention != -0.5:
        _nothing_missed(pairing, found, rule)
    return tuple(sites)


def _given(here: Mapping[str, nn.Module], given: Mapping[str, str]) -> dict[str, str]:
    found = {}
    for pattern, attribute in given.items():
        for name in matching(pattern, here, "an attention pattern must match a module"):
            if _first_number(here[name], (attribute,)) is None:
                raise RuleError(f"{name}.{attribute} must be a number to scale attention logits by")
            found[name] = attribute
    return found


def _found(here: Mapping[str, nn.Module]) -> dict[str, str]:
    scales = {name: _first_number(module, SCALES) for name, module in here.items() if _is_attention(module)}
    return {name: scale for name, scale in scales.items() if scale and _head_dim(here[name]) is not None}


def _nothing_missed(pairing: Pairing, found: Mapping[str, str], rule: Rule) -> None:
    """An attention module whose scale nobody sets is an error, unless its head dimension stays."""
    attention = {name: module for name, module in pairing.modules.items() if _is_attention(module)}
    for name, module in attention.items():
        twin, head_dim = pairing.base_modules.get(name), _head_dim(module)
        stays = twin is not None and head_dim is not None and head_dim == _head_dim(twin)
        if not stays and not _covered(name, found):
            raise RuleError(_unset(rule, f"{name} ({type(module).__name__})"))
    if not found and not attention:
        named = next((name for name in pairing.tensors if _NAMED.search(name)), None)
        if named is not None:
            raise RuleError(_unset(rule, f"the model, by its tensor {named}, has attention but no module"))


def _unset(rule: Rule, what: str) -> str:
    return (
        f"{rule.name} scales attention logits by head_dim**{rule.attention:g}, but {what} keeps no scale to "
        f"set (looked for {', '.join(SCALES)} beside {', '.join(HEAD_DIMS[:3])}): let it read one, and give "
        "attention={module pattern: attribute}; or attention=False where the head dimension stays or the "
        "model scales its logits by itself"
    )


def _covered(name: str, found: Mapping[str, str]) -> bool:
    """Whether it is a found module, or a wrapper around or a part of one."""
    return any(name == f or f.startswith(f"{name}.") or name.startswith(f"{f}.") for f in found)


def _is_attention(module: nn.Module) -> bool:
    return "attention" in type(module).__name__.lower() or "attn" in type(module).__name__.lower()


def _head_dim(module: nn.Module) -> float | None:
    attribute = _first_number(module, HEAD_DIMS)
    return None if attribute is None else float(getattr(module, attribute))


def _head_ratio(module: nn.Module, twin: nn.Module, name: str) -> float:
    here, there = _head_dim(module), _head_dim(twin)
    if here is None or there is None:
        raise RuleError(
            f"{name} must say its head dimension, as one of {', '.join(HEAD_DIMS)}, to have its scale set"
        )
    return here / there


def _first_number(module: nn.Module, attributes: Sequence[str]) -> str | None:
    """The first of the attributes that is a number."""
    for attribute in attributes:
        value = getattr(module, attribute, None)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return attribute
    return None
