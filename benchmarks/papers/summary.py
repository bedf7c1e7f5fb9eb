"""Every claim of both papers on one page, and the advice that follows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from papers import (
    ablations,
    beyond,
    decay,
    depth,
    embedding_ratio,
    embedding_training,
    instability,
    parametrizations,
    probes,
    tokens_per_param,
    wide,
)
from papers.claims import Claim, Status
from papers.collect import read_notes
from papers.page import KALRA, LINGLE, Page

PAGES = (
    ("parametrizations.md", "Sixteen parametrizations", "what each switch of muP does"),
    ("what-e-is.md", "What E is", "which reading of the paper's metric gives its published order"),
    (
        "ablations.md",
        "Lingle's ablations of muP",
        "does the learning rate transfer, by cost and by best place",
    ),
    ("instability.md", "Instability", "spikes, failed runs and the edge, with slow and fast embedding"),
    ("weight-decay.md", "Weight decay", "better fits, less robustness?"),
    ("tokens-per-parameter.md", "Tokens per parameter", "when training grows with the model"),
    ("eight-times-wider.md", "Eight times wider", "a prediction, and the wide model trained"),
    ("embedding-ratio.md", "Embedding ratio and vocabulary", "how fast should the embedding learn?"),
    ("embedding-training.md", "Training and the embedding", "batch size, warmup, a rate that falls"),
    ("depth.md", "Depth", "does the learning rate carry over depth?"),
    ("probes.md", "Do probes foretell transfer?", "what small runs say beforehand"),
    ("beyond.md", "Beyond the papers", "optimizers, vocabularies, other kinds of training"),
)
SOURCES = {
    KALRA: "Kalra and Barkeshli, arXiv:2605.21486",
    LINGLE: "Lingle, arXiv:2404.05728",
    "ours": "Beyond both",
}
# Advice, and the beginnings of the claims that it rests on.
ADVICE = (
    (
        "Raise the embedding's learning rate by the width ratio, in SP too.",
        ("Of the four switches, `embd` lowers",),
    ),
    (
        "SP with that alone is enough; the rest of muP can wait.",
        ("The embedding's larger learning rate alone",),
    ),
    ("Prefer muP to SP for the loss at scale.", ("muP reaches a lower loss than SP at the largest width",)),
    (
        "Prefer muP because its scaling laws fit better.",
        ("muP follows its scaling laws more closely", "`embd` lowers E"),
    ),
    ("Leave the norms' learning rate alone.", ("Scaling the norms' learning rate",)),
    (
        "Raise the embedding's learning rate to make training stable.",
        ("SP's slow embedding makes", "A slow embedding"),
    ),
    ("Use weight decay so that the scaling laws fit better.", ("Weight decay improves",)),
    (
        "Under muP, keep one base learning rate over width.",
        ("baseline muP", "Under AdamW"),
    ),
    ("Do not train the norms' gains under muP.", ("RMSNorm gains",)),
    ("Scale attention by 1/d under muP, not by 1/sqrt(d).", ("SP attention scale",)),
    ("Do not use muP with Lion.", ("Lion:",)),
    (
        "Raise the embedding's learning rate more, the larger the vocabulary.",
        ("The embedding's learning rate matters more",),
    ),
)


def claims() -> list[Claim]:
    """All of them."""
    modules = (
        parametrizations,
        ablations,
        instability,
        decay,
        tokens_per_param,
        wide,
        embedding_ratio,
        embedding_training,
        depth,
        probes,
        beyond,
    )
    return [claim for module in modules for claim in module.claims()]


def write() -> Page:
    """The summary."""
    page = Page("index", "Two papers, tested")
    every = claims()
    count = Counter(claim.status for claim in every)
    order: tuple[Status, ...] = ("supported", "refuted", "not decidable at this scale", "not run yet")
    told = ", ".join(f"{count[status]} {status}" for status in order if count[status])
    page.text(
        "hptransfer exists because of two papers, one that measures the transfer of the learning rate over "
        "width "
        f"({SOURCES[KALRA]}) and one that tries muP in many settings ({SOURCES[LINGLE]}). Here their claims "
        "are tested on models that two CPU cores can train: widths of 16 to 128 instead of 128 to 2,048, "
        "hundreds of steps "
        f"instead of tens of thousands. Of {len(every)} statements: {told}.",
        "A statement is *supported* where the 95% interval of what it claims lies on its side, *refuted* "
        "where it lies on the other, both at the scale named; *not decidable at this scale* where it holds "
        "both. With so many intervals, about one in twenty is on a side by chance. Claims are in our words; "
        "nothing was tuned until it agreed.",
    )
    page.head("Pages")
    page.text("\n".join(f"- [{title}]({path}): {what}" for path, title, what in PAGES))
    for source, title in SOURCES.items():
        page.head(title)
        here = [c for c in every if c.paper == source]
        cases = [[c for c in here if c.words == words] for words in dict.fromkeys(c.words for c in here)]
        page.table(("claim", "answer", "found", "tested at", ""), [_row(each) for each in cases])
    _advice(page, every)
    _tables(page)
    return page


def _row(cases: list[Claim]) -> tuple[str, ...]:
    """A claim with its answer in every case; cases with one answer share it."""
    first, statuses = cases[0], list(dict.fromkeys(c.status for c in cases))
    if len(statuses) == 1:
        answer = f"**{statuses[0]}**"
    else:
        answer = "; ".join(f"**{c.status}** ({c.case})" for c in cases)
    several = len(cases) > 1
    evidence = "; ".join(f"{c.case}: {c.evidence}" if several else c.evidence for c in cases)
    scales = "; ".join(dict.fromkeys(c.scale for c in cases))
    return first.words, answer, evidence, scales, f"[page]({_path(first.page)})"


def _path(name: str) -> str:
    return next(path for path, _, _ in PAGES if path == f"{name}.md")


def verdict(every: Iterable[Claim], starts: tuple[str, ...]) -> tuple[str, list[Claim]]:
    """Whether advice follows from the claims that begin so, and these claims.

    A claim that the learning rate does not transfer counts for advice against a setting.
    """
    found = [c for c in every if c.words.startswith(starts)]
    states = {c.status for c in found} - {"not run yet"}
    if not states:
        return "not run yet", found
    if states == {"supported"}:
        return "follows", found
    if "refuted" in states:
        return "does not follow", found
    return "partly" if "supported" in states else "not shown", found


def _advice(page: Page, every: list[Claim]) -> None:
    page.head("Advice")
    page.text(
        "Recommendations of the sources, and ours, by whether they follow from these runs: *follows* where "
        "every claim behind it is supported, *partly* where some are and none is refuted, *does not follow* "
        "where one is refuted, *not shown* where none is decided."
    )
    rows = []
    for advice, starts in ADVICE:
        word, found = verdict(every, starts)
        count = Counter(c.status for c in found)
        rows.append((advice, f"**{word}**", ", ".join(f"{n} {status}" for status, n in count.items())))
    page.table(("advice", "", "claims behind it"), rows)


def _tables(page: Page) -> None:
    page.head("Where the numbers come from")
    page.text(
        "Each number is written by `make paper` from the tables in `benchmarks/papers/tables` (and "
        "`benchmarks/corpus`); `make paper` takes minutes. The specs are in `examples/papers`, and the "
        "ablations are the preset `lingle2024 --size tiny --ablation NAME` at widths 16, 32, 64, 96 and 128. "
        "To add a study: run it, then `python -m papers.collect FOLDER`, then `make paper`. Not run: a model "
        "eight times wider than the largest fitted one, transfer over depth, batch size and warmup, widths "
        "of 256 and more."
    )
    rows = [
        (
            f"`{name}`",
            made["runs"],
            ", ".join(map(str, made["seeds"])),
            f"`{str(made['commit'])[:7]}`",
            made["torch"],
        )
        for name, made in sorted(read_notes().items())
    ]
    page.table(("table", "runs", "seeds", "commit", "PyTorch"), rows)
