"""Records of a training stack's tensors: what each is, and what the optimizer does to it. No torch here."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from hptransfer.errors import RuleError, one_of
from hptransfer.files import printable, read_regular, strict_json
from hptransfer.parametrization.rule import ROLES, Role

Quantity = Literal["lr", "wd", "eps", "std", "multiplier"]
QUANTITIES: tuple[Quantity, ...] = get_args(Quantity)
MAX_BYTES = 64 << 20  # of a record; one of 100,000 tensors has 16 MiB
LAYOUTS = ("out,in", "in,out")
_WORDS = {  # what stacks call the same thing
    "weight_decay": "wd",
    "init_std": "std",
    "epsilon": "eps",
    "mult": "multiplier",
    "learning_rate": "lr",
}
_WRAPPERS = re.compile(r"^(?:(?:module|_orig_mod|_fsdp_wrapped_module|params|model\.module)[./])+")


@dataclass(frozen=True)
class TensorRecord:
    """One tensor as a stack trains it; None where the record does not say."""

    name: str  # without the prefixes that DDP, torch.compile and Flax put before it
    shape: tuple[int, ...]  # of the whole tensor, not of one rank's shard
    settings: Mapping[Quantity, float]  # those that were recorded
    role: Role | None  # where the record says
    layout: str | None  # out,in or in,out, where the record says
    optimizer: str | None  # where it is not the record's


@dataclass(frozen=True)
class Record:
    """All tensors of a model at one size."""

    source: str  # where it was read from, for messages
    tensors: Mapping[str, TensorRecord]  # by name
    width: float | None  # of the model, where the record says
    depth: int | None  # number of blocks, where the record says
    optimizer: str  # in lower case
    attention_scale: float | None  # factor on attention logits
    head_dim: float | None


def read_record(source: Record | str | Path | Mapping[str, Any] | Sequence[Any]) -> Record:
    """A record from a JSON file or from plain data.

    Args:
        source: a path, or what its JSON holds: a list of tensors, a mapping name -> tensor, or a mapping with
            `tensors` and any of `width`, `depth`, `optimizer`, `attention_scale`, `head_dim`.

    Raises:
        RuleError: it cannot be read, or a value is not valid; the text names the tensor.
    """
    if isinstance(source, Record):
        return source
    if not isinstance(source, str | Path):
        return _record("the record", source)
    try:
        data = strict_json(read_regular(source, MAX_BYTES))
    except (OSError, ValueError) as error:
        reason = " ".join(str(getattr(error, "strerror", None) or error).split())
        raise RuleError(f"cannot read a record from {printable(str(source))}: {reason}") from None
    return _record(printable(str(source)), data)


def _record(source: str, data: Any) -> Record:
    head = data if isinstance(data, Mapping) and isinstance(data.get("tensors"), list | dict) else {}
    rows = head.get("tensors", data)
    if isinstance(rows, Mapping):
        rows = [{"name": name, **row} if isinstance(row, Mapping) else row for name, row in rows.items()]
    if not isinstance(rows, Sequence) or isinstance(rows, str) or not rows:
        raise RuleError(
            f"{source} must hold a list of tensors, each with name, shape and lr, but holds "
            f"{type(data).__name__}"
        )
    tensors: dict[str, TensorRecord] = {}
    for index, row in enumerate(rows):
        tensor = _tensor(row, f"{source}, tensor {index}")
        if tensor.name in tensors:
            raise RuleError(f"{source}: every tensor must be named once, but {tensor.name} is there twice")
        tensors[tensor.name] = tensor
    numbers = {key: _positive(head, key, source) for key in ("width", "depth", "attention_scale", "head_dim")}
    depth = numbers.pop("depth")
    return Record(
        source=source,
        tensors=tensors,
        depth=None if depth is None else int(depth),
        optimizer=str(head.get("optimizer", "adamw")).lower(),
        **numbers,
    )


def _tensor(row: Any, place: str) -> TensorRecord:
    if not isinstance(row, Mapping) or not isinstance(row.get("name"), str):
        raise RuleError(f"{place} must be a mapping with name, shape and lr, but is {_short(row)}")
    name = printable(row["name"])
    where = f"{place} ({name})"
    shape = row.get("shape")
    if not isinstance(shape, list | tuple) or not all(type(n) is int and n > 0 for n in shape):
        raise RuleError(f"{where}: shape must be a list of positive whole numbers, but got {_short(shape)}")
    given = {_WORDS.get(key, key): value for key, value in row.items()}
    if "lr" not in given:
        raise RuleError(f"{where} must have its lr; found {', '.join(map(printable, row))}")
    settings = {q: _number(given[q], f"{where}: {q}") for q in QUANTITIES if given.get(q) is not None}
    role, layout, optimizer = (given.get(key) for key in ("role", "layout", "optimizer"))
    if role is not None:
        one_of(role, ROLES, f"{where}: role", RuleError)
    if layout is not None:
        one_of(layout, LAYOUTS, f"{where}: layout", RuleError)
    plain = _WRAPPERS.sub("", name)
    return TensorRecord(
        plain, tuple(shape), settings, role, layout, None if optimizer is None else str(optimizer).lower()
    )


def _positive(head: Mapping[str, Any], key: str, source: str) -> float | None:
    value = head.get(key)
    if value is None:
        return None
    number = _number(value, f"{source}: {key}")
    if number == 0 or (key == "depth" and number != int(number)):
        raise RuleError(f"{source}: {key} must be positive{' and whole' * (key == 'depth')}, but got {value}")
    return number


def _number(value: Any, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise RuleError(f"{what} must be a number, zero or more and finite, but got {_short(value)}")
    return float(value)


def _short(value: Any) -> str:
    text = json.dumps(value, default=repr)
    return printable(text if len(text) <= 60 else f"{text[:57]}...")
