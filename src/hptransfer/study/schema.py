"""The JSON schema of a study's spec, for editors: from the models that read it, with their comments."""

from __future__ import annotations

import ast
import inspect
import io
import textwrap
import tokenize
from collections.abc import Iterable, Iterator
from typing import Any

from pydantic import BaseModel

from hptransfer.study.spec import StudySpec
from hptransfer.workers.registry import EXECUTORS

HEADER = "# yaml-language-server: $schema="  # a spec's first line, before the schema's path
_POWER = {
    "type": "string",
    "pattern": r"^\s*[0-9.]+(e[+-]?[0-9]+|\s*(\^|\*\*)\s*[+-]?[0-9.]+)\s*$",
}  # 1e-2 too
_TEXTS = {"type": ["string", "number", "boolean", "null"]}


def spec_schema() -> dict[str, Any]:
    """A schema (draft 2020-12) that takes what `load_study` takes, but for checks across several keys."""
    schema = StudySpec.model_json_schema()
    parts = schema["$defs"]
    for executor in EXECUTORS.values():  # one section whose keys go by its kind
        found = executor.Config.model_json_schema()
        known = parts["ExecutorConfig"]["properties"]
        for name, kind in found["properties"].items():
            known[name] = kind if known.get(name, kind) == kind else {"anyOf": [known[name], kind]}
        parts |= found.get("$defs", {})
        _describe(parts["ExecutorConfig"], executor.Config)
    parts["ExecutorConfig"]["properties"]["kind"] = {"enum": sorted(EXECUTORS), "default": "local"}
    for model in _models(StudySpec):
        _describe(schema if model is StudySpec else parts[model.__name__], model)
    _widen(parts["LRGrid"]["properties"], ("low", "high", "factor"), _POWER)
    decays = next(kind for kind in schema["properties"]["weight_decays"]["anyOf"] if "items" in kind)
    decays["items"] = {"anyOf": [decays["items"], _POWER]}
    _widen(parts["TrialConfig"]["properties"], ("command",), {"type": "string"})
    for section in parts.values():
        pairs = [name for name, kind in section["properties"].items() if _is_pairs(kind)]
        _widen(section["properties"], pairs, {"type": "object", "additionalProperties": _TEXTS})
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "A study of hptransfer"}
    return {**head, **{key: value for key, value in schema.items() if key != "title"}}


def _widen(properties: dict[str, Any], names: Iterable[str], more: Any) -> None:
    """Lets values be written in another way, too."""
    for name in names:
        kind = properties[name]
        apart = {key: kind.pop(key) for key in ("default", "description", "title") if key in kind}
        properties[name] = {"anyOf": [*kind.get("anyOf", [kind]), more], **apart}


def _is_pairs(kind: dict[str, Any]) -> bool:
    """Whether a field is a mapping that is kept as pairs."""
    return kind.get("type") == "array" and len(kind.get("items", {}).get("prefixItems", ())) == 2


def _models(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    """A model and those of its sections."""
    yield model
    for field in model.model_fields.values():
        for inner in _types_in(field.annotation):
            yield from _models(inner)


def _types_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        yield annotation
    for part in getattr(annotation, "__args__", ()):
        yield from _types_in(part)


def _describe(section: dict[str, Any], model: type[BaseModel]) -> None:
    """Puts the comment of every field of a model into its section of the schema."""
    for owner in reversed(model.__mro__):
        if issubclass(owner, BaseModel) and owner is not BaseModel:
            for name, text in _comments(owner).items():
                if name in section["properties"] and text:
                    section["properties"][name]["description"] = text


def _comments(model: type[BaseModel]) -> dict[str, str]:
    """The comment of every field: beside it, or on the lines before it."""
    source = textwrap.dedent(inspect.getsource(model))
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    found = {token.start[0]: token for token in tokens if token.type == tokenize.COMMENT}
    alone = {line for line, token in found.items() if not token.line[: token.start[1]].strip()}
    out = {}
    for node in ast.parse(source).body[0].body:  # type: ignore[attr-defined]  # a class
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            first = node.lineno
            while first - 1 in alone:
                first -= 1
            lines = range(first, (node.end_lineno or node.lineno) + 1)
            texts = (found[line].string.lstrip("# ") for line in lines if line in found)
            out[node.target.id] = " ".join(texts)
    return out
