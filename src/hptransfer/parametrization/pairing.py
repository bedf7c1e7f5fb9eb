"""Two builds of one model, matched tensor by tensor: widths differ, depths may."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from torch import nn

from hptransfer.errors import RuleError
from hptransfer.parametrization.parameters import NamedParameter, modules, parameters, shape_of, unwrapped


@dataclass(frozen=True)
class Pairing:
    """A model's tensors and modules, by canonical name, and their counterparts in the base."""

    tensors: Mapping[str, NamedParameter]
    base_of: Mapping[str, NamedParameter]  # the base's counterpart of each tensor
    modules: Mapping[str, nn.Module]
    base_modules: Mapping[str, nn.Module]  # the base's counterparts, of the modules that have one
    in_blocks: frozenset[str]  # names of tensors inside repeated blocks, of a ModuleList or a Sequential
    outputs: frozenset[str]  # names of the weights of the model's declared output layer
    depth_ratio: float  # blocks / blocks of the base
    tied: bool = False  # whether some layer applies an embedding's tensor as a readout


def pair(model: nn.Module, base: nn.Module, *, same_width: bool = False) -> Pairing:
    """Matches the tensors of two builds by name, block by block where the depths differ.

    Two builds of the same width are fine with `same_width` alone: then roles come from elsewhere.

    Raises:
        RuleError: the two are not the same architecture, or nothing changes between them.
    """
    tensors, at_base = parameters(model), parameters(base)
    here, there = modules(model), modules(base)
    stacks, base_stacks = _stacks(here, there), _stacks(there, here)
    depth_ratio = _depth_ratio(stacks, base_stacks)
    base_name = {name: _to_base(name, base_stacks) for name in tensors}
    _check_names(at_base, base_name)
    base_of = {name: at_base[base_name[name]] for name in tensors}
    _check_dimensions(tensors, base_of, same_width)
    if depth_ratio != 1.0:
        _check_blocks(at_base, base_stacks)
    twins = {name: there.get(_to_base(name, base_stacks)) for name in here}
    return Pairing(
        tensors=tensors,
        base_of=base_of,
        modules=here,
        base_modules={name: twin for name, twin in twins.items() if twin is not None},
        in_blocks=frozenset(n for n in tensors if _stack_of(n, stacks) is not None),
        outputs=_outputs(model),
        depth_ratio=depth_ratio,
        tied=any(_is_tied(named, here) for named in tensors.values()),
    )


def _is_tied(named: NamedParameter, here: Mapping[str, nn.Module]) -> bool:
    owners = [here.get(alias.rpartition(".")[0]) for alias in named.aliases]
    return isinstance(named.module, nn.Embedding) and any(not isinstance(o, nn.Embedding) for o in owners)


def _stacks(here: Mapping[str, nn.Module], there: Mapping[str, nn.Module]) -> dict[str, int]:
    """Outermost lists of blocks by name, with their lengths in `here`; `there` is the other build.

    A list that has one length in both builds, of layers without parts, is no stack of blocks: such as heads.
    """
    found = {}
    for name, module in here.items():
        twin = there.get(name)
        if not isinstance(module, (nn.ModuleList, nn.Sequential)) or not len(module):
            continue
        deepens = isinstance(twin, (nn.ModuleList, nn.Sequential)) and len(twin) != len(module)
        children = list(module.children())  # a list may hold None where a part is left out
        alike = len({type(child) for child in children}) == 1
        parts = any(True for child in children for _ in child.children())
        several = len(module) > 1
        blocks = parts and (isinstance(module, nn.ModuleList) or (several and alike))
        if blocks or (deepens and alike):
            found[name] = len(module)
    return {n: length for n, length in found.items() if not any(n.startswith(f"{o}.") for o in found)}


def _stack_of(name: str, stacks: Mapping[str, int]) -> str | None:
    return next((stack for stack in stacks if name.startswith(f"{stack}.")), None)


def _depth_ratio(stacks: Mapping[str, int], base: Mapping[str, int]) -> float:
    if set(stacks) != set(base):
        return 1.0  # not the same architecture; the names will say so
    ratios = {stacks[name] / base[name] for name in stacks}
    if len(ratios) > 1:
        found = ", ".join(f"{name}: {base[name]} -> {stacks[name]}" for name in stacks)
        raise RuleError(f"every stack of blocks must deepen by one ratio, but got {found}")
    return ratios.pop() if ratios else 1.0


def _to_base(name: str, base_stacks: Mapping[str, int]) -> str:
    """The counterpart's name: block i of a deeper model is matched with block i mod the base's depth."""
    stack = _stack_of(name, base_stacks)
    if stack is None:
        return name
    index, dot, rest = name[len(stack) + 1 :].partition(".")
    return f"{stack}.{int(index) % base_stacks[stack]}{dot}{rest}" if index.isdigit() else name


def _check_names(base: Mapping[str, NamedParameter], base_name: Mapping[str, str]) -> None:
    # A shallower model uses only some of the base's blocks, so names are compared without their numbers.
    known = {_numberless(name) for name in base_name}
    some = [f"{name} only in the model" for name, there in base_name.items() if there not in base]
    unused = sorted(set(base) - set(base_name.values()))
    some += [f"{name} only in the base" for name in unused if _numberless(name) not in known]
    if some:
        more = f" and {len(some) - 3} more" if len(some) > 3 else ""
        raise RuleError(f"model and base must have the same tensors, but found {'; '.join(some[:3])}{more}")


def _numberless(name: str) -> str:
    return re.sub(r"\d+", "0", name)


def _check_dimensions(
    tensors: Mapping[str, NamedParameter], base_of: Mapping[str, NamedParameter], same_width: bool
) -> None:
    shapes = {n: (shape_of(t.parameter), shape_of(base_of[n].parameter)) for n, t in tensors.items()}
    for name, (shape, base) in shapes.items():
        if len(shape) != len(base):
            raise RuleError(
                f"a tensor must have as many dimensions in both builds, but {name} is {list(base)} in the "
                f"base and {list(shape)} in the model"
            )
    if not same_width and all(shape == base for shape, base in shapes.values()):
        raise RuleError(
            "model and base must differ in width, but every tensor has the same shape in both; for a model "
            "at the base width itself, give other=, a build at any other width"
        )


def _check_blocks(base: Mapping[str, NamedParameter], stacks: Mapping[str, int]) -> None:
    """Blocks of a base of another depth must be alike, else it is open which of them a new block follows."""
    seen: dict[str, tuple[int, ...]] = {}
    for name, named in base.items():
        stack = _stack_of(name, stacks)
        if stack is None:
            continue
        inner = name[len(stack) + 1 :].partition(".")[2]
        shape = shape_of(named.parameter)
        if seen.setdefault(f"{stack}.*.{inner}", shape) != shape:
            raise RuleError(
                f"blocks must be alike where depth changes, but {name} differs from the block before"
            )


def _outputs(model: nn.Module) -> frozenset[str]:
    """Weights of the output layer that a Hugging Face model declares."""
    get = getattr(unwrapped(model), "get_output_embeddings", None)
    layer = get() if callable(get) else None
    if not isinstance(layer, nn.Module):
        return frozenset()
    found = [name for name, module in modules(model).items() if module is layer]
    return frozenset(f"{name}.weight" for name in found)
