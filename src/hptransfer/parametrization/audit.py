"""An audit of any training stack: which rule its tensors follow between two sizes. No torch here.

Only ratios between the two sizes count: constants, such as an embedding LR of 10 x eta, are no fault.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

from hptransfer.errors import RuleError, one_of
from hptransfer.parametrization.audit_pairs import Pair, Pairs, pair_up, shared
from hptransfer.parametrization.audit_records import QUANTITIES, Quantity, Record, read_record
from hptransfer.parametrization.audit_rules import Reading, readings
from hptransfer.parametrization.optimizers import DECAY_KINDS, DecayKind
from hptransfer.parametrization.rule import Rule
from hptransfer.parametrization.tensor_settings import EpsRule
from hptransfer.words import precise, rough

TOLERANCE = 5e-3  # of a ratio; learning rates in logs are rounded
CHANGED = 1.1  # what a common factor that no rule explains costs, in quantities of a role


@dataclass(frozen=True)
class Departure:
    """One thing that is not as the rule asks.

    Attributes:
        tensor: its name; with `*` for all blocks where all depart alike.
        what: lr, wd, eps, std, multiplier, attention scale, missing.
        wanted: the value at the large size by the rule, given that at the small.
        small: the value at the small size.
        large: the value at the large size.
        exponent: of the width ratio (of the depth ratio, where width stays), between the two.
        wanted_exponent: the same by the rule.
    """

    tensor: str
    what: str
    wanted: float
    small: float
    large: float
    exponent: float
    wanted_exponent: float

    def __str__(self) -> str:
        if self.what == "missing":
            place = "small" if math.isnan(self.large) else "large"
            return f"{self.tensor}: only in the {place} model"
        return (
            f"{self.tensor}: {self.what} m^{rough(self.exponent)}, wanted m^{rough(self.wanted_exponent)} "
            f"({rough(self.small, 4)} -> {rough(self.large, 4)}, wanted {rough(self.wanted, 4)})"
        )


@dataclass(frozen=True)
class Row:
    """What one tensor (or one tensor of every block) does between the two sizes: exponents of m."""

    tensor: str
    role: str
    guessed: bool  # whether the role is by an assumed layout
    exponents: Mapping[Quantity, float]


@dataclass(frozen=True)
class Audit:
    """What an audit found.

    Attributes:
        rule: the nearest rule, or the one that was asked for.
        reading: coordinates, decay and eps by which it was read, for people.
        same: other rules that the records fit exactly.
        width_ratio: m. depth_ratio: of blocks.
        rows: exponents of every tensor.
        departures: what departs from the rule.
        notes: what cannot be told from these records, and common factors.
    """

    rule: str
    reading: str
    same: tuple[str, ...]
    width_ratio: float
    depth_ratio: float
    rows: tuple[Row, ...]
    departures: tuple[Departure, ...]
    notes: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether nothing departs from the rule."""
        return not self.departures


Source = Record | str | Path | Mapping[str, Any] | Sequence[Any]


def audit(
    small: Source,
    large: Source,
    *,
    rule: Rule | str | Path | Mapping[str, Any] | None = None,
    decay: DecayKind | None = None,
    eps_rule: EpsRule | None = None,
) -> Audit:
    """Audits a stack from records of one model at two sizes.

    Args:
        small: record of the small model: a path or plain data, see `read_record`.
        large: the same stack's larger model.
        rule: that the stack means to follow; None finds the nearest in the catalogue.
        decay: the convention of weight decay that it means to follow; None finds it.
        eps_rule: the same of Adam's eps: `rule`, `fixed` or `scaled`.

    Raises:
        RuleError: a record is not valid, or the two are not one architecture at two sizes; the rule or a
            convention is not known.
    """
    if decay is not None:
        one_of(decay, DECAY_KINDS, "decay", RuleError)
    if eps_rule is not None:
        one_of(eps_rule, get_args(EpsRule), "eps_rule", RuleError)
    one, other = read_record(small), read_record(large)
    pairs = pair_up(one, other)
    judge = _Judge(pairs, one, other)
    ways = readings(one, pairs, rule, decay, eps_rule)
    judged = [(reading, judge(reading)) for reading in ways]
    reading, best = min(judged, key=lambda found: found[1].cost)
    exact = (r.name for r, j in judged if not j.departures and not j.changed and r.name != reading.name)
    return Audit(
        rule=reading.name,
        reading=reading.described(_decays(judged, reading, best)),
        same=tuple(dict.fromkeys(exact)),
        width_ratio=pairs.width_ratio,
        depth_ratio=pairs.depth_ratio,
        rows=_rows(pairs),
        departures=(*_missing(pairs), *best.departures),
        notes=(*best.changed, *_notes(reading, pairs, one, other)),
    )


