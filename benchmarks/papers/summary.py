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
from papers.claims import Claim, Status, claim_table
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
RATIO = embedding_ratio.WORDS
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
        ("The embedding's learning rate matters more", "An embedding whose learning rate is the hidden one"),
    ),
    (
        "With a large vocabulary, let the embedding's learning rate grow less than the width.",
        (f"{RATIO} less", f"{RATIO} more slowly"),
    ),
    (
        "Let the embedding's learning rate fall over training rather than stay high.",
        ("An embedding's learning rate that falls", "A falling embedding rate"),
    ),
    (
        "Mind the embedding's learning rate most where batches are small.",
        ("A larger batch lessens",),
    ),
    (
        "Give a slow embedding a longer warmup.",
        ("A longer warmup lessens",),
    ),
    (
        "Use a rule for depth when the depth changes.",
        ("A rule for depth",),
    ),
    (
        "Keep one learning rate over depth under muP without a rule for depth.",
        ("Over depth, the learning rate can be kept under `mup`",),
    ),
    (
        "Trust a fit's prediction at eight times its largest width (one seed).",
        ("At eight times the largest", "There the predicted learning rate"),
    ),
    (
        "Probe small runs instead of fitting them.",
        ("A probe in runs",),
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
    paths = {path.removesuffix(".md"): path for path, _, _ in PAGES}
    for source, title in SOURCES.items():
        page.head(title)
        claim_table(page, [c for c in every if c.paper == source], paths)
    _advice(page, every)
    _tables(page)
    return page


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
        "Grids that vary more than one spec can say are in `benchmarks/papers/grids.yaml` and are trained by "
        "`python -m papers.train NAME --out FOLDER`. To add a study: run it, then `python -m papers.collect "
        "FOLDER`, then `make paper`. Not run: anything on "
        "a GPU: widths of 256 to 1,024 but for a handful of runs, and thousands of steps."
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
