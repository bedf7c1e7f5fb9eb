"""The tensors of one stack at two sizes, side by side: how each grows, and what it is. No torch here."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from hptransfer.errors import RuleError
from hptransfer.parametrization.audit_records import Record, TensorRecord
from hptransfer.parametrization.rule import Role
from hptransfer.parametrization.tensor_settings import Growth
from hptransfer.words import count, plural

_VECTOR = re.compile(
    r"norm|\bln|_ln|ln_|\bbias\b|[._/]b$|bias$|gain|(^|[._/])scale$|(^|[._/])gamma$|A_log", re.I
)
_READOUT = re.compile(
    r"lm_?head|(^|[._/])head|output_layer|unembed|readout|classifier|logits|router|score", re.I
)
_EMBEDDING = re.compile(r"embed|wte|wpe|tok|vocab|(^|[._/])emb|position|patch", re.I)
_TRANSPOSED = re.compile(r"kernel$")  # Flax and Keras: [in, out]


@dataclass(frozen=True)
class Pair:
    """One tensor at both sizes."""

    name: str  # at the large size
    small: TensorRecord
    large: TensorRecord
    role: Role
    guessed: bool  # whether the role is by the tensor's name or an assumed layout, not by its shapes
    ratio: float  # of its fan-in (hidden, readout), else of the dimension that grows
    longest: float  # longer side / that at the small size
    in_block: bool  # whether it is in a repeated block

    @property
    def template(self) -> str:
        """Its name without numbers: one for the tensors of all blocks."""
        return template(self.name)


@dataclass(frozen=True)
class Pairs:
    """All tensors that both sizes have, and those that one lacks."""

    tensors: tuple[Pair, ...]
    only_small: tuple[str, ...]
    only_large: tuple[str, ...]
    width_ratio: float
    depth_ratio: float

    def growth(self, pair: Pair) -> Growth:
        """How a tensor grows, as a rule reads it."""
        depth = self.depth_ratio if pair.in_block else 1.0
        return Growth(pair.role, pair.ratio, self.width_ratio, depth, pair.longest)


def template(name: str) -> str:
    """A name with `*` for its numbers that count blocks, experts and the like."""
    return re.sub(r"(?<=[._/\[])\d+(?=$|[._/\]])|(?<=[a-z]_)\d+(?=[./])", "*", name)


def pair_up(small: Record, large: Record) -> Pairs:
    """The tensors of two sizes, by name; a block that only the deeper model has is paired with a like one.

    Raises:
        RuleError: the two are not one architecture, or not at two sizes.
    """
    likes = _by_template(small)
    twin = {n: small.tensors.get(n) or next(iter(likes.get(template(n), ())), None) for n in large.tensors}
    found = {n: t for n, t in twin.items() if t is not None and len(t.shape) == len(large.tensors[n].shape)}
    if 2 * len(found) < max(len(large.tensors), 1):
        raise RuleError(
            f"the records must be of one architecture at two sizes, but only {count(len(found))} of "
            f"{plural(len(large.tensors), 'tensor')} of {large.source} are in {small.source}"
        )
    depth = _depth_ratio(small, large)
    shapes = {n: _width_shapes(t, large.tensors[n], small, large) for n, t in found.items()}
    grown = [b / a for s, big in shapes.values() for a, b in zip(s, big, strict=True) if a != b]
    if not grown and depth == 1.0:
        raise RuleError(f"{small.source} and {large.source} must differ in size, but every shape is the same")
    width = _width_ratio(small, large, grown)
    tensors = tuple(_pair(t, large.tensors[n], shapes[n], width) for n, t in found.items())
    return Pairs(
        tensors,
        _lost(small, large),
        tuple(dict.fromkeys([*_lost(large, small), *(n for n in large.tensors if n not in found)])),
        width,
        depth,
    )


def _lost(one: Record, other: Record) -> tuple[str, ...]:
    """Tensors of one record that the other should have and lacks.

    The other may have more or fewer blocks or experts: as many as most tensors of that kind of block.
    """
    here, there = _by_template(one), _by_template(other)
    ratios: dict[str, Counter[float]] = {}
    for key, tensors in here.items():
        ratios.setdefault(_stack(key), Counter())[len(there.get(key, ())) / len(tensors)] += 1
    everywhere = sum(ratios.values(), Counter[float]())  # decides where two kinds of a block differ
    lost: list[str] = []
    for key, tensors in here.items():
        count = ratios[_stack(key)]
        most = max(count, key=lambda ratio: (count[ratio], everywhere[ratio], ratio)) or 1.0
        if len(there.get(key, ())) < len(tensors) * most:
            alone = [t.name for t in tensors if t.name not in other.tensors]
            lost += alone if most == 1.0 else [key]
    return tuple(lost)


def _stack(key: str) -> str:
    """What a template's blocks are in: all up to its last number."""
    return key.rpartition("*")[0]