def _decays(judged: Sequence[tuple[Reading, _Judged]], chosen: Reading, best: _Judged) -> list[DecayKind]:
    """The conventions of decay under which the chosen reading fits as well."""
    alike = [replace(chosen, decay=kind) for kind in DECAY_KINDS]
    fit = best.cost - chosen.cost
    return [r.decay for r, j in judged if r in alike and math.isclose(j.cost - r.cost, fit, abs_tol=1e-9)]


@dataclass(frozen=True)
class _Judged:
    """One reading of one rule against the records, or one quantity of it."""

    cost: float
    departures: tuple[Departure, ...] = ()
    changed: tuple[str, ...] = ()  # common factors that the rule does not have

    def __add__(self, other: _Judged) -> _Judged:
        """Both together."""
        return _Judged(
            self.cost + other.cost, self.departures + other.departures, self.changed + other.changed
        )


class _Judge:
    """Judges readings; what two of them share is worked out once."""

    def __init__(self, pairs: Pairs, small: Record, large: Record) -> None:
        self._pairs, self._sizes = pairs, (small, large)
        self._known: dict[tuple[Any, ...], _Judged] = {}

    def __call__(self, reading: Reading) -> _Judged:
        """A reading against the records."""
        scale = tuple(_attention(reading, *self._sizes))
        return sum((self._part(reading, q) for q in QUANTITIES), _Judged(reading.cost + len(scale), scale))

    def _part(self, reading: Reading, quantity: Quantity) -> _Judged:
        key = (quantity, *reading.key(quantity))
        if key not in self._known:
            parts = (
                self._cheapest(reading, part, quantity) for part in _parts(reading, self._pairs, quantity)
            )
            self._known[key] = sum(parts, _Judged(0.0))
        return self._known[key]

    def _cheapest(self, reading: Reading, part: Sequence[Pair], quantity: Quantity) -> _Judged:
        """The quantity with and without a factor on all tensors beside the rule."""
        logs = {p.name: _log_ratio(p, quantity) - math.log(reading.factor(p, quantity)) for p in part}
        base, found = math.log(_base(self._pairs)), []
        for common in {0.0, _mode(logs.values()) if quantity in ("lr", "wd", "eps") else 0.0}:
            off = [p for p in part if not abs(logs[p.name] - common) <= _tolerance(p, quantity)]
            factor = f"{rough(math.exp(common), 4)} (m^{rough(common / base)})"
            text = f"every {quantity} is x {factor} beside the rule"
            departures = tuple(_departures(reading, base, part, quantity, common, off))
            cost = _shares(part, off) + CHANGED * (common != 0.0)
            found.append(_Judged(cost, departures, (text,) if common else ()))
        return min(found, key=lambda judged: judged.cost)


def _mode(logs: Iterable[float]) -> float:
    """The log of the factor that most tensors share."""
    finite = [value for value in logs if math.isfinite(value)]
    steps = Counter(round(value / TOLERANCE) for value in finite)
    best = max(steps, key=lambda step: steps[step], default=0)
    return next((v for v in finite if round(v / TOLERANCE) == best), 0.0) if best else 0.0


def _parts(reading: Reading, pairs: Pairs, quantity: Quantity) -> list[list[Pair]]:
    """The tensors whose quantity both sizes have and a rule speaks of; Muon's apart, whose eta is another."""
    found: dict[bool, list[Pair]] = {False: [], True: []}
    for pair in pairs.tensors:
        values = (pair.small.settings.get(quantity), pair.large.settings.get(quantity))
        if None in values or values == (0.0, 0.0):
            continue
        if quantity == "std" and not _has_std(pair):
            continue
        found[quantity in ("lr", "wd") and reading.is_muon(pair)].append(pair)
    return [part for part in found.values() if part]


def _log_ratio(pair: Pair, quantity: Quantity) -> float:
    small, large = pair.small.settings[quantity], pair.large.settings[quantity]
    return math.log(large / small) if small > 0 and large > 0 else math.inf


def _tolerance(pair: Pair, quantity: Quantity) -> float:
    """Of a log ratio. A measured std has the sampling error of its entries."""
    if quantity != "std":
        return TOLERANCE
    entries = (math.prod(pair.small.shape), math.prod(pair.large.shape))
    return 0.03 + 5 * math.sqrt(sum(1 / (2 * n) for n in entries))


