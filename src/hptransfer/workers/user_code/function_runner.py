"""Calls a user's function in a process of its own, its result as a JSON file.

A script of its own, standard library only: `python function_runner.py module:function RESULT VALUES`. The
function is given those values that it names (all of them where it takes `**kwargs`) and returns its loss, or
a mapping with `loss` among its keys.
"""

import inspect
import json
import os
import pkgutil
import sys
from collections.abc import Callable, Mapping
from typing import Any


def main() -> None:
    """Call it; exit with one line on stderr where its parameters cannot be met."""
    name, result, text = sys.argv[1:]
    sys.path.insert(0, os.getcwd())
    called = pkgutil.resolve_name(name)
    found = called(**arguments(called, json.loads(text), name))
    with open(result, "w") as file:
        json.dump(plain(found), file)


def arguments(function: Callable[..., Any], known: dict[str, Any], name: str) -> dict[str, Any]:
    """The values that a function asks for, by its parameters' names.

    Args:
        function: of the user.
        known: values by name.
        name: of the function, for errors.
    """
    parameters = inspect.signature(function).parameters.values()
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return known
    wanted = [p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    missing = [p.name for p in wanted if p.name not in known and p.default is p.empty]
    if missing:
        valid = ", ".join(sorted(known))
        sys.exit(f"{name} must take known values, but takes {missing[0]!r}; valid: {valid}")
    return {p.name: known[p.name] for p in wanted if p.name in known}


def plain(found: Any) -> dict[str, Any]:
    """A result as JSON takes it: numbers of numpy and torch as Python's."""
    items = found.items() if isinstance(found, Mapping) else [("loss", found)]
    return {str(key): _python_number(value) for key, value in items}


def _python_number(value: Any) -> Any:
    item = getattr(value, "item", None)
    return item() if callable(item) and getattr(value, "ndim", 0) == 0 else value


if __name__ == "__main__":
    main()
