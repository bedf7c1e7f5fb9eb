"""Constants on LR, decay and eps, the same at every width: by role, or by pattern of names. No torch here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from fnmatch import fnmatchcase

from hptransfer.errors import RuleError
from hptransfer.parametrization.rule import ROLES, Role
from hptransfer.words import plural

Factors = Mapping[str, float | Mapping[str, float]]  # by role or pattern: on LR, or on lr, weight_decay, eps


@dataclass(frozen=True)
class Constants:
    """A tensor's own constants, the same at every width."""

    lr: float = 1.0  # factor on its LR
    weight_decay: float = 1.0  # on lambda
    eps: float = 1.0  # on Adam's eps


NONE = Constants()


def tensor_constants(
    tensors: Mapping[str, tuple[Role, tuple[str, ...]]],
    constants: Factors,
) -> dict[str, Constants]:
    """The constants of each tensor, by name; a tensor that no key fits has none.

    Args:
        tensors: role and further names of each tensor, by its name.
        constants: by role, or pattern (shell-style) of a tensor's name or of a layer's, the factor on LR, or
            a mapping of factors on lr, weight_decay and eps; the first match wins.

    Raises:
        RuleError: a key fits no tensor, or a constant is not positive and finite (lambda's may be zero).
    """
    found: dict[str, Constants] = {}
    for key, value in constants.items():
        own = _constants(key, value)
        fits = [
            tensor
            for tensor, (role, others) in tensors.items()
            if key == role
            or any(fnmatchcase(name, key) or fnmatchcase(name, f"{key}.*") for name in (tensor, *others))
        ]
        if not fits:
            raise RuleError(
                f"a key of factors must be a role ({', '.join(ROLES)}) or a pattern of tensors or layers of "
                f"the model, but {key!r} fits none of {plural(len(tensors), 'tensor')}"
            )
        for tensor in fits:
            found.setdefault(tensor, own)
    return found


def _constants(key: str, value: float | Mapping[str, float]) -> Constants:
    given = value if isinstance(value, Mapping) else {"lr": value}
    valid = tuple(field.name for field in fields(Constants))
    for name, number in given.items():
        place = f"factors[{key!r}]" + f"[{name!r}]" * isinstance(value, Mapping)
        if name not in valid:
            raise RuleError(f"a factor must be on {', '.join(valid)}, but {place} is on {name!r}")
        is_number = isinstance(number, (int, float)) and not isinstance(number, bool)
        if not is_number or not (0 < number < float("inf") or (number == 0 and name == "weight_decay")):
            raise RuleError(f"a factor must be positive and finite, but {place} is {number!r}")
    return Constants(**{name: float(number) for name, number in given.items()})
