"""Small real tables that come with the package, to try it on."""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from types import MappingProxyType

from hptransfer.errors import SweepError, one_of
from hptransfer.sweep.read import read
from hptransfer.sweep.table import SweepTable


@dataclass(frozen=True)
class Example:
    """One table: a part of the corpus of small trainings in `benchmarks/corpus`, or a study."""

    setup: str | None  # of `benchmarks/corpus/setups.yaml` that trained it; None: the demonstration study
    variants: tuple[str, ...]  # that were taken from it
    about: str  # what it is, in one sentence
    target: int  # a width to ask about
    tolerance: float | None = None  # nats that count as none, where it is not the default


EXAMPLES: Mapping[str, Example] = MappingProxyType(
    {
        "widths": Example(
            "text",
            ("sp", "mup"),
            "decoders of width 8 to 64 with AdamW on the source of Python's standard library, under standard "
            "parametrization and muP, 6 to 8 seeds",
            256,
        ),
        "decay": Example(
            "decay",
            ("mup weight_decay=0.3", "mup weight_decay=0.003 decay_kind=independent"),
            "decoders of width 8 to 48 under muP, with coupled and with independent weight decay",
            192,
        ),
        "tokens": Example(
            "tokens_per_param",
            ("sp", "mup"),
            "decoders of width 8 to 48, each trained on as many tokens as it has parameters",
            192,
        ),
        "demo": Example(
            None,
            ("sp", "sp+embd", "mup"),
            "decoders of width 32 to 128 under standard parametrization, under muP, and with the embedding's "
            "learning rate alone as in muP: what `hptransfer demo` trains",
            256,
            0.03,
        ),
    }
)


def example_text(name: str) -> str:
    """The CSV of an example, with the columns of `benchmarks/corpus`.

    Raises:
        SweepError: there is none of that name.
    """
    one_of(name, EXAMPLES, "an example", SweepError)
    packed = files("hptransfer.sweep") / "example_tables" / f"{name}.csv.gz"
    return gzip.decompress(packed.read_bytes()).decode()


def example(name: str = "widths") -> SweepTable:
    """A small real sweep that comes with the package.

    Args:
        name: `widths`, `decay`, `tokens` or `demo`; `hptransfer example` says what each is.

    Raises:
        SweepError: there is none of that name.
    """
    header, *rows = example_text(name).splitlines()
    names = header.split(",")
    return read([dict(zip(names, row.split(","), strict=True)) for row in rows])