def _shares(part: Sequence[Pair], off: Sequence[Pair]) -> float:
    """What the tensors that are off cost: their share of each role's, so that large roles weigh no more."""
    all_of, off_of = Counter(p.role for p in part), Counter(p.role for p in off)
    return sum(count / all_of[role] for role, count in off_of.items())


def _departures(
    reading: Reading,
    base: float,
    part: Sequence[Pair],
    quantity: Quantity,
    common: float,
    off: Sequence[Pair],
) -> list[Departure]:
    """Of every tensor that is off; of one for all blocks, where all of them depart alike."""
    everywhere, found = shared(part), []
    for name, group in shared(off).items():
        alike = len(group) == len(everywhere[name]) and len({_values(p, quantity) for p in group}) == 1
        for pair in group[:1] if alike else group:
            small, large = _values(pair, quantity)
            factor = reading.factor(pair, quantity) * math.exp(common)
            exponent = _log_ratio(pair, quantity) / base
            title = name if alike and len(group) > 1 else pair.name
            found.append(
                Departure(title, quantity, small * factor, small, large, exponent, math.log(factor) / base)
            )
    return found


def _values(pair: Pair, quantity: Quantity) -> tuple[float, float]:
    return pair.small.settings[quantity], pair.large.settings[quantity]


def _base(pairs: Pairs) -> float:
    """What exponents are of: the width ratio, or the depth ratio where width stays."""
    return pairs.width_ratio if pairs.width_ratio != 1.0 else pairs.depth_ratio


def _attention(reading: Reading, small: Record, large: Record) -> list[Departure]:
    a, b, d, e = small.attention_scale, large.attention_scale, small.head_dim, large.head_dim
    if a is None or b is None or d is None or e is None or d == e:
        return []
    exponent, wanted = math.log(b / a) / math.log(e / d), reading.rule.attention
    if abs(exponent - wanted) * abs(math.log(e / d)) <= TOLERANCE:
        return []
    return [Departure("attention", "attention scale", a * (e / d) ** wanted, a, b, exponent, wanted)]


def _missing(pairs: Pairs) -> list[Departure]:
    nan = math.nan
    lost = [Departure(name, "missing", nan, 1.0, nan, nan, nan) for name in pairs.only_small]
    return lost + [Departure(name, "missing", nan, nan, 1.0, nan, nan) for name in pairs.only_large]


def _rows(pairs: Pairs) -> tuple[Row, ...]:
    rows: dict[tuple[Any, ...], Row] = {}
    base = math.log(_base(pairs))
    for pair in pairs.tensors:
        exponents: dict[Quantity, float] = {}
        for quantity in QUANTITIES:
            both = (pair.small.settings.get(quantity), pair.large.settings.get(quantity))
            if None not in both and both != (0.0, 0.0):
                exponents[quantity] = _log_ratio(pair, quantity) / base
        # Biases that start at random have std of few entries: their blocks are one row.
        key = (pair.template, *(f"{q}{e:.1f}" for q, e in exponents.items() if q != "std" or _has_std(pair)))
        rows.setdefault(key, Row(pair.template, pair.role, pair.guessed, exponents))
    return tuple(rows.values())


def _has_std(pair: Pair) -> bool:
    """Whether a rule speaks of its std: biases that start at 1/sqrt(fan_in), or at zero, train alike."""
    return pair.role not in ("vector", "scalar")


def _notes(reading: Reading, pairs: Pairs, small: Record, large: Record) -> Iterable[str]:
    """What the records do not show."""
    recorded = {q for pair in pairs.tensors for q in pair.large.settings}
    here = sorted({pair.role for pair in pairs.tensors})
    factors = {role: reading.rule.roles[role].multiplier for role in here}
    wanted = ", ".join(f"{role} m^{precise(e)}" for role, e in factors.items() if e)
    if "multiplier" not in recorded and wanted:
        yield f"not recorded, so not audited: forward multipliers, of which {reading.name} has {wanted}"
    if None in (small.attention_scale, large.attention_scale, small.head_dim, large.head_dim):
        yield "not recorded, so not audited: attention's scale (attention_scale and head_dim beside tensors)"
    if "std" not in recorded:
        yield "not recorded, so not audited: initial std"
    guessed = sorted({pair.template for pair in pairs.tensors if pair.guessed})
    if guessed:
        some = ", ".join(guessed[:3]) + (f" and {len(guessed) - 3} more" if len(guessed) > 3 else "")
        yield f"roles by an assumed layout ([out, in]; kernels [in, out]): {some}; give `role` to be sure"
