"""A claim of a paper and what our runs say of it: supported, refuted, or not decidable at this scale."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from hptransfer.quantify.result import Estimate
from papers.data import Draws, spec_of
from papers.page import Page, interval

Status = Literal["supported", "refuted", "not decidable at this scale", "not run yet"]


@dataclass(frozen=True)
class Claim:
    """One claim with its answer."""

    paper: str  # arXiv number
    words: str  # what is claimed
    status: Status
    evidence: str  # the numbers that decide it
    scale: str  # at which it was tested
    page: str  # that shows it
    case: str = ""  # in which case it was tested, where there are several, such as a weight decay


def judge(found: Estimate | Draws | None, limit: float = 0.0, *, above: bool = True) -> Status:
    """Whether an interval lies wholly on the claimed side of a limit, wholly on the other, or on both."""
    if isinstance(found, Draws):
        found = Estimate(found.value, *found.interval)
    if found is None or found.low is None or found.high is None:
        return "not decidable at this scale"
    if found.low <= limit <= found.high:
        return "not decidable at this scale"
    return "supported" if (found.low > limit) == above else "refuted"


def all_of(statuses: Iterable[Status]) -> Status:
    """Of a claim in several parts: supported where all are, refuted where one is."""
    each = list(statuses)
    if "refuted" in each:
        return "refuted"
    return "supported" if each and all(s == "supported" for s in each) else "not decidable at this scale"


def answers(page: Page, claims: Sequence[Claim]) -> None:
    """The section that answers a page's claims."""
    page.head("The answer")
    page.table(
        ("claim", "answer", "found", "tested at"),
        [
            (", ".join(filter(None, (c.words, c.case))), f"**{c.status}**", c.evidence, c.scale)
            for c in claims
        ],
    )


def not_run(page: Page, *studies: str) -> None:
    """Says that a page's study has not been run."""
    listed = ", ".join(f"`{name}`" for name in studies)
    page.text(
        f"**Not run yet.** This page will be written from the table of {listed}; see [the summary](index.md)."
    )


def scale_of(study: str) -> str:
    """What was trained in a study, in a few words."""
    spec = spec_of(study)["spec"]
    assert isinstance(spec, dict)
    train, model = spec["train"], {"depth": 2, "vocab": 512} | spec["model"]
    widths = ", ".join(map(str, spec["widths"]))
    length = (
        f"{train['steps']} steps" if "steps" in train else f"{train['tokens_per_param']:g} token a parameter"
    )
    shape = f"depth {model['depth']}, vocabulary {model['vocab']:,}"
    return f"widths {widths}; {shape}, {length}, {len(spec['seeds'])} seeds"


def found(label: str, item: Estimate | Draws | None) -> str:
    """A number with its name."""
    return f"{label} {interval(item)}"
