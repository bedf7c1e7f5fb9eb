"""Mutation test: changes the source's numbers and operators, one at a time, and counts what the tests catch.

    python benchmarks/mutants.py quantify:60 parametrization:30 quantify/verdict.py:15 --out mutants.csv

Of every target, a package or a module in src/hptransfer, a seeded sample of the given number of changes is
drawn, equally from three kinds:

- constant: a number in an assignment of a module or a class;
- literal: a number in a function. Both are doubled, halved and negated; 0 and whole numbers to 3 grow by 1;
- operator: + and -, * and /, < and >=, > and <= change places, ** becomes *, a minus sign becomes a plus.

Each is made in a copy of src, never in the tree itself, and the tests of the target (`TESTS`, in that order)
run against it until one fails or time is up, which counts as caught (on a busy machine try such a one again:
take its row out of the file). Changes that are in `--out` already are not tried again.

Left out, since no test of results can see them or because they say where and not how much: error texts
(`raise`), texts and their formatting widths (f-strings, + of texts or lists), annotations, decorators,
`__version__` and its like, subscripts, `axis`. Other changes that make no difference cannot be told apart:
read the survivors.
"""

import argparse
import ast
import contextlib
import csv
import os
import queue
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from operator import itemgetter
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
TESTS = {  # by the longest beginning of a target; the recorded numbers last, to tell what only they catch
    "": "tests",
    "quantify": "tests/quantify tests/golden",
    "parametrization": "tests/parametrization tests/cli/test_table.py tests/lm/test_ramps.py "
    "--ignore-glob=*_callbacks.py --ignore-glob=*_distributed.py",
}
KINDS = ("constant", "literal", "operator")
FIELDS = ("target", "kind", "where", "before", "after", "outcome", "by", "seconds")
SWAPS: dict[type, type] = {ast.Add: ast.Sub, ast.Mult: ast.Div, ast.Lt: ast.GtE, ast.Gt: ast.LtE}
SWAPS |= {new: old for old, new in SWAPS.items()} | {ast.Pow: ast.Mult, ast.USub: ast.UAdd}
LEFT_OUT = ("annotation", "returns", "slice", "decorator_list")  # fields of a node
LEAST_SECONDS, MOST_TIMES = 60.0, 4.0  # for a mutant's tests: at least so long, so many times the usual
KEY = itemgetter("where", "before", "after")  # of a row
Row = dict[str, str]


