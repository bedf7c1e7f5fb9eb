"""A user's own rule, from YAML or a mapping; validated, with one line for what is wrong. No torch here."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, cast

from hptransfer.errors import RuleError, one_of
from hptransfer.files import read_regular
from hptransfer.parametrization.coordinates import COORDINATES, Coordinates
from hptransfer.parametrization.optimizers import FAMILIES, Family
from hptransfer.parametrization.rule import ROLES, Exponents, Ramp, Role, Rule
from hptransfer.parametrization.rule_arithmetic import did_you_mean, get_rule, in_coordinates
from hptransfer.plain_yaml import read_yaml
from hptransfer.words import precise

MAX_BYTES = 1 << 20  # of a file with a rule
SETTINGS = tuple(field.name for field in fields(Exponents))
KEYS = (
    *("name", "like", "source", "optimizer", "coordinates", "roles"),
    *("attention", "tied", "residual", "depth", "ramps"),
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
    try:
        data = read_yaml(read_regular(path, MAX_BYTES))
    except (OSError, ValueError) as error:
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
    if not data.keys() & {"roles", "like"}:
        raise RuleError(f"a rule must have `roles` or `like`, but got {', '.join(data) or 'nothing'}")
    like = get_rule(str(data["like"]), family) if "like" in data else None
    given = data.get("coordinates", like.coordinates if like else "mup")
    coordinates = cast(Coordinates, one_of(given, COORDINATES, "coordinates", RuleError))
    nothing = {role: Exponents() for role in ROLES}
    start = in_coordinates(like, coordinates) if like else Rule("", nothing, coordinates=coordinates)
    tied = data.get("tied", start.tied)
    return replace(
        start,
        name=str(data.get("name", "custom")),
        roles={**start.roles, **_exponents(data, "roles", start.roles)},
        attention=_number(data.get("attention", start.attention), "attention"),
        coordinates=coordinates,
        source=str(data.get("source", "the user's own")),
        optimizer=family,
        tied=None if tied is None else _number(tied, "tied"),
        residual=_number(data.get("residual", start.residual), "residual"),
        depth={**start.depth, **_exponents(data, "depth", start.depth)},
        ramps={**start.ramps, **_ramps(data)},
        keeps_native_multipliers=False,
        scales_depth=start.scales_depth or "depth" in data or "residual" in data,
    )


def _exponents(data: Mapping[str, Any], key: str, before: Mapping[Role, Exponents]) -> dict[Role, Exponents]:
    found = _by_role(data.get(key, {}), key, SETTINGS)
    return {role: replace(before.get(role, Exponents()), **values) for role, values in found.items()}


def _ramps(data: Mapping[str, Any]) -> dict[Role, Ramp]:
    found = _by_role(data.get("ramps", {}), "ramps", ("exponent", "begin", "end"), required="exponent")
    ramps = {role: Ramp(**values) for role, values in found.items()}
    for role, ramp in ramps.items():
        if not 0 <= ramp.begin < ramp.end <= 1:
            raise RuleError(
                f"0 <= begin < end <= 1 must hold, but ramps.{role} has "
                f"{precise(ramp.begin)} and {precise(ramp.end)}"
            )
    return ramps


def _by_role(
    data: Any, place: str, valid: Sequence[str], required: str | None = None
) -> dict[Role, dict[str, float]]:
    """Numbers by role and setting, checked; `place` is where they stand, for messages."""
    if not isinstance(data, Mapping):
        raise RuleError(f"{place} must be a mapping of roles, but got {data!r}")
    _known(data, ROLES, place)
    found: dict[Role, dict[str, float]] = {}
    for role, settings in data.items():
        if not isinstance(settings, Mapping) or (required and required not in settings):
            what = f"with `{required}`" if required else "of exponents"
            raise RuleError(f"{place}.{role} must be a mapping {what}, but got {settings!r}")
        _known(settings, valid, f"{place}.{role}")
        found[role] = {key: _number(value, f"{place}.{role}.{key}") for key, value in settings.items()}
    return found


def _known(data: Mapping[Any, Any], valid: Sequence[str], place: str) -> None:
    for key in data:
        if key not in valid:
            raise RuleError(
                f"{place} must have known keys, but got {key!r}{did_you_mean(str(key), valid)}; "
                f"valid: {', '.join(valid)}"
            )


def _number(value: Any, place: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise RuleError(f"{place} must be a finite number, but got {value!r}")
    return float(value)
