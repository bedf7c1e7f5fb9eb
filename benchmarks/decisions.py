"""How often the two answers are right: never yes where nothing carries, settled where it clearly does or not.

    python benchmarks/decisions.py --studies 1000 --followed 50 --out decisions.jsonl

Null studies (nothing carries), clear ones (it does, or clearly does not), both simulated, and series of the
corpus of real trainings, seen up to one width and judged at the next by all seeds. Suggested runs of some
clear studies are made and fitted. With `--out`, every study is a line of a file, those that are there are not
judged again, and what there is is reported: a run of hours may be ended and begun again.
"""

from __future__ import annotations

import argparse
import json
import math
from collections import Counter
from collections.abc import Iterator
from functools import cache
from itertools import zip_longest
from pathlib import Path

import numpy as np

from decision_worlds import CLEAR, NULLS, World, joined, run, world
from hptransfer.fit import quantify
from hptransfer.quantify.result import VariantFit
from hptransfer.quantify.suggest import is_settled
from hptransfer.sweep.table import SweepTable
from real_series import Case, cases, corpus_series, truth_at

Row = dict[str, object]
NEXT = 1.1  # octaves ahead that count as the next width
CORPUS_TOLERANCE = 0.01  # nats
CLEARLY = 2.0  # times the tolerance: a true cost above it, or below its inverse, is to be told


def wrong(w: World, fit: VariantFit) -> tuple[bool, bool]:
    """Whether a yes to keeping, and one to following the law, costs more than the tolerance anywhere."""
    verdict, places = fit.verdict, [*w.scale.tolist(), w.target]
    keep = law = False
    if verdict.keep.value == "yes" and verdict.kept_hp.value is not None:
        keep = bool(max(w.cost(n, verdict.kept_hp.value) for n in places) > w.tolerance)
    if verdict.extrapolate.value == "yes" and fit.predictions[0].hp_recommended is not None:
        law = bool(w.cost(w.target, fit.predictions[0].hp_recommended) > w.tolerance)
    return keep, law


def simulated(family: str, seed: int, follow: bool) -> Row:
    """One simulated study: both answers, whether they are right, and what following suggested runs did."""
    w, rng = world(family, seed), np.random.default_rng([seed, 1])
    sweep = run(w, rng)
    fit = quantify(sweep, targets=(w.target,), suggest=follow).variants["v"]
    keep, law = wrong(w, fit)
    out: Row = {"keep": fit.verdict.keep.value, "law": fit.verdict.extrapolate.value}
    out |= {"wrong keep": keep, "wrong law": law, "word": fit.verdict.value}
    found = fit.verdict.suggested
    if follow and found is not None:
        out["offered"] = bool(found.runs)
        if found.runs:
            more = joined(sweep, run(w, rng, list(found.runs)))
            again = quantify(more, targets=(w.target,)).variants["v"]
            out |= {"promised": found.settles, "settled": is_settled(fit.verdict, again.verdict)}
            out |= {"price": found.cost_share}
    return out


@cache
def corpus_cases() -> list[Case]:
    """Every series of the corpus cut below a width, with the truth at the next, in a fixed random order."""
    found = [case for series in corpus_series() for case in cases(series) if case.ahead <= NEXT]
    return [found[i] for i in np.random.default_rng(0).permutation(len(found))]


def real(index: int) -> Row:
    """One case of the corpus; true costs are those of all its seeds, None off the grid."""
    case = corpus_cases()[index]
    runs, target = case.runs, case.truth.scale
    columns = (runs["scale"], 2.0 ** runs["x"], runs["seed"], runs["loss"])
    sweep = SweepTable(np.array(["v"] * len(runs)), *(column.to_numpy() for column in columns))
    fit = quantify(sweep, targets=(target,)).variants["v"]
    verdict = fit.verdict
    kept, used = fit.optima[0].hp.value, fit.predictions[0].hp_recommended
    truths = [truth_at(case.series.every, n) for n in np.unique(runs["scale"])[1:]]
    places = [case.truth, *(truth for truth in truths if truth is not None)]
    keep_cost = None if kept is None else max(place.cost_at(float(np.log2(kept))) for place in places)
    law_cost = None if used is None else case.truth.cost_at(float(np.log2(used)))
    out: Row = {"keep": verdict.keep.value, "law": verdict.extrapolate.value, "word": verdict.value}
    for name, answer, cost in (("keep", verdict.keep, keep_cost), ("law", verdict.extrapolate, law_cost)):
        known = cost is not None and math.isfinite(cost)
        out |= {f"{name} cost": cost if known else None}
        out |= {f"wrong {name}": answer.value == "yes" and known and bool(cost > CORPUS_TOLERANCE)}
    return out


