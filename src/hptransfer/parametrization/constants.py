"""Constants on learning rates, the same at every width: by role, or by pattern of names. No torch here."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase

from hptransfer.errors import RuleError
from hptransfer.parametrization.rule import ROLES, Role


def tensor_constants(
    tensors: Mapping[str, tuple[Role, tuple[str, ...]]], constants: Mapping[str, float]
) -> dict[str, float]:
    """The constant on each tensor's LR, by name; a tensor that no key fits has none.

    Args:
        tensors: role and further names of each tensor, by its name.
        constants: by role, or pattern (shell-style) of a tensor's name or of a layer's; the first match wins.

    Raises:
        RuleError: a key fits no tensor, or a constant is not positive and finite.
    """
    found: dict[str, float] = {}
    for key, value in constants.items():
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < float("inf"):
            raise RuleError(f"a factor must be positive and finite, but factors[{key!r}] is {value!r}")
        fits = [
            tensor
            for tensor, (role, others) in tensors.items()
            if key == role
            or any(fnmatchcase(name, key) or fnmatchcase(name, f"{key}.*") for name in (tensor, *others))
        ]
        if not fits:
            raise RuleError(
                f"a key of factors must be a role ({', '.join(ROLES)}) or a pattern of tensors or layers of "
                f"the model, but {key!r} fits none of {len(tensors)} tensors"
            )
        for tensor in fits:
            found.setdefault(tensor, float(value))
    return found
