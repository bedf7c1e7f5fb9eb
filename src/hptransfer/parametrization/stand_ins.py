"""Stand-ins that a forward pass reads in place of factors and, inside their layers, of weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from hptransfer.parametrization.hooks import Factored
from hptransfer.parametrization.parameters import parameters
from hptransfer.parametrization.plan import ModelPlan


class StandIns:
    """Stand-ins of factors and, inside their layers, of weights, for one forward pass."""

    def __init__(self, plan: ModelPlan, model: nn.Module, here: Mapping[str, nn.Module]) -> None:
        self.weights = {name: named.parameter for name, named in parameters(model).items()}
        self.factors: dict[tuple[str, str], Tensor] = {}  # by module and attribute
        self.within: dict[
            str, list[tuple[str, Tensor, Tensor]]
        ] = {}  # by module: attribute, weight, stand-in
        self.table_of: dict[int, str] = {}  # name of an embedding's tensor, by id of its weight or stand-in
        self._here, self._plan = here, plan
        for tensor in plan.tensors:
            weight = self.weights[tensor.name]
            if tensor.frozen or type(weight.data).__name__ == "DTensor":
                continue  # FSDP2 swaps weights by itself
            stand_in = weight.detach().requires_grad_()
            for name in (tensor.name, *tensor.tensor.aliases):
                owner, _, attribute = name.rpartition(".")
                if here[owner]._parameters.get(attribute) is weight if owner in here else False:
                    self.within.setdefault(owner, []).append((attribute, weight, stand_in))
            if tensor.role == "embedding":
                self.table_of |= {id(weight): tensor.name, id(stand_in): tensor.name}

    def __enter__(self) -> None:
        for factor in self._plan.factors:
            module = self._here[factor.module]
            for attribute in ("factor_on_input", "factor_on_output"):
                if isinstance(module, Factored) and isinstance(value := getattr(module, attribute), float):
                    self.factors[factor.module, attribute] = torch.tensor(value, device=_device(module))
                    setattr(module, attribute, self.factors[factor.module, attribute])

    def __exit__(self, *_error: object) -> None:
        for (name, attribute), value in self.factors.items():
            setattr(self._here[name], attribute, float(value.double()))
        for factor in self._plan.factors:  # as they were, to the last digit
            module = self._here[factor.module]
            if (factor.module, "factor_on_input") in self.factors:
                module.factor_on_input = factor.on_input  # type: ignore[assignment]
            if (factor.module, "factor_on_output") in self.factors:
                module.factor_on_output = factor.on_output  # type: ignore[assignment]
        for name in self.within:
            self.leave(name, self._here[name])

    def enter(self, name: str, module: nn.Module) -> None:
        """The layer is about to run: it reads the stand-ins."""
        for attribute, _, stand_in in self.within.get(name, ()):
            module._parameters[attribute] = stand_in  # type: ignore[assignment]

    def leave(self, name: str, module: nn.Module) -> None:
        """The layer has run."""
        for attribute, weight, _ in self.within.get(name, ()):
            module._parameters[attribute] = weight  # type: ignore[assignment]

    def is_factor(self, value: Any) -> bool:
        """Whether it is one of the rule's factors."""
        return any(value is factor for factor in self.factors.values())


def _device(module: nn.Module) -> torch.device:
    return next((p.device for p in module.parameters()), torch.device("cpu"))