def places(node: Any, kind: str = "constant") -> Iterator[tuple[str, Any, str, object]]:
    """All that may be changed at a node and below: kind, node, field of the node, and its new value."""
    if isinstance(node, ast.Raise | ast.JoinedStr) or getattr(node, "arg", "") == "axis":
        return
    if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]).startswith("__"):
        return
    kind = "literal" if isinstance(node, ast.FunctionDef | ast.Lambda) else kind
    parts = [part for name, part in ast.iter_fields(node) if name not in LEFT_OUT]
    below = [child for part in parts for child in (part if isinstance(part, list) else [part])]
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        value, whole = node.value, isinstance(node.value, int)
        grown = [value + 1] if value == 0 or (whole and value <= 3) else []
        for new in grown or (2 * value, value // 2 if whole else value / 2, -value):
            yield kind, node, "value", new
    elif isinstance(node, ast.Compare) and type(node.ops[0]) in SWAPS:
        yield "operator", node, "ops", [SWAPS[type(node.ops[0])](), *node.ops[1:]]
    elif type(getattr(node, "op", None)) in SWAPS and not any(map(is_sequence, below)):
        yield "operator", node, "op", SWAPS[type(node.op)]()
    for child in below:
        if isinstance(child, ast.AST):
            yield from places(child, kind)


def is_sequence(node: object) -> bool:
    """Whether an operand is a text or a list as written."""
    text = isinstance(node, ast.Constant) and isinstance(node.value, str)
    return text or isinstance(node, ast.JoinedStr | ast.List | ast.ListComp | ast.Tuple)


def sampled(target: str, count: int, seed: int) -> list[Row]:
    """A target's sample; `source` is the whole module as changed."""
    path, found = ROOT / "src/hptransfer" / target, []
    for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
        tree = ast.parse(file.read_text(encoding="utf-8"))
        found += [(file, tree, *place) for place in places(tree)]
    rng, out = random.Random(seed), []
    for i, kind in enumerate(KINDS):
        those = [place for place in found if place[2] == kind]
        for file, tree, _, node, name, new in rng.sample(those, min((count + i) // len(KINDS), len(those))):
            before, old = ast.unparse(node), getattr(node, name)
            setattr(node, name, new)
            where = f"{file.relative_to(ROOT)}:{node.lineno}:{node.col_offset + 1}"
            row = dict(zip(FIELDS, (target, kind, where, before, ast.unparse(node)), strict=False))
            out.append(row | {"source": ast.unparse(tree)})
            setattr(node, name, old)
    return out


def tried(tree: Path, target: str, mutant: Row | None, limit: float | None) -> Row:
    """What the tests say of a mutant, or of the source as it is, in a copy of it."""
    tests = TESTS[max((name for name in TESTS if target.startswith(name)), key=len)].split()
    command = [sys.executable, "-m", "pytest", "-xqrfE", "-m", "not slow", "-p", "no:cacheprovider", *tests]
    settings = {"PYTHONPATH": str(tree / "src"), "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    path = mutant["where"].split(":")[0] if mutant else ""
    if mutant:
        (tree / path).write_text(mutant["source"], encoding="utf-8")
    start = time.monotonic()
    with tempfile.TemporaryFile("w+") as log:
        pipes: dict[str, Any] = {"stdout": log, "stderr": log, "start_new_session": True}
        run = subprocess.Popen(command, cwd=ROOT, env=os.environ | settings, **pipes)
        try:
            outcome = "caught" if run.wait(limit) else "survived"
        except subprocess.TimeoutExpired:
            outcome = "timeout"
        with contextlib.suppress(ProcessLookupError):
            os.killpg(run.pid, signal.SIGKILL)  # with what the tests have left running
        run.wait()
        log.seek(0)
        by = next((line.split(" - ")[0].strip() for line in log if line.startswith(("FAILED", "ERROR"))), "")
    if mutant:
        shutil.copy(ROOT / path, tree / path)
    return {"outcome": outcome, "by": by, "seconds": f"{time.monotonic() - start:.1f}"}


def all_tried(target: str, todo: list[Row], trees: "queue.Queue[Path]") -> Iterator[Row]:
    """Every mutant's row as it is known, as many at a time as there are copies of the source."""
    usual = tried(trees.queue[0], target, None, None)
    if usual["outcome"] != "survived":
        raise SystemExit(f"the tests of {target} must pass on the source as it is, but got {usual}")
    limit = max(LEAST_SECONDS, MOST_TIMES * float(usual["seconds"]))

    def one(mutant: Row) -> Row:
        tree = trees.get()
        try:
            return mutant | tried(tree, target, mutant, limit)
        finally:
            trees.put(tree)

    with ThreadPoolExecutor(trees.qsize()) as pool:
        yield from pool.map(one, todo)


def main() -> None:
    parser = argparse.ArgumentParser(description="Changes numbers and operators; counts what tests catch.")
    parser.add_argument("targets", nargs="+", metavar="TARGET:N", help="package or module: how many changes")
    parser.add_argument("--out", type=Path, default=Path("mutants.csv"))
    parser.add_argument("--jobs", type=int, default=1, help="mutants tried at a time")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    rows = list(csv.DictReader(asked.out.open(encoding="utf-8"))) if asked.out.exists() else []
    trees: queue.Queue[Path] = queue.Queue()
    with tempfile.TemporaryDirectory() as folder, asked.out.open("a", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, FIELDS, extrasaction="ignore", lineterminator="\n")
        if not rows:
            writer.writeheader()
        for job in map(str, range(asked.jobs)):
            shutil.copytree(ROOT / "src", Path(folder, job, "src"), ignore=shutil.ignore_patterns("*.pyc"))
            trees.put(Path(folder, job))
        for target, count in (text.split(":") for text in asked.targets):
            known = set(map(KEY, rows))
            todo = [row for row in sampled(target, int(count), asked.seed) if KEY(row) not in known]
            for row in all_tried(target, todo, trees) if todo else ():
                writer.writerow(row)
                file.flush()
                rows.append(row)
                print(*(row[name] for name in FIELDS[2:]), sep="  ", flush=True)
    print_counts(rows)


def print_counts(rows: list[Row]) -> None:
    """How many of each target and kind were caught, and which were not."""
    for target, kind in sorted({(row["target"], row["kind"]) for row in rows}):
        those = [row["outcome"] for row in rows if (row["target"], row["kind"]) == (target, kind)]
        counts = f"{len(those) - those.count('survived'):3} of {len(those):3} caught"
        print(f"{target:24} {kind:9} {counts}, {those.count('timeout')} by time")
    for row in rows:
        if row["outcome"] == "survived":
            print(f"survived  {row['where']}  {row['before']} -> {row['after']}")


if __name__ == "__main__":
    main()
