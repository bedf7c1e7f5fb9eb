"""How a rule can be meant in another stack: coordinates, decay convention, eps, Muon. No torch here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Any, get_args

from hptransfer.parametrization.audit_pairs import Pair, Pairs
from hptransfer.parametrization.audit_records import Quantity, Record
from hptransfer.parametrization.catalogue import CATALOGUE
from hptransfer.parametrization.coordinates import COORDINATES
from hptransfer.parametrization.custom import as_rule
from hptransfer.parametrization.optimizers import (
    OPTIMIZERS,
    DecayKind,
    Family,
    MuonAdjust,
    word_in_class_name,
)
from hptransfer.parametrization.rule import Rule
from hptransfer.parametrization.rule_arithmetic import in_coordinates
from hptransfer.parametrization.tensor_settings import (
    EpsRule,
    GroupSettings,
    Growth,
    TrainingSettings,
    group_settings,
)

RARE = 1.2  # what a rule costs that is muP or SP but for one or two settings: more often these are faults
# Conventions that are looked for, the likeliest first; one by width alone would make a fault look right.
_DECAYS: tuple[DecayKind, ...] = ("coupled", "mup", "independent")
_USUAL = ("sp", "mup")  # of the 16 variants
_OWN: Mapping[Quantity, str] = {"lr": "lr", "wd": "weight_decay", "std": "init", "eps": "eps"}


@dataclass(frozen=True)
class Reading:
    """One way to read a rule."""

    rule: Rule  # in the coordinates that the stack's eta is in
    optimizer: str  # of the tensors that Muon does not train
    decay: DecayKind
    eps: EpsRule
    adjust: MuonAdjust
    all_muon: bool  # whether the record's own optimizer is Muon: then of all hidden matrices
    pairs: Pairs = field(repr=False, compare=False)
    _known: dict[tuple[bool, Growth], GroupSettings] = field(
        default_factory=dict, repr=False, compare=False, init=False
    )

    @property
    def name(self) -> str:
        """The rule's."""
        return self.rule.name

    def described(self, decays: Sequence[str]) -> str:
        """Coordinates, decay and eps, in words; of decay all conventions that fit as well."""
        muon = f", Muon's LR as under {self.adjust}" if self.has_muon else ""
        eps = "as the rule says" if self.eps == "rule" else self.eps
        return f"{self.rule.coordinates} coordinates, weight decay {' or '.join(decays)}, eps {eps}{muon}"

    @property
    def cost(self) -> float:
        """What it costs to believe this reading, where another fits as well."""
        rare = (
            self.rule.source.startswith(("Kalra", "Everett", "Hayou", "Mlodozeniec"))
            and self.name not in _USUAL
        )
        known = self.decay in _DECAYS  # another one has been asked for
        unusual = 0.01 * (_DECAYS.index(self.decay) if known else 0) + 0.01 * (self.eps != "rule")
        return RARE * rare + unusual

    @cached_property
    def has_muon(self) -> bool:
        """Whether Muon trains a tensor."""
        return any(self.is_muon(pair) for pair in self.pairs.tensors)

    def is_muon(self, pair: Pair) -> bool:
        """Whether Muon trains the tensor."""
        own = pair.large.optimizer
        return "muon" in own if own is not None else self.all_muon and pair.role == "hidden"

    def factor(self, pair: Pair, quantity: Quantity) -> float:
        """Large / small value of a setting by this reading."""
        wanted = self._settings(self.is_muon(pair), self.pairs.growth(pair))
        value = getattr(wanted, _OWN.get(quantity, quantity))
        return 1.0 if value is None else float(value)

    def key(self, quantity: Quantity) -> tuple[str, ...]:
        """All that a quantity depends on."""
        more = {"wd": (self.decay, self.adjust), "lr": (self.adjust,), "eps": (self.eps,)}
        return (self.name, self.rule.coordinates, *more.get(quantity, ()))

    def _settings(self, muon: bool, growth: Growth) -> GroupSettings:
        if (muon, growth) not in self._known:
            name = "muon" if muon else self.optimizer
            training = TrainingSettings(name, 1.0, 1.0, 1.0, self.decay, self.eps, self.adjust)
            rule = in_coordinates(self.rule, "mup") if muon else self.rule
            self._known[muon, growth] = group_settings(rule, growth, training)
        return self._known[muon, growth]


def readings(
    record: Record,
    pairs: Pairs,
    rule: Rule | str | Path | Mapping[str, Any] | None,
    decay: DecayKind | None = None,
    eps_rule: EpsRule | None = None,
) -> Iterator[Reading]:
    """Every way to read the rule, or every rule of the catalogue, that the optimizer allows."""
    word = word_in_class_name(record.optimizer) or "adam"
    exact = record.optimizer if record.optimizer in OPTIMIZERS else {"adam": "adamw"}.get(word, word)
    optimizer = "adamw" if exact == "muon" else exact
    family: Family = "sgd" if word == "sgd" else "adam"
    rules = [r for (_, f), r in CATALOGUE.items() if f == family] if rule is None else [as_rule(rule, family)]
    any_muon = word == "muon" or any("muon" in (p.large.optimizer or "") for p in pairs.tensors)
    decays = [kind for kind in sorted(_DECAYS) if OPTIMIZERS[optimizer].takes_decay(kind)]
    decays = decays if decay is None else [decay]
    eps_rules = get_args(EpsRule) if eps_rule is None else (eps_rule,)
    adjusts = get_args(MuonAdjust) if any_muon else ("original",)
    for chosen in rules:
        coordinates = COORDINATES if family == "adam" else (chosen.coordinates,)
        for read_in, kind, eps, adjust in product(coordinates, decays, eps_rules, adjusts):
            yield Reading(
                in_coordinates(chosen, read_in), optimizer, kind, eps, adjust, word == "muon", pairs
            )
