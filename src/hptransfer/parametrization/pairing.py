"""Two builds of one model, matched tensor by tensor: widths differ, or depths, or both."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
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
    depth_ratios: Mapping[str, float]  # blocks / blocks of the base, by stack
    depth_ratio: float  # the same of all blocks together
    is_one_width: bool = False  # whether no tensor has another shape than the base's
    experts: frozenset[tuple[int, int]] = (
        frozenset()
    )  # numbers of experts here and in the base, if they differ
    tied: bool = False  # whether some layer applies an embedding's tensor as a readout

    def is_in_stack(self, name: str) -> bool:
        """Whether a tensor or module is in a stack of blocks whose length is the model's depth."""
        return _stack_of(name, self.depth_ratios) is not None

    def depth_of(self, name: str) -> float:
        """Blocks / blocks of the base in the stack that a tensor or module is in; one outside of all."""
        stack = _stack_of(name, self.depth_ratios)
        return 1.0 if stack is None else self.depth_ratios[stack]


def pair(model: nn.Module, base: nn.Module, *, same_width: bool = False) -> Pairing:
    """Matches the tensors of two builds by name, block by block where the depths differ.

    Two builds of the same width and depth are fine with `same_width` alone: roles then come from elsewhere.

    Raises:
        RuleError: the two are not the same architecture, or nothing changes between them.
    """
    tensors, at_base = parameters(model), parameters(base)
    here, there = modules(model), modules(base)
    stacks, in_blocks = _stacks(here, there)
    base_stacks, _ = _stacks(there, here)
    follows = {} if set(stacks) != set(base_stacks) else _follows(tensors, at_base, stacks, base_stacks)
    experts = _experts(there)
    base_name = {name: _to_base(name, follows, experts) for name in tensors}
    _check_names(at_base, base_name)
    base_of = {name: at_base[base_name[name]] for name in tensors}
    depth_ratios = {name: stacks[name] / base_stacks[name] for name in follows}
    numbers = _numbers_of_experts(base_of, tensors, _experts(here), experts, follows)
    grows_apart = bool(numbers) or any(ratio != 1.0 for ratio in depth_ratios.values())
    is_one_width = _check_dimensions(tensors, base_of, same_width or grows_apart, numbers)
    twins = {name: there.get(_to_base(name, follows, experts)) for name in here}
    return Pairing(
        tensors=tensors,
        base_of=base_of,
        modules=here,
        base_modules={name: twin for name, twin in twins.items() if twin is not None},
        in_blocks=frozenset(n for n in tensors if _stack_of(n, in_blocks) is not None),
        outputs=_outputs(model),
        depth_ratios=depth_ratios,
        depth_ratio=sum(stacks.values()) / sum(base_stacks.values()) if follows else 1.0,
        is_one_width=is_one_width,
        experts=numbers,
        tied=any(_is_tied(named, here) for named in tensors.values()),
    )


def _is_tied(named: NamedParameter, here: Mapping[str, nn.Module]) -> bool:
    owners = [here.get(alias.rpartition(".")[0]) for alias in named.aliases]
    return isinstance(named.module, nn.Embedding) and any(not isinstance(o, nn.Embedding) for o in owners)


def _stacks(
    here: Mapping[str, nn.Module], there: Mapping[str, nn.Module]
) -> tuple[dict[str, int], frozenset[str]]:
    """Lists of blocks whose lengths are the model's depth, with their lengths, and all outermost ones.

    `there` is the other build. A list that has one length in both builds, of layers without parts, is no
    stack of blocks: such as heads. A list of as many stages in both builds (Swin, ConvNeXt) gives way to the
    lists of blocks within it where their lengths differ.
    """
    found, deepening = {}, set()
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
            deepening |= {name} if deepens and not _is_experts(name) else set()
    stages = {n for n in found if n not in deepening and any(d.startswith(f"{n}.") for d in deepening)}
    deep = {n: found[n] for n in found if n not in stages and not _is_experts(n)}
    return _outermost(deep), frozenset(_outermost(found))


def _is_experts(name: str) -> bool:
    """Whether a list is one of experts, side by side, by its name."""
    return "expert" in name.rpartition(".")[2].lower()


def _experts(here: Mapping[str, nn.Module]) -> dict[str, int]:
    """Lists of experts by name, with their lengths."""
    return {n: len(m) for n, m in here.items() if isinstance(m, nn.ModuleList) and _is_experts(n) and len(m)}


def _numbers_of_experts(
    base_of: Mapping[str, NamedParameter],
    tensors: Mapping[str, NamedParameter],
    experts: Mapping[str, int],
    at_base: Mapping[str, int],
    follows: Mapping[str, list[int]],
) -> frozenset[tuple[int, int]]:
    """Pairs (number here, in the base) that differ, of lists of experts and of stacks of their matrices."""
    pairs = {
        (n, at_base.get(_to_base(f"{name}.", follows, {}).rstrip("."), n)) for name, n in experts.items()
    }
    for name, named in tensors.items():
        if named.parameter.ndim == 3 and ("Expert" in type(named.module).__name__ or "expert" in name):
            pairs.add((shape_of(named.parameter)[0], shape_of(base_of[name].parameter)[0]))
    return frozenset((here, there) for here, there in pairs if here != there)


