"""What a live optimizer does with a group: which registered optimizer it acts as, or why it is refused.

Told from the class (or one it derives from) and from the group's own keys; no torch here. An optimizer that
is not known says it itself: `optimizer.acts_as = "adamw"`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hptransfer.parametrization.optimizers import OPTIMIZERS, MuonAdjust

_RATIO = "its step is LR x the size of the weight, which has a width rule of its own"
_PRECONDITIONED = "its preconditioned step has a width rule of its own"
_OWN_LR = "it estimates the LR by itself"
REFUSED = {  # by a word of the class's name, in lower case
    "lamb": _RATIO,
    "lars": _RATIO,
    "fromage": _RATIO,
    "novograd": _RATIO,
    "soap": _PRECONDITIONED,
    "shampoo": _PRECONDITIONED,
    "kfac": _PRECONDITIONED,
    "psgd": _PRECONDITIONED,
    "prodigy": _OWN_LR,
    "dadapt": _OWN_LR,
    "mechanic": _OWN_LR,
}
# What low-precision, schedule-free and other versions put around the published names.
_AROUND = re.compile(
    r"^_|^(paged|fused|deepspeedcpu|cpu|distributed|dist|single_?device|lb)+|(8|4)bit|32bit|fp8|schedulefree\w*",
    re.I,
)
_NAMES = {
    "adamw": "adamw",
    "adam": "adam",
    "radam": "adam",
    "nadam": "adam",
    "adan": "adamw",
    "stableadamw": "adamw",
    "adabelief": "adamw",
    "sgd": "sgd",
    "sgdw": "sgd",
    "lion": "lion",
    "muon": "muon",
    "muonwithauxadam": "muon",
    "moonmuon": "muon",
    "normuon": "muon",
    "dion": "muon",
    "dion2": "muon",
    "adafactor": "adafactor",
}

# Keys for the length of Muon's update, and what each calls an update as long as Adam's, ~ sqrt(longer side).
_LONG = {"adjust_lr_fn": "match_rms_adamw", "adjust_lr": "rms_norm", "scale_mode": "spectral"}


@dataclass(frozen=True)
class ActsAs:
    """What an optimizer does with one group's tensors."""

    name: str | None  # of the registry; None where it is refused
    why: str = ""  # it is refused, for people
    adjust: MuonAdjust | None = None  # how long Muon's update is; None under another


def acting_as(optimizer: Any, group: Mapping[str, Any], parameter: Any = None) -> ActsAs:
    """What a live optimizer does with the tensors of a group, or with one of them."""
    title = type(optimizer).__name__
    said = getattr(optimizer, "acts_as", None)
    if said is not None:
        if said in OPTIMIZERS:
            return _muon(optimizer, group) if said == "muon" else ActsAs(said)
        return ActsAs(None, f"acts_as must be one of {', '.join(OPTIMIZERS)}, but is {said!r}")
    for kind in type(optimizer).__mro__:
        word = kind.__name__.lower()
        if (reason := next((REFUSED[w] for w in REFUSED if w in word), None)) is not None:
            return ActsAs(None, f"{title} is not supported: {reason}")
        found = _NAMES.get(_AROUND.sub("", word))
        if found is not None:
            return _resolved(found, optimizer, group, parameter)
    return ActsAs(
        None, f'{title} is not known; say what it acts as: optimizer.acts_as = "adamw" (or {_others()})'
    )


def _others() -> str:
    return ", ".join(name for name in OPTIMIZERS if name != "adamw")


def _resolved(name: str, optimizer: Any, group: Mapping[str, Any], parameter: Any) -> ActsAs:
    if name == "muon":
        return _muon(optimizer, group, parameter)
    if name == "adafactor":
        return _adafactor(optimizer, group)
    if name == "adam" and _decoupled(optimizer, group):
        return ActsAs("adamw")
    return ActsAs(name)


def _decoupled(optimizer: Any, group: Mapping[str, Any]) -> bool:
    """Whether an Adam takes decay off the weight: by a flag, as bitsandbytes' do, or schedule-free ones."""
    flags = (getattr(optimizer, key, False) for key in ("adam_w_mode", "adamw_mode", "is_adamw"))
    names = " ".join(f"{kind.__module__}.{kind.__name__}".lower() for kind in type(optimizer).__mro__)
    return (
        bool(group.get("decoupled_weight_decay", False))
        or any(bool(flag) for flag in flags)
        or "bitsandbytes" in names
        or "schedulefree" in names
    )


def _adafactor(optimizer: Any, group: Mapping[str, Any]) -> ActsAs:
    """As Adam where neither the weight's size nor its own schedule is in the step, as transformers allows."""
    if group.get("scale_parameter", True) or group.get("relative_step", False):
        return ActsAs(
            None,
            f"{type(optimizer).__name__} is not supported: {_RATIO}; use transformers' with "
            "scale_parameter=False, relative_step=False",
        )
    return ActsAs("adamw")


def _muon(optimizer: Any, group: Mapping[str, Any], parameter: Any = None) -> ActsAs:
    """Muon, or what a class of Muon and another optimizer does with this group: by its own key."""
    state = getattr(optimizer, "state", {})
    own = state.get(parameter, {}) if parameter is not None and hasattr(state, "get") else {}
    beside = "adamw"
    algorithm = group.get("algorithm", own.get("algorithm"))
    if algorithm is not None and str(algorithm) not in ("muon", "dion", "dion2", "normuon"):
        known = str(algorithm) if str(algorithm) in OPTIMIZERS else None
        return ActsAs(known, "" if known else f"algorithm {algorithm!r} is not known")
    if not group.get("use_muon", own.get("use_muon", True)):
        return ActsAs(beside)
    return ActsAs("muon", adjust=_adjust(optimizer, group))


def _adjust(optimizer: Any, group: Mapping[str, Any]) -> MuonAdjust:
    """How long the class makes its update, by the key that it has for it: torch's, Dion's, Megatron's.

    A class without one is Keller Jordan's, which ignores such a key where a group has it.
    """
    known = getattr(optimizer, "defaults", {})
    for key, long in _LONG.items():
        own = getattr(optimizer, key, None)
        if callable(own):  # Moonlight's method: 0.2 sqrt(longer side)
            return "match_rms_adamw"
        if key in known or own is not None:
            return "match_rms_adamw" if group.get(key, own) == long else "original"
    return "original"
