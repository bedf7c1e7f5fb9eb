"""Initial values that a rule cannot reach: constants that grow with width, weights held at one size."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch

from hptransfer.errors import RuleError
from hptransfer.parametrization.pairing import Pairing
from hptransfer.parametrization.parameters import NamedParameter
from hptransfer.parametrization.roles import TensorRole
from hptransfer.parametrization.rule import Rule
from hptransfer.words import precise

_POWERS = (-1.0, -0.5, 0.5, 1.0)  # of width, that a constant may be written to grow by
_HELD = ("_SpectralNorm", "_Orthogonal")  # torch's parametrizations that hold a weight at one size


def check_initial_values(tensors: Sequence[TensorRole], pairing: Pairing, rule: Rule, ratio: float) -> None:
    """Checks what a rule takes for granted of the values that tensors start from.

    Args:
        tensors: with their roles.
        pairing: of the model's tensors with the base's.
        rule: to be applied; the standard parametrization takes models as they are.
        ratio: m. Where the user gave a tensor its role, its value is taken to be meant.

    Raises:
        RuleError: a constant vector or scalar starts from another value than the base's, by a power of m; a
            readout or an embedding is held at one size by spectral normalisation; or the rule multiplies a
            trained copy of pretrained weights.
    """
    if rule.keeps_native_multipliers or ratio == 1.0:
        return
    for tensor in tensors:
        named, twin = pairing.tensors[tensor.name], pairing.base_of[tensor.name]
        if not named.parameter.requires_grad or tensor.reason.startswith("override"):
            continue
        if tensor.role in ("vector", "scalar"):
            _same_start(tensor, named.parameter, twin.parameter, ratio)
        elif is_trained_copy(named, pairing.tensors) and rule.roles[tensor.role].multiplier:
            raise RuleError(
                f"pretrained weights must keep their forward pass, but {rule.name} multiplies {tensor.name}, "
                "which is trained from a copy of them: use rule=hpt.without_multipliers(rule)"
            )
        elif tensor.role in ("embedding", "readout") and tensor.dimension is not None and _is_held(named):
            raise RuleError(
                f"a weight that is {tensor.role} must be free to change its size with width, but "
                f"{tensor.name} is held at one by spectral norm: leave it off this layer"
            )


def is_trained_copy(named: NamedParameter, tensors: Mapping[str, NamedParameter]) -> bool:
    """Whether it starts as a copy of frozen weights, as peft's `modules_to_save` do."""
    owner, saved, _ = named.name.partition(".modules_to_save.")
    original = tensors.get(f"{owner}.original_module.{named.attribute}") if saved else None
    if original is None or original.parameter.requires_grad or named.parameter.is_meta:
        return False
    return torch.equal(named.parameter.detach(), original.parameter.detach())


def _same_start(tensor: TensorRole, here: torch.Tensor, there: torch.Tensor, ratio: float) -> None:
    values = [_constant(weight) for weight in (here, there)]
    if None in values or not all(values):
        return
    here_value, base = (float(value or 0.0) for value in values)
    if any(math.isclose(here_value / base, ratio**power, rel_tol=1e-3) for power in _POWERS):
        raise RuleError(
            f"a {tensor.role} must start at one value at every width, since its LR does not know its size, "
            f"but {tensor.name} starts at {precise(base)} in the base and at {precise(here_value)} in the "
            "model: let the parameter start at one, and multiply by a plain number what grows; or, if it is "
            f"meant, say overrides={{{tensor.name!r}: {tensor.role!r}}}"
        )


def _constant(weight: torch.Tensor) -> float | None:
    """The one value of a tensor; None where there are several, or none to see."""
    if weight.is_meta or not weight.numel() or type(weight.data).__name__ == "DTensor":
        return None
    first = weight.detach().flatten()[0]
    return float(first) if bool((weight.detach() == first).all()) else None


def _is_held(named: NamedParameter) -> bool:
    """Whether what a layer applies is a tensor of one spectral norm, whatever that of this parameter is."""
    module, attribute = named.module, named.attribute.partition(".")[0]
    chain = getattr(getattr(module, "parametrizations", None), attribute, ())
    held = any(type(part).__name__ in _HELD for part in chain)
    return held or hasattr(module, f"{attribute.removesuffix('_orig')}_u")  # torch's older spectral_norm