def _outermost(lists: Mapping[str, int]) -> dict[str, int]:
    return {n: length for n, length in lists.items() if not any(n.startswith(f"{o}.") for o in lists)}


def _stack_of(name: str, stacks: Iterable[str]) -> str | None:
    return next((stack for stack in stacks if name.startswith(f"{stack}.")), None)


def _follows(
    tensors: Mapping[str, NamedParameter],
    at_base: Mapping[str, NamedParameter],
    stacks: Mapping[str, int],
    base_stacks: Mapping[str, int],
) -> dict[str, list[int]]:
    """By stack, the base's block that each block follows.

    Where the depths differ, a block follows one of its own kind: those of one kind in turn. Kinds are told by
    the shapes of a block's tensors, and matched in the order in which they first come.
    """
    found = {}
    for stack, length in stacks.items():
        if length == base_stacks[stack]:
            found[stack] = list(range(length))
            continue
        kinds, base_kinds = (
            _kinds(at, stack, n) for at, n in ((tensors, length), (at_base, base_stacks[stack]))
        )
        if max(kinds) > max(base_kinds):
            raise RuleError(
                f"blocks must be alike where depth changes, or of the kinds that the base has, but {stack} "
                f"has {max(kinds) + 1} kinds of blocks, by the shapes in them, and the base's has "
                f"{max(base_kinds) + 1}"
            )
        of_kind = [[i for i, kind in enumerate(base_kinds) if kind == k] for k in range(max(base_kinds) + 1)]
        found[stack] = [
            of_kind[kind][kinds[:i].count(kind) % len(of_kind[kind])] for i, kind in enumerate(kinds)
        ]
    return found


def _kinds(tensors: Mapping[str, NamedParameter], stack: str, length: int) -> list[int]:
    """Of each block, which kind it is: 0 for the first, the next number for one unlike all before."""
    blocks: list[set[tuple[str, tuple[int, ...]]]] = [set() for _ in range(length)]
    for named in tensors.values():
        for name in (named.name, *named.aliases):
            index, _, inner = name.removeprefix(f"{stack}.").partition(".")
            if name.startswith(f"{stack}.") and index.isdigit():
                blocks[int(index)].add((inner, shape_of(named.parameter)))
    known: list[set[tuple[str, tuple[int, ...]]]] = []
    for block in blocks:
        known += [] if block in known else [block]
    return [known.index(block) for block in blocks]


def _to_base(name: str, follows: Mapping[str, list[int]], experts: Mapping[str, int]) -> str:
    """The counterpart's name: of a block the one that it follows, of an expert one of the base's in turn."""
    if (stack := _stack_of(name, follows)) is not None:
        name = _renumbered(name, stack, lambda index: follows[stack][index])
    if (several := _stack_of(name, experts)) is not None:
        name = _renumbered(name, several, lambda index: index % experts[several])
    return name


def _renumbered(name: str, stack: str, number: Callable[[int], int]) -> str:
    index, dot, rest = name[len(stack) + 1 :].partition(".")
    return f"{stack}.{number(int(index))}{dot}{rest}" if index.isdigit() else name


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
    tensors: Mapping[str, NamedParameter],
    base_of: Mapping[str, NamedParameter],
    same_width: bool,
    experts: frozenset[tuple[int, int]],
) -> bool:
    """Whether every tensor has one shape in both builds, which only `same_width` allows."""
    shapes = {n: (shape_of(t.parameter), shape_of(base_of[n].parameter)) for n, t in tensors.items()}
    for name, (shape, base) in shapes.items():
        if len(shape) != len(base):
            raise RuleError(
                f"a tensor must have as many dimensions in both builds, but {name} is {list(base)} in the "
                f"base and {list(shape)} in the model"
            )
    sides = (pair for shape, base in shapes.values() for pair in zip(shape, base, strict=True))
    is_one_width = all(here == there or (here, there) in experts for here, there in sides)
    if is_one_width and not same_width:
        raise RuleError(
            "model and base must differ in width or depth, but every tensor has the same shape in both; for "
            "a model at the base width itself, give other=, a build at any other width"
        )
    return is_one_width


def _outputs(model: nn.Module) -> frozenset[str]:
    """Weights of the output layer that a Hugging Face model declares."""
    get = getattr(unwrapped(model), "get_output_embeddings", None)
    layer = get() if callable(get) else None
    if not isinstance(layer, nn.Module):
        return frozenset()
    found = [name for name, module in modules(model).items() if module is layer]
    return frozenset(f"{name}.weight" for name in found)
