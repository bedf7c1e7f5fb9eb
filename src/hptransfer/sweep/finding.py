"""Which columns of an unknown table are the scale, the hyperparameter, the loss, the variant and the seed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hptransfer.errors import SweepError
from hptransfer.sweep.extract import from_names
from hptransfer.sweep.names import (
    NAMES,
    SCALES,
    SEEDS,
    STATES,
    STEPS,
    VARIANTS,
    base_name,
    hp_rank,
    joined,
    loss_rank,
    rank,
    word_set,
    words,
)
from hptransfer.sweep.profile import group_numbers
from hptransfer.sweep.raw_table import (
    RawTable,
    candidates,
    closest,
    find,
    floats,
    level_keys,
    listed,
    own_columns,
    shown,
    texts,
)

FLAGS = {"scale": "--scale", "hp": "--hp", "loss": "--loss", "variant": "--by", "seed": "--seed"}
WORDS = {"scale": "the scale (width, parameters ...)", "hp": "the hyperparameter (a learning rate ...)",
         "loss": "the loss"}  # fmt: skip
USUAL = {"scale": "width", "hp": "lr", "loss": "loss", "variant": "variant", "seed": "seed"}
MOST_WORDS = 12  # different texts of a column that nobody named and whose name says nothing
MOST_LEVELS = 50  # of a column that may tell variants apart
NO_LOSSES = word_set("accuracy acc score f1 reward auc bleu time runtime seconds memory flops tokens top1")


@dataclass(frozen=True)
class Found:
    """The table's own names of the columns that are read."""

    scale: str
    hp: str
    loss: str
    variant: tuple[str, ...]  # columns that make the variant together; none where all runs are one
    seed: str | None
    taken: str = ""  # what was found without being named, in one line; empty where the usual names were
    more_hps: tuple[str, ...] = ()  # further hyperparameters, where several were asked for
    names: Mapping[str, str] | None = None  # what the user called them, where that differs


def find_columns(
    table: RawTable, named: Mapping[str, str | None], apart: str | None = None
) -> tuple[RawTable, Found]:
    """The columns to read: those that the user named, and for the rest those whose names say so.

    Args:
        table: to look in.
        named: the user's names of scale, hp, loss, variant and seed; None is found out.
        apart: a column that is none of these.

    Returns:
        The table, perhaps with columns out of its runs' names, and the columns.

    Raises:
        SweepError: where one is missing, or several readings are sensible; all that is missing is named.
    """
    used = {what: find(table, name, what) for what in WORDS if (name := named.get(what)) is not None}
    doubts: dict[str, list[str]] = {}
    for what in WORDS.keys() - used.keys():
        options = _best(table, what, {*used.values(), apart or ""})
        if len(options) == 1:
            used[what] = options[0]
        elif options:
            doubts[what] = options
    missing = [what for what in WORDS if what not in used and what not in doubts]
    origin: tuple[str, ...] = ()  # a column of names, and what was taken out of it
    if missing and set(missing) <= {"scale", "hp"}:
        table, names = from_names(table, missing)
        if names is not None:
            used |= {what: _best(table, what, {*used.values(), apart or ""})[0] for what in missing}
            origin, missing = (names, *missing), []
    if (
        len(missing) == 1
        and not doubts
        and (rest := _remaining(table, missing[0], {*used.values(), apart or ""}))
    ):
        used[missing[0]] = rest
        missing = []
    if missing:
        raise SweepError(_all_missing(table, missing))
    if doubts:
        raise SweepError(_readings(table, doubts))
    _check_different(used)
    variants = _variants(table, named.get("variant"), {*used.values(), apart or ""})
    if not variants and named.get("variant") is None and apart is None:
        variants = _telling(table, used)
    seed = _seed(table, named.get("seed"))
    found = Found(used["scale"], used["hp"], used["loss"], variants, seed)
    return table, Found(**{**vars(found), "taken": _taken(table, found, named, origin)})


