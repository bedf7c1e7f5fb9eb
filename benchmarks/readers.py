"""What `hptransfer.read` makes of public sweeps in the shapes people have them, and how fast it is.

    python -m benchmarks.readers ../shared/data/sweeps
    python -m benchmarks.readers --speed

Each shape of reader_shapes.py and reader_shapes_drawn.py is written from a public table and read: without
flags, with the flags that it needs, or refused; right where variants, scales, hyperparameters and losses all
come back as they were.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from benchmarks.reader_shapes import SHAPES, Row

from benchmarks import reader_shapes_drawn  # noqa: F401  # which adds to SHAPES
from hptransfer.errors import HPTransferError
from hptransfer.sweep import read
from hptransfer.sweep.table import SweepTable

SWEEPS = (
    "teacher_mlp_sp_mup",
    "nanogpt_mup_shakespeare_digitised",
    "unit_scaling_demo_sp_umup",
    "mup_mlp_cifar10",
)


def rows_of(path: Path) -> list[Row]:
    """A public sweep's runs, with the columns that every shape can hold; of several epochs the last."""
    frame = pd.read_csv(path)
    if "epoch" in frame:
        frame = frame[frame["epoch"] == frame["epoch"].max()]
    return [
        {"variant": str(v), "width": int(w), "lr": float(lr), "loss": float(loss)}
        for v, w, lr, loss in zip(frame["variant"], frame["width"], frame["lr"], frame["loss"], strict=True)
    ]


def same(sweep: SweepTable, rows: list[Row], name: str) -> str:
    """Empty where the sweep holds the rows; else what differs. Shapes of one variant hold the first."""
    first = [row for row in rows if row["variant"] == rows[0]["variant"]]
    factor = 1e6 if "256M" in name else 1.0
    found = np.array(
        sorted(zip(sweep.scale, sweep.hp, np.where(np.isfinite(sweep.loss), sweep.loss, -1.0), strict=True))
    )
    for wanted in (rows, first):
        truth = sorted(
            (r["width"] * factor, r["lr"], r["loss"] if np.isfinite(r["loss"]) else -1.0) for r in wanted
        )
        if len(truth) == len(found) and np.allclose(found, truth, rtol=1e-6):
            variants = len({row["variant"] for row in wanted})
            return (
                "" if len(sweep.variants) == variants else f"{len(sweep.variants)} variants, not {variants}"
            )
    return f"{len(found)} runs that differ"


def outcome(name: str, rows: list[Row], flags: dict[str, object]) -> tuple[str, str]:
    """How a shape is read: `without flags`, `with flags`, `refused` or `wrong`, and what was said."""
    with tempfile.TemporaryDirectory() as folder:
        path = SHAPES[name][0](rows, Path(folder))
        for kind, said in (("without flags", {}), ("with flags", flags)):
            try:
                wrong = same(read(path, **said), rows, name)
            except HPTransferError as error:
                wrong, problem = "", str(error)
                if kind == "with flags" or not flags:
                    return "refused", problem
                continue
            if not wrong:
                return kind, ""
            if kind == "with flags" or not flags:
                return "wrong", wrong
    return "refused", ""


def shapes(folder: Path) -> None:
    counts: dict[str, int] = {}
    for name, (_, flags) in SHAPES.items():
        results = {sweep: outcome(name, rows_of(folder / f"{sweep}.csv"), flags) for sweep in SWEEPS}
        worst = max(
            results.values(), key=lambda r: ("without flags", "with flags", "refused", "wrong").index(r[0])
        )
        counts[worst[0]] = counts.get(worst[0], 0) + 1
        if worst[0] != "without flags":
            print(f"{name}: {worst[0]} {worst[1][:300]}")
    print(
        f"{len(SHAPES)} shapes of {len(SWEEPS)} sweeps: "
        + ", ".join(f"{n} {kind}" for kind, n in counts.items())
    )


MEASURE = """
import resource, sys, time
start = time.process_time()
from hptransfer.sweep import read
sweep = read(sys.argv[1])
took, peak = time.process_time() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
print(f"{len(sweep)} rows: {took:.2f} s of process time and {peak:.0f} MB at most, imports included")
"""


def speed(rows: int = 1_000_000) -> None:
    """Process time and memory of reading a CSV of a million rows, in a process of its own."""
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "runs.csv")
        names = np.array(["sp", "mup", "ntp"])[rng.integers(0, 3, rows)]
        frame = pd.DataFrame({"variant": names, "width": 2 ** rng.integers(6, 12, rows)})
        frame["lr"], frame["seed"] = 2.0 ** -rng.integers(3, 12, rows), range(rows)
        frame["loss"] = rng.normal(3, 1, rows)
        frame.to_csv(path, index=False)
        subprocess.run([sys.executable, "-c", MEASURE, path], check=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sweeps", nargs="?", type=Path, help="folder of the public tables")
    parser.add_argument("--speed", action="store_true", help="time a CSV of a million rows instead")
    arguments = parser.parse_args()
    if arguments.speed:
        speed()
    else:
        shapes(arguments.sweeps)
