"""YAML as plain data: one meaning or none, and never more than its text is worth.

YAML 1.1 reads `064` as 52 and `1:30:00` as 5400, lets a later key replace an earlier one, and lets a text of
300 bytes stand for a billion values. Here all that is an error.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from hptransfer.files import printable
from hptransfer.words import count

MAX_VALUES = 50_000  # values in a document, aliases counted as often as they stand
MAX_DEPTH = 20  # levels of lists and sections
MAX_TEXT = 65_536  # characters of one value
MAX_KEY = 200  # characters of a key
_LARGEST = 2**63 - 1  # of a whole number: what a store can hold
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9_]*|0x[0-9a-fA-F_]+)")


def read_yaml(text: bytes | str) -> Any:
    """The plain data of a YAML document.

    Raises:
        ValueError: it is no YAML, says something twice or in a way that YAML's versions read differently,
            or is beyond the limits of this module; one line.
    """
    import yaml

    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        _check_size(root)
        data = yaml.load(text, Loader=_loader())
    except yaml.YAMLError as error:
        raise ValueError(printable(" ".join(str(error).split()))) from None
    except RecursionError:
        raise ValueError(f"it may nest at most {MAX_DEPTH} levels deep") from None
    except (LookupError, TypeError, AttributeError, ArithmeticError):  # PyYAML on a tag with a wrong value
        raise ValueError("a tag (such as !!int) has a value that it does not fit") from None
    check_plain(data)
    return data


def check_plain(data: Any) -> None:
    """Refuse plain data that is beyond the limits of this module; for data that came in another way.

    Raises:
        ValueError: it is; one line.
    """
    level, found = [data], 0
    for _ in range(MAX_DEPTH):
        inner: list[Any] = []
        for value in level:
            _check_value(value)
            if isinstance(value, Mapping):
                for key in value:
                    _check_key(key)
                inner += value.values()
            elif isinstance(value, list | tuple):
                inner += value
        found += len(inner)
        if found > MAX_VALUES:
            raise ValueError(f"it may hold at most {count(MAX_VALUES)} values")
        if not inner:
            return
        level = inner
    raise ValueError(f"it may nest at most {MAX_DEPTH} levels deep")


def _check_value(value: Any) -> None:
    if isinstance(value, str) and len(value) > MAX_TEXT:
        raise ValueError(
            f"a text may have at most {count(MAX_TEXT)} characters, but one has {count(len(value))}"
        )
    if isinstance(value, str) and any("\ud800" <= c <= "\udfff" for c in value):
        raise ValueError(f"a text must be Unicode, but {printable(value)!r:.60} holds half a character")
    if isinstance(value, int) and abs(value) > _LARGEST:
        raise ValueError(f"a whole number may be at most 2^63 - 1, but one has {value.bit_length()} bits")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"a number must be finite, but one is {value}")


def _check_key(key: Any) -> None:
    if isinstance(key, str) and len(key) > MAX_KEY:
        raise ValueError(f"a key may have at most {count(MAX_KEY)} characters, but one has {count(len(key))}")
    if not isinstance(key, str | int | float | bool | type(None)):
        raise ValueError("a key must be a word")


def _shown(text: str) -> str:
    return printable(text[:60])


def _check_size(root: Any) -> None:
    """Refuse a document whose aliases make it larger than its text, or without end."""
    sizes: dict[int, int] = {}

    def size(node: Any, depth: int) -> int:
        if depth > MAX_DEPTH:
            raise ValueError(f"it may nest at most {MAX_DEPTH} levels deep")
        if id(node) not in sizes:
            parts = node.value if isinstance(getattr(node, "value", None), list) else []
            flat = [inner for part in parts for inner in (part if isinstance(part, tuple) else (part,))]
            sizes[id(node)] = 1 + sum(size(inner, depth + 1) for inner in flat)
            if sizes[id(node)] > MAX_VALUES:
                raise ValueError(f"it may hold at most {count(MAX_VALUES)} values, aliases written out")
        return sizes[id(node)]

    size(root, 0)


@lru_cache(maxsize=1)
def _loader() -> Any:
    """A loader that refuses duplicate keys, and numbers that are no plain decimal or hexadecimal ones."""
    import yaml

    class Loader(yaml.SafeLoader):
        pass

    def mapping(loader: Any, node: Any) -> dict[Any, Any]:
        loader.flatten_mapping(node)
        found: dict[Any, Any] = {}
        for key_node, value_node in node.value:
            key = loader.construct_object(key_node, deep=True)
            _check_key(key)
            if key in found:
                raise ValueError(
                    f"every key must be given once, but `{printable(str(key)):.60}` is given twice"
                )
            found[key] = loader.construct_object(value_node, deep=True)
        return found

    def integer(loader: Any, node: Any) -> int:
        text = str(loader.construct_scalar(node))
        if not _INTEGER.fullmatch(text):
            raise ValueError(f"a whole number must be written in plain digits, but got {_shown(text)}")
        if len(text) > 40:
            raise ValueError(f"a whole number may be at most 2^63 - 1, but one has {len(text)} digits")
        return int(text.replace("_", ""), 0)

    def number(loader: Any, node: Any) -> float:
        text = str(loader.construct_scalar(node))
        if ":" in text:
            raise ValueError(f"a number must be written in plain digits, but got {_shown(text)}")
        return float(loader.construct_yaml_float(node))

    Loader.add_constructor("tag:yaml.org,2002:map", mapping)
    Loader.add_constructor("tag:yaml.org,2002:int", integer)
    Loader.add_constructor("tag:yaml.org,2002:float", number)
    return Loader