def tasks(studies: int, followed: int) -> Iterator[tuple[str, int, bool]]:
    """(family, seed or index, whether suggested runs are made), kinds in turn, so that a part is a sample."""
    nulls = [(NULLS[i % len(NULLS)], i, False) for i in range(studies)]
    every = max(studies // max(followed, 1), 1)
    clear = [(CLEAR[i % len(CLEAR)], i, followed > 0 and i % every == 0) for i in range(studies)]
    corpus = [("corpus", i, False) for i in range(min(studies, len(corpus_cases())))]
    for group in zip_longest(nulls, clear, corpus):
        yield from (task for task in group if task is not None)


def judged(family: str, seed: int, follow: bool) -> Row:
    """One study with its name."""
    row = real(seed) if family == "corpus" else simulated(family, seed, follow)
    return {"family": family, "seed": seed, "follow": follow} | row


def _share(rows: list[Row], key: str, value: object = True) -> str:
    hits = sum(row.get(key) == value for row in rows)
    return f"{hits}/{len(rows)} = {hits / max(len(rows), 1):.3f}"


def _report_nulls(rows: list[Row]) -> None:
    print("null studies: a yes whose true cost exceeds the tolerance, of all studies (target 0.025)")
    for family in (*NULLS, "all"):
        some = [r for r in rows if r["family"] == family or (family == "all" and r["family"] in NULLS)]
        words = dict(Counter(str(r["word"]) for r in some))
        print(f"  {family:10s} keep {_share(some, 'wrong keep')}  law {_share(some, 'wrong law')}  {words}")


def _report_clear(rows: list[Row]) -> None:
    print("clear studies: settled, and rightly (target 0.8)")
    right = {"stays": ("yes", ""), "falls": ("no", "yes"), "falls_half": ("no", "yes")}
    for family in CLEAR:
        some = [r for r in rows if r["family"] == family]
        keep, law = right[family]
        both = [r for r in some if r["keep"] == keep and (not law or r["law"] == law)]
        print(f"  {family:10s} keep {_share(some, 'keep', keep)}  both {len(both)}/{len(some)}")
        print(f"             wrong yes: keep {_share(some, 'wrong keep')}, law {_share(some, 'wrong law')}")


def _report_corpus(rows: list[Row]) -> None:
    some = [r for r in rows if r["family"] == "corpus"]
    print(f"corpus: wrong yes: keep {_share(some, 'wrong keep')}, law {_share(some, 'wrong law')}")
    for name in ("keep", "law"):
        costs = {id(r): float(str(r[f"{name} cost"])) for r in some if r[f"{name} cost"] is not None}
        for answer, clear in (
            ("no", [r for r in some if costs.get(id(r), 0.0) > CLEARLY * CORPUS_TOLERANCE]),
            ("yes", [r for r in some if costs.get(id(r), np.inf) < CORPUS_TOLERANCE / CLEARLY]),
        ):
            against = "yes" if answer == "no" else "no"
            print(
                f"  {name}: truly {answer:3s} settled rightly {_share(clear, name, answer)}, "
                f"wrongly {_share(clear, name, against)}"
            )


def _report_suggestions(rows: list[Row]) -> None:
    asked = [r for r in rows if "offered" in r]
    offered = [r for r in asked if r["offered"]]
    print(
        f"suggested runs: offered {_share(asked, 'offered')}; "
        f"followed once they settle {_share(offered, 'settled')}"
    )
    if offered:
        print(f"  promised {np.mean([float(str(r['promised'])) for r in offered]):.2f} on average")
        prices = np.quantile([float(str(r["price"])) for r in offered], [0.1, 0.5, 0.9])
        print(f"  price, of what was spent: {np.round(prices, 2)}")


def main() -> None:
    """Judge what is missing, and report all there is."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--studies", type=int, default=1000, help="null studies; as many clear and real ones")
    parser.add_argument(
        "--followed", type=int, default=50, help="clear studies whose suggested runs are made"
    )
    parser.add_argument("--out", type=Path, help="file of lines that keeps every study judged")
    parser.add_argument("--report", action="store_true", help="judge none, report those of --out")
    args = parser.parse_args()
    kept = args.out.read_text().splitlines() if args.out and args.out.exists() else []
    rows: list[Row] = [json.loads(line) for line in kept]
    done = {(row["family"], row["seed"]) for row in rows}
    for task in () if args.report else tasks(args.studies, args.followed):
        if task[:2] not in done:
            rows.append(judged(*task))
            if args.out:
                with args.out.open("a") as file:
                    file.write(json.dumps(rows[-1]) + "\n")
    for report in (_report_nulls, _report_clear, _report_corpus, _report_suggestions):
        report(rows)


if __name__ == "__main__":
    main()