def _check_different(used: Mapping[str, str]) -> None:
    for what, column in used.items():
        other = next(key for key, value in used.items() if value == column)
        if other != what:
            raise SweepError(f"{other} and {what} must be different columns, but both are {shown(column)!r}")


RANKS: dict[str, Callable[[str], tuple[int, int] | None]] = {
    "scale": lambda column: rank(column, SCALES),
    "hp": hp_rank,
    "loss": loss_rank,
}


def _best(table: RawTable, what: str, taken: set[str]) -> list[str]:
    """The columns of numbers whose names fit best; several where nothing decides between them.

    A column of the usual name wins. Then one whose values differ comes before one of a single value.
    """
    usual = candidates(table, USUAL[what])
    if usual and usual[0] not in taken and (what == "loss" or _levels(table, usual[0], what) != 1):
        return usual
    ranked = sorted(
        (found, column)
        for column in own_columns(table)
        if column not in taken and (found := RANKS[what](column)) is not None and _levels(table, column, what)
    )
    varied = [
        (found, column) for found, column in ranked if what == "loss" or _levels(table, column, what) > 1
    ]
    ranked = varied or ranked
    if usual and not varied:
        return usual
    best = [column for (line, _), column in ranked if line == ranked[0][0][0]]
    first = [column for place, column in ranked if place == ranked[0][0]]
    if what == "scale" or (what == "hp" and len(first) == 1):
        best = [column for column in best if column == best[0] or not _alike(table, column, best[0])]
    else:
        best = first
    return [column for column in best if column == best[0] or not _same(table, column, best[0])]


def _levels(table: RawTable, column: str, what: str) -> int:
    """How many numbers a column holds, up to 3; 0 where it holds texts."""
    cells = table.columns[column]
    values, bad = floats(cells, labelled=what == "scale")
    if what == "loss":
        return int(np.isfinite(values).any()) * 3
    good = values[np.isfinite(values)]
    return 0 if bad.sum() > len(bad) // 2 or not good.size else min(3, len(np.unique(good)))


def _same(table: RawTable, one: str, other: str) -> bool:
    a, b = (level_keys(table.columns[column]) for column in (one, other))
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return np.array_equal(a, b, equal_nan=True)
    return texts(a) == texts(b)


def _alike(table: RawTable, one: str, other: str) -> bool:
    """Whether two columns always change together, as width and parameters do."""
    a, b = (group_numbers(level_keys(table.columns[column])) for column in (one, other))
    return bool(group_numbers(a, b).max() == a.max() == b.max())


def _remaining(table: RawTable, what: str, taken: set[str]) -> str | None:
    """The one column of numbers that is left when nothing else is missing."""
    left = []
    for column in own_columns(table):
        parts = set(words(base_name(column)))
        known = rank(column, (*SEEDS, " ".join(STEPS))) or any(role(column) for role in RANKS.values())
        if column in taken or known or parts & (NO_LOSSES | {"id", "index", "seed", "time"}):
            continue
        values, bad = floats(table.columns[column], labelled=what == "scale")
        if (
            not bad.any()
            and np.isfinite(values).any()
            and (what == "loss" or _levels(table, column, what) > 1)
        ):
            left.append(column)
    return left[0] if len(left) == 1 else None


def _variants(table: RawTable, names: str | None, taken: set[str]) -> tuple[str, ...]:
    """The columns that make the variant."""
    if names is not None:
        if names == "file" and "file" in table.columns:
            return ("file",)
        parts = [names] if candidates(table, names) else [part.strip() for part in names.split(",")]
        return tuple(find(table, part, "variant") for part in parts)
    if usual := candidates(table, USUAL["variant"]):
        return (find(table, USUAL["variant"], "variant"),) if len(usual) == 1 else tuple(usual)
    found: list[str] = []
    for column in own_columns(table):
        if column in taken or rank(column, VARIANTS) is None:
            continue
        levels = int(group_numbers(level_keys(table.columns[column])).max()) + 1
        if 1 < levels <= min(MOST_LEVELS, len(table) // 2) and not any(
            _alike(table, column, o) for o in found
        ):
            found.append(column)
    return tuple(found)


