"""Train the corpus: real series of small models whose optimum is known from many seeds.

    python benchmarks/corpus/build.py --minutes 110 --processes 2

A unit is one width of a set-up (`setups.yaml`), all its variants together. Its pilot is one seed on learning
rates half an octave apart over seven octaves, carried further where its lowest loss is near an end. The other
seeds train `LEFT` half octaves below and `RIGHT` above the pilot's lowest loss. A unit that is finished is a
file in `--work`, so a build that was stopped resumes; a set-up with all its units becomes
`tables/SETUP.csv.gz`, with what trained it in `tables/provenance.json`.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import hashlib
import io
import json
import math
import multiprocessing as mp
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

from hptransfer.parametrization.coordinates import convert_lr
from hptransfer.parametrization.optimizers import family
from hptransfer.runs.config import DataConfig, ModelConfig, RunSpec, TrainConfig

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
BASE_WIDTH = 32  # of every rule
PILOT = 7  # half-octave learning rates on either side of a set-up's centre
LEFT, RIGHT = 5, 3  # half-octave learning rates of the other seeds on either side of the pilot's lowest loss
EXTEND = 4  # learning rates by which a pilot grows whose lowest loss is near an end
BFLOAT16_FROM = 32  # width from which matrix products are in bfloat16, where that is faster
FEWER_FROM, FEWER = (
    32,
    6,
)  # seeds of widths from there on, where one seed's optimum differs less from another's
STACK = 24  # runs trained together, always: another number would be compiled anew
COLUMNS = ("variant", "width", "lr", "lr_mup", "seed", "loss", "initial_loss", "steps", "params")

Row = dict[str, Any]


@dataclass(frozen=True)
class Setup:
    """One entry of `setups.yaml`, merged with the defaults."""

    name: str
    widths: tuple[int, ...]
    seeds: int
    centre: float  # log2 of the pilot's middle learning rate, muP coordinates
    model: Mapping[str, Any]
    data: Mapping[str, Any]
    train: Mapping[str, Any]
    variants: tuple[tuple[str, str, Mapping[str, Any]], ...]  # name, rule, what it changes in `train`

    def run(self, variant: int, width: int, place: int, seed: int) -> RunSpec:
        """The run at a place (half octaves from the centre) of the learning rates."""
        _, rule, changes = self.variants[variant]
        train = TrainConfig(autocast=width >= BFLOAT16_FROM, **{**self.train, **changes})
        lr_mup = 2.0 ** (self.centre + place / 2)
        lr = convert_lr(lr_mup, width / BASE_WIDTH, "mup", "sp", family(train.optimizer))
        return RunSpec(
            model=ModelConfig(width=width, **self.model),
            data=DataConfig(**self.data),
            train=train,
            rule=rule,
            base_width=BASE_WIDTH,
            lr=lr,
            seed=seed,
            data_seed=seed,
        )


def read_setups(path: Path = HERE / "setups.yaml") -> list[Setup]:
    """All set-ups of the file, in its order."""
    content = yaml.safe_load(path.read_text())
    return [_setup(name, content["defaults"], given) for name, given in content["setups"].items()]


def _setup(name: str, defaults: Mapping[str, Any], given: Mapping[str, Any]) -> Setup:
    groups = {key: {**defaults[key], **given.get(key, {})} for key in ("model", "train")}
    if "tokens_per_param" in groups["train"]:
        groups["train"].pop("steps")
    if given.get("data", {}).get("source", defaults["data"]["source"]) != defaults["data"]["source"]:
        data = {"validation_tokens": defaults["data"]["validation_tokens"], **given["data"]}
    else:
        data = {**defaults["data"], **given.get("data", {})}
    return Setup(
        name=name,
        widths=tuple(given.get("widths", defaults["widths"])),
        seeds=given.get("seeds", defaults["seeds"]),
        centre=given.get("centre", defaults["centre"]),
        data=data,
        variants=tuple(_variant(text) for text in given["variants"]),
        **groups,
    )


def _variant(text: str | Mapping[str, Any]) -> tuple[str, str, Mapping[str, Any]]:
    rule, _, changes = text.partition(":") if isinstance(text, str) else ("", "", "")
    found = yaml.safe_load(changes) if changes else {}
    label = " ".join([rule, *(f"{key}={value}" for key, value in found.items())])
    return label, rule, found


def train(runs: Sequence[RunSpec]) -> list[Row]:
    """Rows of the runs (one width, mixed variants and seeds), in order."""
    from hptransfer.lm.train import stack_key, train_stack

    found: dict[int, Row] = {}
    by_key: dict[Any, list[int]] = {}
    for i, run in enumerate(runs):
        by_key.setdefault(stack_key(run), []).append(i)
    for places in by_key.values():
        for start in range(0, len(places), STACK):
            chosen = places[start : start + STACK]
            filled = chosen + chosen[-1:] * (STACK - len(chosen))
            records = train_stack([runs[i] for i in filled], compiled=True)
            found |= {i: _row(runs[i], record) for i, record in zip(chosen, records, strict=False)}
    return [found[i] for i in range(len(runs))]


def _row(run: RunSpec, record: Any) -> Row:
    done = record.loss is not None and math.isfinite(record.loss)
    return {
        "width": run.model.width,
        "lr": run.lr,
        "lr_mup": convert_lr(run.lr, run.model.width / BASE_WIDTH, "sp", "mup", family(run.train.optimizer)),
        "seed": run.seed,
        "loss": record.loss if done else math.nan,
        "initial_loss": record.initial_loss,
        "steps": run.steps,
        "params": record.params,
    }


def lowest(rows: Iterable[tuple[int, Row]]) -> int:
    """Place of the lowest loss; the middle where every run diverged."""
    finite = [(row["loss"], place) for place, row in rows if math.isfinite(row["loss"])]
    return min(finite)[1] if finite else 0


def pilot(setup: Setup, width: int) -> dict[tuple[int, int, int], Row]:
    """The pilot's rows by variant, place and seed (0), far enough on both sides of each lowest loss."""
    found: dict[tuple[int, int, int], Row] = {}
    wanted = [(v, place, 0) for v in range(len(setup.variants)) for place in range(-PILOT, PILOT + 1)]
    for _ in range(4):
        found |= zip(wanted, train([setup.run(v, width, p, s) for v, p, s in wanted]), strict=True)
        wanted = []
        for v in range(len(setup.variants)):
            rows = {place: row for (variant, place, _), row in found.items() if variant == v}
            low, high, best = min(rows), max(rows), lowest(rows.items())
            if best - low < LEFT + 1:
                wanted += [(v, low - 1 - i, 0) for i in range(EXTEND)]
            if high - best < RIGHT + 1 and math.isfinite(rows[high]["loss"]):
                wanted += [(v, high + 1 + i, 0) for i in range(EXTEND)]
        if not wanted:
            break
    return found


