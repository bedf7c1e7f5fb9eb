"""Train grids that one study cannot hold (`grids.yaml`): the same study under every choice of some options.

    PYTHONPATH=src:benchmarks python -m papers.train embedding-ratio depth --out runs/papers

A grid is the runs of a spec, repeated with every combination of the values under `vary`. Runs of one shape
train together in one process, the cheapest first. What is trained is kept (`runs.jsonl`), so that a grid that
was stopped goes on where it was; a grid that is finished has `runs.csv`, which `papers.collect` takes.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from hptransfer.runs.config import RunRecord, RunSpec
from hptransfer.runs.flops import run_flops
from hptransfer.study.presets import preset
from hptransfer.study.provenance import provenance
from hptransfer.study.spec import StudySpec, load_study
from hptransfer.study.stacks import cut

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
GRIDS = HERE / "grids.yaml"
Row = dict[str, Any]


@dataclass(frozen=True)
class Grid:
    """One entry of `grids.yaml`."""

    name: str  # of its table
    study: str | Mapping[str, str]  # a file of a spec, from the repository's root; or a preset's arguments
    set: Sequence[str] = ()  # keys of the spec that are changed, as `--set` would
    vary: Mapping[str, Sequence[Any]] | None = None  # by key of the spec, the values it takes
    base_depth: int | None = None  # where rules of depth are alike

    def spec(self, changes: Iterable[str] = ()) -> StudySpec:
        """The study with these changes."""
        every = [*self.set, *changes]
        if isinstance(self.study, str):
            return load_study(ROOT / self.study, every)
        return preset(overrides=every, **self.study)

    def runs(self) -> list[tuple[Row, RunSpec]]:
        """All runs with the columns that say which they are."""
        vary = self.vary or {}
        found = []
        for values in product(*vary.values()):
            changed = dict(zip(vary, values, strict=True))
            spec = self.spec(f"{key}={json.dumps(value)}" for key, value in changed.items())
            found += [({**changed, **row}, run) for row, run in _runs_of(spec, self.base_depth)]
        return found


def _runs_of(spec: StudySpec, base_depth: int | None) -> Iterable[tuple[Row, RunSpec]]:
    places = product(spec.variants_with_decay(), spec.widths, range(spec.lr.count), spec.seeds)
    for variant, width, index, seed in places:
        run = spec.run(variant, width, index, seed).model_copy(update={"base_depth": base_depth})
        row = {"variant": variant, "width": width, "lr": run.lr, "lr_mup": spec.lr_at(index, width, "mup")}
        yield {**row, "seed": seed, "weight_decay": run.train.weight_decay}, run


def read_grids(path: Path = GRIDS) -> dict[str, Grid]:
    """All grids of the file by name."""
    return {name: Grid(name, **entry) for name, entry in yaml.safe_load(path.read_text()).items()}


def parts(grid: Grid, finished: Iterable[str]) -> list[list[tuple[Row, RunSpec]]]:
    """What is left to train, cut into stacks, the cheapest first."""
    from hptransfer.lm.stack import stack_key

    done, by_key = {*finished}, dict[Hashable, list[tuple[Row, RunSpec]]]()
    for row, run in grid.runs():
        if run.run_id not in done:
            by_key.setdefault(stack_key(run), []).append((row, run))
    most = grid.spec().stack
    left = [list(part) for items in by_key.values() for part in cut(items, most)]
    return sorted(left, key=lambda part: run_flops(part[0][1]) * len(part))


def train(grid: Grid, folder: Path) -> pd.DataFrame:
    """Train what is missing of a grid; its whole table."""
    from hptransfer.lm.train import train_stack

    folder.mkdir(parents=True, exist_ok=True)
    kept = folder / "runs.jsonl"
    lines = kept.read_text().splitlines() if kept.exists() else []
    rows = {row["run_id"]: row for row in map(json.loads, lines)}
    left = parts(grid, rows)
    for number, part in enumerate(left):
        start = time.time()
        records = train_stack([run for _, run in part], compiled=grid.spec().compile != "never")
        new = [{**row, **outcome(record)} for (row, _), record in zip(part, records, strict=True)]
        with kept.open("a") as file:
            file.writelines(json.dumps(row) + "\n" for row in new)
        rows |= {row["run_id"]: row for row in new}
        shape = f"width {part[0][0]['width']}, {len(part)} runs"
        print(
            f"{grid.name}: stack {number + 1} of {len(left)}, {shape}, {time.time() - start:.0f} s",
            flush=True,
        )
    return pd.DataFrame([rows[run.run_id] for _, run in grid.runs()])


def outcome(record: RunRecord) -> Row:
    """The columns of a run's table that say what became of it."""
    heights = [math.inf if height is None else height for _, _, height, _ in record.spikes or ()]
    return {
        "run_id": record.run_id,
        "loss": record.loss if record.status == "done" else math.nan,
        "status": record.status,
        "initial_loss": record.initial_loss,
        "params": record.params,
        "spikes": len(heights),
        "spike_nats": max(heights, default=0.0),
    }


def note(grid: Grid) -> dict[str, Any]:
    """What made a grid's table."""
    spec = grid.spec()
    said = spec.model_dump(mode="json", exclude_defaults=True)
    return {**provenance(spec), "spec": said, "vary": grid.vary or {}, "base_depth": grid.base_depth}


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    known = read_grids()
    parser.add_argument(
        "grids", nargs="+", choices=sorted(known), metavar="GRID", help=", ".join(sorted(known))
    )
    parser.add_argument("--out", type=Path, required=True, help="folder in which each grid has its own")
    options = parser.parse_args()
    for name in options.grids:
        folder = options.out / name
        if (folder / "runs.csv").exists():
            continue
        table = train(known[name], folder)
        (folder / "grid.json").write_text(json.dumps(note(known[name]), indent=1))
        table.to_csv(folder / "runs.csv", index=False, lineterminator="\n")


if __name__ == "__main__":
    main()