def _telling(table: RawTable, used: Mapping[str, str]) -> tuple[str, ...]:
    """The one column of few words by which alone all runs of equal scale and hyperparameter differ, if so."""
    keys = [level_keys(table.columns[used[what]]) for what in ("scale", "hp")]
    keys += [level_keys(cells) for c, cells in table.columns.items() if rank(c, SEEDS) is not None]
    apart = group_numbers(*keys)
    if apart.max() + 1 == len(table):
        return ()
    found: list[str] = []
    for column in own_columns(table):
        cells = table.columns[column]
        if (
            column in used.values()
            or joined(base_name(column)) in NAMES | STATES
            or not floats(cells[:100])[1].all()
        ):
            continue
        level = group_numbers(level_keys(cells))
        few = 0 < level.max() < min(MOST_WORDS, len(table) // 4)
        if few and group_numbers(apart, level).max() + 1 == len(table):
            found += [column] if not any(_alike(table, column, other) for other in found) else []
    return tuple(found) if len(found) == 1 else ()


def _seed(table: RawTable, name: str | None) -> str | None:
    if name is not None:
        return find(table, name, "seed")
    if candidates(table, USUAL["seed"]):
        return find(table, USUAL["seed"], "seed")
    return next((column for column in own_columns(table) if rank(column, SEEDS) is not None), None)


def _taken(table: RawTable, found: Found, named: Mapping[str, str | None], origin: Sequence[str]) -> str:
    """What was taken for what, with the flags that say otherwise; empty where all was usual or named."""
    parts = []
    for what in WORDS:
        column = getattr(found, what)
        out_of = f" (out of {origin[0]})" if what in origin[1:] else ""
        if named.get(what) is not None or (candidates(table, USUAL[what]) == [column] and not out_of):
            continue
        parts.append(f"{what} = {shown(column)}{out_of}{_also(table, what, found)}")
    if named.get("variant") is None and found.variant and list(found.variant) != candidates(table, "variant"):
        parts.append(f"variant = {', '.join(map(shown, found.variant))}")
    if not parts:
        return ""
    said = [FLAGS[part.partition(" = ")[0]] for part in parts]
    return f"Read as {'; '.join(parts)}. {' '.join(said)} {'say' if len(said) > 1 else 'says'} otherwise."


def _also(table: RawTable, what: str, found: Found) -> str:
    used = {found.scale, found.hp, found.loss}
    others = [
        column
        for column in own_columns(table)
        if column not in used and RANKS[what](column) is not None and _levels(table, column, what) > 1
    ]
    return f" (also there: {', '.join(map(shown, others[:4]))})" if others else ""


def _all_missing(table: RawTable, missing: Sequence[str]) -> str:
    wanted = ", or for ".join(f"{WORDS[what]}: name it with {FLAGS[what]} COLUMN" for what in missing)
    near = "".join(dict.fromkeys(closest(USUAL[what], table) for what in missing))
    return f"no column in {table.names[0]} is plainly {wanted}{near}; columns: {listed(table)}"


def _readings(table: RawTable, doubts: Mapping[str, Sequence[str]]) -> str:
    """Every sensible reading, as the command for it."""
    what, options = next(iter(doubts.items()))
    rest = "".join(f' {FLAGS[key]} "{columns[0]}"' for key, columns in doubts.items() if key != what)
    commands = [
        f'hptransfer fit {table.names[0]} {FLAGS[what]} "{shown(column)}"{rest}' for column in options[:6]
    ]
    return f"{table.names[0]} can be read in several ways; choose one: {'  or  '.join(commands)}"