def unit(setup: Setup, width: int) -> list[Row]:
    """All rows of a width of a set-up."""
    found = pilot(setup, width)
    wanted = []
    for v in range(len(setup.variants)):
        best = lowest((place, row) for (variant, place, _), row in found.items() if variant == v)
        places = range(best - LEFT, best + RIGHT + 1)
        seeds = setup.seeds if width < FEWER_FROM else FEWER
        wanted += [(v, place, seed) for seed in range(1, seeds) for place in places]
    found |= zip(wanted, train([setup.run(v, width, p, s) for v, p, s in wanted]), strict=True)
    return [{"variant": setup.variants[v][0], **row} for (v, _, _), row in sorted(found.items())]


def write_table(rows: Iterable[Row], path: Path) -> None:
    """Rows as CSV, compressed where the name says so; whole or not at all."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows({k: f"{v:.8g}" if isinstance(v, float) else v for k, v in row.items()} for row in rows)
    content = text.getvalue().encode()
    draft = path.with_name(f"{path.name}.part")
    draft.write_bytes(gzip.compress(content, 9, mtime=0) if path.suffix == ".gz" else content)
    os.replace(draft, path)


def work(queue: Any, folder: Path, until: float) -> None:
    """A process: units from the queue until there are none or time is up."""
    import torch

    torch.set_num_threads(1)
    setups = {setup.name: setup for setup in read_setups()}
    while time.time() < until:
        name, width = queue.get()
        if name is None:
            return
        start = time.time()
        rows = unit(setups[name], width)
        write_table(rows, folder / f"{name}-{width}.csv")
        print(f"{name} width {width}: {len(rows)} runs in {time.time() - start:.0f} s", flush=True)


def collect(setups: Iterable[Setup], folder: Path, tables: Path) -> list[str]:
    """Write the table of every set-up whose units are all finished; returns their names."""
    done = []
    tables.mkdir(parents=True, exist_ok=True)
    for setup in setups:
        files = [folder / f"{setup.name}-{width}.csv" for width in setup.widths]
        if not all(file.exists() for file in files):
            continue
        rows = [row for file in files for row in csv.DictReader(file.read_text().splitlines())]
        write_table(rows, tables / f"{setup.name}.csv.gz")
        done.append(setup.name)
    note_provenance(done, tables / "provenance.json")
    return done


def note_provenance(done: Iterable[str], path: Path) -> None:
    """What trained the set-ups: kept of those noted before, added for new ones."""
    from hptransfer.study.provenance import commit, cpu_model

    known = json.loads(path.read_text()) if path.exists() else {}
    now = {
        "hptransfer": version("hptransfer"),
        "commit": commit(),
        "torch": version("torch"),
        "cpu": cpu_model(),
        "setups": hashlib.sha256((HERE / "setups.yaml").read_bytes()).hexdigest()[:16],
    }
    known |= {name: now for name in done if name not in known}
    path.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n")


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--minutes", type=float, default=110, help="begin no unit after so many")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "corpus", help="finished units")
    parser.add_argument("--tables", type=Path, default=HERE / "tables")
    parser.add_argument("--only", default="", help="set-ups, comma-separated")
    options = parser.parse_args()
    os.chdir(ROOT)  # where `files` of the set-ups begin
    options.work.mkdir(parents=True, exist_ok=True)
    setups = [s for s in read_setups() if not options.only or s.name in options.only.split(",")]
    queue = mp.get_context("spawn").Queue()
    missing = [
        (s.name, w) for s in setups for w in s.widths if not (options.work / f"{s.name}-{w}.csv").exists()
    ]
    for item in [*missing, *[(None, 0)] * options.processes]:
        queue.put(item)
    arguments = (queue, options.work, time.time() + 60 * options.minutes)
    processes = [
        mp.get_context("spawn").Process(target=work, args=arguments) for _ in range(options.processes)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    print("finished set-ups:", ", ".join(collect(setups, options.work, options.tables)))


if __name__ == "__main__":
    main()
