"""Values out of text: of printed logs by a regular expression, of a run's name by a template."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from hptransfer.errors import SweepError
from hptransfer.sweep.names import NAMES, SCALES, base_name, hp_rank, rank
from hptransfer.sweep.raw_table import RawColumn, RawTable, candidates, find, make_table, shown, texts
from hptransfer.sweep.values import NUMBER, parse

VALUE = rf"(?:{NUMBER}(?:[kKMB](?![a-zA-Z]))?)"
FIELD = re.compile(r"\{(\w+)\}|\.\.\.|…")
IN_NAME = re.compile(
    rf"(?:^|(?<=[^a-zA-Z]))(?P<key>[a-zA-Zη]+(?:_[a-zA-Z]+)*)[=_:-]?(?P<value>{NUMBER}[kKMB]?)(?![a-zA-Z])"
)
MOST_VARIANTS = 12  # that names of runs may tell apart
EXAMPLE = r"'width=(?P<width>\d+) lr=(?P<lr>\S+) loss=(?P<loss>\S+)'"


def read_log(text: str, name: str, expression: str) -> RawTable:
    """A table with a row for every match of an expression in a printed log, a column for every named group.

    Raises:
        SweepError: where the expression is none, names no group or matches nowhere.
    """
    pattern = _compiled(expression, "--extract")
    rows, numbers, line, end = [], [], 1, 0
    for match in pattern.finditer(text):
        line += text.count("\n", end, match.start())
        end = match.start()
        rows.append(match.groupdict())
        numbers.append(line)
    if not rows:
        raise SweepError(f"--extract matches nowhere in {name}: {shown(expression, 80)}")
    return make_table({group: [row[group] for row in rows] for group in pattern.groupindex}, name, numbers)


def _compiled(expression: str, flag: str) -> re.Pattern[str]:
    try:
        pattern = re.compile(expression, re.MULTILINE)
    except (re.error, OverflowError, RecursionError) as error:
        raise SweepError(
            f"{flag} must be a regular expression, but {shown(expression, 80)}: {error}"
        ) from None
    if not pattern.groupindex:
        raise SweepError(f"{flag} must name what it finds, as in {EXAMPLE}, but got {shown(expression, 80)}")
    return pattern


def extract_from(table: RawTable, column: str, template: str) -> RawTable:
    """A table with further columns, taken from the text of one of its columns.

    Args:
        table: to add to.
        column: whose cells hold the values, `Name` for instance.
        template: `lr{lr}_d{width}`, with `...` for any text, or a regular expression with named groups.

    Raises:
        SweepError: where there is no such column, or a row's text does not match.
    """
    name = (
        find(table, column, "--extract-from") if column != "file" or "file" not in table.columns else column
    )
    pattern = _compiled(template if "(?P<" in template else _expression(template), "--extract-from")
    matches = [pattern.search(text) for text in texts(table.columns[name])]
    if None in matches:
        row = matches.index(None)
        raise SweepError(
            f"--extract-from {shown(template)} must match every {name}, but {table.place(row)} has "
            f"{shown(table.columns[name][row], 60)}"
        )
    found: dict[str, RawColumn] = {
        group: [match[group] for match in matches if match is not None] for group in pattern.groupindex
    }
    return replace(table, columns={**table.columns, **found})


def _expression(template: str) -> str:
    """The regular expression of a template: numbers, or else words, at its fields; anything at `...`."""
    parts, end = [], 0
    for field in FIELD.finditer(template):
        parts.append(re.escape(template[end : field.start()]))
        parts.append(f"(?P<{field[1]}>{VALUE}|[^_\\W]+)" if field[1] else ".*?")
        end = field.end()
    return "".join([*parts, re.escape(template[end:])])


def from_names(table: RawTable, missing: Sequence[str]) -> tuple[RawTable, str | None]:
    """A table with the scale or the hyperparameter out of its runs' names, where these say them throughout.

    Args:
        table: whose columns do not hold them.
        missing: which are wanted, of `scale` and `hp`.

    Returns:
        The table, and the column of names where every one of them gave all that is missing.
    """
    for column in table.columns:
        if base_name(column).lower().replace("_", "").replace(" ", "") not in NAMES:
            continue
        found = [_values(text) for text in texts(table.columns[column])]
        keys = {
            what: next((key for key in (found[0] if found else ()) if _plays(what, key)), None)
            for what in missing
        }
        if all(key is not None and all(key in values for values in found) for key in keys.values()):
            new: dict[str, RawColumn] = {
                key: [values[key] for values in found] for key in keys.values() if key is not None
            }
            rest = [_rest(text) for text in texts(table.columns[column])]
            if 1 < len(set(rest)) <= min(MOST_VARIANTS, len(rest) // 4) and not candidates(table, "variant"):
                new["variant"] = list(rest)
            return replace(table, columns={**table.columns, **new}), column
    return table, None


def _rest(text: str) -> str:
    """What a run's name says beside its numbers: of sp_w128_lr0.001_s0 sp."""
    words = IN_NAME.sub(lambda match: match["key"].rpartition("_")[0], text)
    return " ".join(re.findall(r"[^\W\d_]+", words)) or "-"


def _plays(what: str, key: str) -> bool:
    return (rank(key, SCALES) if what == "scale" else hp_rank(key)) is not None


def _values(text: str) -> dict[str, float]:
    """The numbers in a run's name, each by the letters before it: w128_lr0.001 has w and lr."""
    found: dict[str, float] = {}
    for match in IN_NAME.finditer(text):
        if (value := parse(match["value"])) is not None:
            found |= {match["key"]: value, match["key"].rpartition("_")[2]: value}  # of sp_w256 also w
    return found