def _by_template(record: Record) -> dict[str, list[TensorRecord]]:
    found: dict[str, list[TensorRecord]] = {}
    for name, tensor in record.tensors.items():
        found.setdefault(template(name), []).append(tensor)
    return found


def _depth_ratio(small: Record, large: Record) -> float:
    if small.depth is not None and large.depth is not None:
        return large.depth / small.depth
    counts = {k: len(v) for k, v in _by_template(small).items() if "*" in k}
    ratios = Counter(
        len(found) / counts[key] for key, found in _by_template(large).items() if counts.get(key, 0)
    )
    return ratios.most_common(1)[0][0] if ratios else 1.0


def _width_ratio(small: Record, large: Record, grown: Iterable[float]) -> float:
    if small.width is not None and large.width is not None:
        return large.width / small.width
    counts = Counter(grown)
    return counts.most_common(1)[0][0] if counts else 1.0


def _width_shapes(
    tensor: TensorRecord, twin: TensorRecord, small: Record, large: Record
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Both shapes without the dimension that counts blocks, where all blocks are one tensor."""
    if small.depth is not None and large.depth is not None and len(tensor.shape) >= 2:
        for axis in range(len(tensor.shape)):
            if (tensor.shape[axis], twin.shape[axis]) == (small.depth, large.depth):
                return tuple(s[:axis] + s[axis + 1 :] for s in (tensor.shape, twin.shape))  # type: ignore[return-value]
    return tensor.shape, twin.shape


def _pair(
    small: TensorRecord, large: TensorRecord, shapes: tuple[tuple[int, ...], tuple[int, ...]], width: float
) -> Pair:
    ratios = [b / a for a, b in zip(*shapes, strict=True)]
    grown = [axis for axis, ratio in enumerate(ratios) if ratio != 1.0]
    stacked = len(shapes[0]) < len(small.shape)
    transposed = (large.layout or small.layout or "") == "in,out" or (
        large.layout is None and bool(_TRANSPOSED.search(large.name))
    )
    role, guessed = _role(large, shapes[1], grown, transposed)
    if not grown:
        ratio = width
    elif role == "hidden":
        ratio = ratios[grown[0] if transposed or len(grown) == 1 else grown[1]]
    else:
        ratio = ratios[grown[0]]
    longest = max(shapes[1], default=1) / max(shapes[0], default=1)
    return Pair(
        large.name, small, large, role, guessed, ratio, longest, stacked or "*" in template(large.name)
    )


def _role(
    tensor: TensorRecord, shape: tuple[int, ...], grown: list[int], transposed: bool
) -> tuple[Role, bool]:
    """The role of a tensor and whether it is a guess: by its shapes, then its name, then its layout."""
    if tensor.role is not None:
        return tensor.role, False
    if not grown:
        return "scalar", False
    if len(grown) >= 2:
        return "hidden", False
    if math.prod(shape) == shape[grown[0]] and not (len(shape) > 1 and _READOUT.search(tensor.name)):
        return "vector", False
    for pattern, role in ((_VECTOR, "vector"), (_READOUT, "readout"), (_EMBEDDING, "embedding")):
        if pattern.search(tensor.name):
            return role, False  # type: ignore[return-value]
    experts = len(shape) == 3 and "expert" in tensor.name.lower()
    first = grown[0] == (1 if experts else 0)
    return ("readout" if first == transposed else "embedding"), True


def shared(pairs: Iterable[Pair]) -> Mapping[str, list[Pair]]:
    """Tensors by template."""
    found: dict[str, list[Pair]] = {}
    for pair in pairs:
        found.setdefault(pair.template, []).append(pair)
    return found
