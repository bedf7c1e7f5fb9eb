"""A claim of a paper and what our runs say of it: supported, refuted, or not decidable at this scale."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

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
    claim_table(page, claims)


def claim_table(page: Page, claims: Sequence[Claim], paths: Mapping[str, str] | None = None) -> None:
    """Claims with their answers, a row a claim, and below it at what scales they were tested.

    With `paths`, the files of the pages by name, each claim links to its page.
    """
    scales = {
        scale: chr(ord("a") + i) for i, scale in enumerate(dict.fromkeys(c.scale for c in claims if c.scale))
    }
    cases = [[c for c in claims if c.words == words] for words in dict.fromkeys(c.words for c in claims)]
    several = len(scales) > 1
    rows = []
    for each in cases:
        words, answer, evidence = _row(each)
        at = ", ".join(dict.fromkeys(scales[c.scale] for c in each if c.scale))
        row = [words if paths is None else f"[{words}]({paths[each[0].page]})", answer, evidence]
        rows.append([*row, at] if several else row)
    page.table(("claim", "answer", "found", *(["at"] if several else [])), rows)
    if scales:
        told = "; ".join(f"*{letter}*: {scale}" if several else scale for scale, letter in scales.items())
        page.text(f"Tested at {told}.")


def _row(cases: Sequence[Claim]) -> tuple[str, str, str]:
    """A claim with its answer in every case; cases with one answer share it."""
    statuses, several = list(dict.fromkeys(c.status for c in cases)), len(cases) > 1
    if len(statuses) == 1:
        answer = f"**{statuses[0]}**"
    else:
        answer = "; ".join(f"**{c.status}** ({c.case})" for c in cases)
    evidence = "; ".join(
        f"{c.case}: {c.evidence}" if several and c.case and c.case not in c.evidence else c.evidence
        for c in cases
    )
    return cases[0].words, answer, evidence


def not_run(page: Page, *studies: str) -> None:
    """Says that a page's study has not been run."""
    listed = ", ".join(f"`{name}`" for name in studies)
    page.text(
        f"**Not run yet.** This page will be written from the table of {listed}; see [the summary](index.md)."
    )


def scale_of(*studies: str) -> str:
    """What was trained in studies that differ in widths and seeds alone, in a few words."""
    each = [cast(dict[str, Any], spec_of(study)["spec"]) for study in studies]
    train, model = each[0]["train"], {"depth": 2, "vocab": 512} | each[0]["model"]
    widths = sorted({width for spec in each for width in spec["widths"]})
    length = (
        f"{train['steps']} steps" if "steps" in train else f"{train['tokens_per_param']:g} token a parameter"
    )
    shape = f"depth {model['depth']}, vocabulary {model['vocab']:,}"
    seeds = len({seed for spec in each for seed in spec.get("seeds", [0])})
    plural = "s" if len(widths) > 1 else ""
    shown = ", ".join(map(str, widths))
    return f"width{plural} {shown}; {shape}, {length}, {seeds} seed{'s' if seeds > 1 else ''}"


def found(label: str, item: Estimate | Draws | None) -> str:
    """A number with its name."""
    return f"{label} {interval(item)}"
