"""Writes two pages of the reference from the code when the site is built: the command line, and the spec."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from html import escape
from typing import TYPE_CHECKING, Any

import typer.main

from hptransfer.cli import app
from hptransfer.study.schema import spec_schema

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files

PAGES = {"reference/command-line.md": "command_line", "reference/spec.md": "spec"}


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Adds the two pages."""
    from mkdocs.structure.files import File

    for name, function in PAGES.items():
        files.append(File.generated(config, name, content=globals()[function]()))
    return files


def command_line() -> str:
    """A section for every command: what it does, its usage, arguments and options, as `--help` has them."""
    parts = [
        "# Command line",
        "What `hptransfer --help` and `hptransfer COMMAND --help` print, for every command. Exit codes "
        "are in [the table](../explanation/threat-model.md#exit-codes).",
    ]
    for name, command in sorted(_commands(typer.main.get_command(app), "hptransfer")):
        parts += [f"## {name}", *_help(command.help or "")]
        shown = [p for p in command.params if not getattr(p, "hidden", False) and p.name != "help"]
        parts += [f"```text\n{name} {' '.join(_usage(shown))}\n```", *map(_parameter, shown)]
    return "\n\n".join(parts) + "\n"


def _commands(group: Any, name: str) -> Iterator[tuple[str, Any]]:
    for key, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _commands(command, f"{name} {key}")
        else:
            yield f"{name} {key}", command


def _help(text: str) -> Iterator[str]:
    """The paragraphs of a docstring; those that begin with Example are code."""
    for paragraph in re.split(r"\n\s*\n", text.strip()):
        line = " ".join(paragraph.split())
        if match := re.match(r"Examples?: (.*)", line):
            yield "```bash\n" + re.sub(r"; (?=hptransfer)", "\n", match[1]) + "\n```"
        else:
            yield escape(line, quote=False)


def _usage(parameters: list[Any]) -> Iterator[str]:
    if any(p.opts[0].startswith("-") for p in parameters):
        yield "[OPTIONS]"
    for p in parameters:
        if not p.opts[0].startswith("-"):
            name = (p.metavar or p.name.upper()).removesuffix("...") + ("..." if p.nargs == -1 else "")
            yield name if p.required else f"[{name}]"


def _parameter(p: Any) -> str:
    """A definition: the option and what it takes, then what it does and its default."""
    metavar = p.metavar or ("" if getattr(p, "is_flag", False) else p.name.upper())
    if p.opts[0].startswith("-"):
        words = f"{', '.join(p.opts + p.secondary_opts)} {metavar}".strip()
    else:
        words = metavar
    text = escape(p.help or "", quote=False).replace("  [default:", " [default:")
    simple = isinstance(p.default, int | float | str) and not isinstance(p.default, bool)
    if simple and p.default != "" and "[default:" not in text:
        text += f" [default: {p.default}]"
    return f"`{words}`\n:   {text or '(no description)'}"


def spec() -> str:
    """The keys of the spec and of each of its sections, from its JSON schema."""
    schema = spec_schema()
    sections = dict(_sections(schema, schema, ""))
    parts = [
        "# Spec of a study",
        "Every key of the YAML file that `hptransfer run` and `hptransfer plan` read. "
        "[Train a sweep](../how-to/train.md) has an example, [every option of the model](options.md) "
        "explains the keys of `model` and `train`, and [the JSON schema](study.schema.json) is for editors.",
        "## The spec",
        _keys(schema, sections),
    ]
    for name, path in sections.items():
        part = schema["$defs"][name]
        said = escape(" ".join(part.get("description", "").split()), quote=False)
        parts += [f"## {path}", said, _keys(part, sections)]
    return "\n\n".join(parts) + "\n"


def _sections(schema: Mapping[str, Any], part: Mapping[str, Any], above: str) -> Iterator[tuple[str, str]]:
    """Names of the schema's parts, each with the key under which it stands in a spec, in its order."""
    for key, value in part["properties"].items():
        for name in re.findall(r"#/\$defs/(\w+)", str(value)):
            yield name, above + key
            yield from _sections(schema, schema["$defs"][name], f"{above}{key}.")


def _keys(part: Mapping[str, Any], sections: Mapping[str, str]) -> str:
    """Definitions of keys: type and default, then what they are."""
    lines = []
    for key, value in part["properties"].items():
        words = [_kind(value, sections)]
        if key in part.get("required", []):
            words.append("must be given")
        elif value.get("default") is not None and not isinstance(value["default"], dict):
            words.append(f"default `{json.dumps(value['default'])}`")
        said = escape(" ".join(value.get("description", "").split()), quote=False)
        lines.append(f"`{key}` ({', '.join(words)})\n:   {said or 'as its name says'}")
    return "\n\n".join(lines)


def _kind(value: Mapping[str, Any], sections: Mapping[str, str]) -> str:
    """The type of a key in words."""
    if "$ref" in value:
        path = sections[value["$ref"].rsplit("/", 1)[-1]]
        return f"[section](#{path.replace('.', '')})"
    if "anyOf" in value:
        kinds = [_kind(one, sections) for one in value["anyOf"] if one.get("type") != "null"]
        return " or ".join(dict.fromkeys(kinds))
    if "enum" in value:
        return " or ".join(f"`{one}`" for one in value["enum"])
    if value.get("type") == "array":
        kinds = _kind(value.get("items", {}), sections).split(" or ")
        words = " or ".join(kind + "s" * kind.isalpha() for kind in kinds)
        return f"list of {words}" if "items" in value else "list"
    return {"object": "mapping", "boolean": "true or false"}.get(
        str(value.get("type")), str(value.get("type", "any"))
    )
