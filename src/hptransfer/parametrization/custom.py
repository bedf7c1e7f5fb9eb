"""A user's own rule, from YAML or a mapping; validated, with one line for what is wrong. No torch here."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Mapping
from dataclasses import fields
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

from hptransfer.errors import RuleError, one_of
from hptransfer.parametrization.coordinates import COORDINATES
from hptransfer.parametrization.optimizers import FAMILIES, Family
from hptransfer.parametrization.rule import ROLES, Exponents, Ramp, Role, Rule
from hptransfer.parametrization.rule_arithmetic import get_rule, in_coordinates

SETTINGS = tuple(field.name for field in fields(Exponents))
KEYS = (
    "name",
    "like",
    "source",
    "optimizer",
    "coordinates",
    "roles",
    "attention",
    "tied",
    "residual",
    "depth",
    "ramps",
)


def as_rule(rule: Rule | str | Path | Mapping[str, Any], optimizer: Family = "adam") -> Rule:
    """A rule from a rule, a catalogue name, a mapping, or the path of a YAML file (.yaml, .yml).

    Raises:
        RuleError: the rule is unknown or malformed, or is for the other family of optimizers.
    """
    if isinstance(rule, Mapping):
        rule = rule_from({"optimizer": optimizer, **rule})
    elif isinstance(rule, Path) or (isinstance(rule, str) and rule.endswith((".yaml", ".yml"))):
        rule = load_rule(Path(rule), optimizer)
    elif isinstance(rule, str):
        rule = get_rule(rule, optimizer)
    elif not isinstance(rule, Rule):
        raise RuleError(f"a rule must be a Rule, a name, a mapping or a YAML file, but got {rule!r}")
    if rule.optimizer != optimizer:
        raise RuleError(
            f"the rule must be for the optimizer, but {rule.name} is for {rule.optimizer}, not {optimizer}"
        )
    return rule


def load_rule(path: Path, optimizer: Family = "adam") -> Rule:
    """The rule in a YAML file; `optimizer` counts where the file does not name one.

    Raises:
        RuleError: the file cannot be read, is not a mapping, or `rule_from` refuses it.
    """
    import yaml

    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = " ".join(str(getattr(error, "strerror", None) or error).split())
        raise RuleError(f"cannot read a rule from {path}: {reason}") from None
    if not isinstance(data, Mapping):
        raise RuleError(f"{path} must hold a mapping with `roles`, but holds {type(data).__name__}")
    return rule_from({"name": path.stem, "optimizer": optimizer, **data})


def rule_from(data: Mapping[str, Any]) -> Rule:
    """A rule from plain data.

    Args:
        data: keys `name`; `roles`, a mapping role -> {init, multiplier, lr, weight_decay, eps}, exponents of
            m, zero where not given; `like`, a catalogue rule to start from (then only what differs need be
            given); `optimizer` (adam, sgd), `coordinates` (sp, mup), `attention`, `tied`, `residual`,
            `depth` (as `roles`, exponents of the depth ratio), `source`; `ramps`, a mapping role ->
            {exponent, begin, end}: LR x m**exponent at the end of training, see `Ramp`.

    Raises:
        RuleError: a key, role or value is not valid.
    """
    _known(data, KEYS, "a rule")
    family = cast(Family, one_of(data.get("optimizer", "adam"), FAMILIES, "optimizer", RuleError))
    base = get_rule(str(data["like"]), family) if "like" in data else None
    if base is None and "roles" not in data:
        raise RuleError(f"a rule must have `roles` or `like`, but got {', '.join(data) or 'nothing'}")
    coordinates = base.coordinates if base else "mup"
    if "coordinates" in data:
        coordinates = cast(Any, one_of(data["coordinates"], COORDINATES, "coordinates", RuleError))
    if base is not None:
        base = in_coordinates(base, coordinates)
    roles: dict[Role, Exponents] = dict(base.roles) if base else {role: Exponents() for role in ROLES}
    depth: dict[Role, Exponents] = dict(base.depth) if base else {}
    roles |= _roles(data.get("roles", {}), "roles", roles)
    depth |= _roles(data.get("depth", {}), "depth", depth)
    residual = _number(data.get("residual", base.residual if base else 0.0), "residual")
    tied = data.get("tied", base.tied if base else None)
    return Rule(
        name=str(data.get("name", "custom")),
        roles=MappingProxyType(roles),
        attention=_number(data.get("attention", base.attention if base else -0.5), "attention"),
        coordinates=coordinates,
        source=str(data.get("source", "the user's own")),
        optimizer=family,
        lr_exponent=base.lr_exponent if base else 0.0,
        tied=None if tied is None else _number(tied, "tied"),
        residual=residual,
        depth=MappingProxyType(depth),
        ramps=MappingProxyType({**(base.ramps if base else {}), **_ramps(data.get("ramps", {}))}),
        scales_depth=bool(base and base.scales_depth) or "depth" in data or "residual" in data,
    )


def _roles(data: Any, place: str, before: Mapping[Role, Exponents]) -> dict[Role, Exponents]:
    if not isinstance(data, Mapping):
        raise RuleError(f"{place} must be a mapping of roles, but got {data!r}")
    _known(data, ROLES, place)
    found: dict[Role, Exponents] = {}
    for role, settings in data.items():
        if not isinstance(settings, Mapping):
            raise RuleError(f"{place}.{role} must be a mapping of exponents, but got {settings!r}")
        _known(settings, SETTINGS, f"{place}.{role}")
        start = before.get(role, Exponents())
        values = {s: getattr(start, s) for s in SETTINGS}
        found[role] = Exponents(
            **(values | {s: _number(v, f"{place}.{role}.{s}") for s, v in settings.items()})
        )
    return found


def _ramps(data: Any) -> dict[Role, Ramp]:
    if not isinstance(data, Mapping):
        raise RuleError(f"ramps must be a mapping of roles, but got {data!r}")
    _known(data, ROLES, "ramps")
    found: dict[Role, Ramp] = {}
    for role, settings in data.items():
        if not isinstance(settings, Mapping) or "exponent" not in settings:
            raise RuleError(f"ramps.{role} must be a mapping with `exponent`, but got {settings!r}")
        _known(settings, ("exponent", "begin", "end"), f"ramps.{role}")
        ramp = Ramp(**{key: _number(value, f"ramps.{role}.{key}") for key, value in settings.items()})
        if not 0 <= ramp.begin < ramp.end <= 1:
            raise RuleError(
                f"0 <= begin < end <= 1 must hold, but ramps.{role} has {ramp.begin:g} and {ramp.end:g}"
            )
        found[role] = ramp
    return found


def _known(data: Mapping[Any, Any], valid: Iterable[str], place: str) -> None:
    valid = tuple(valid)
    for key in data:
        if key not in valid:
            close = difflib.get_close_matches(str(key), valid, n=1)
            hint = f" (did you mean {close[0]!r}?)" if close else ""
            raise RuleError(f"{place} must have known keys, but got {key!r}{hint}; valid: {', '.join(valid)}")


def _number(value: Any, place: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise RuleError(f"{place} must be a finite number, but got {value!r}")
    return float(value)
