"""Bring finished studies into `tables/`: runs.csv compressed, and what made it in provenance.json.

    PYTHONPATH=src:benchmarks python -m papers.collect runs/papers

A folder of studies is searched one level deep; a study is finished when it has its table and its fit, a grid
of `papers.train` when it has its table and its note (`grid.json`).
Beside the columns of runs.csv the table holds, from each run's curve, the number of its loss spikes and the
height of the highest (`spikes`, `spike_nats`). A study that is in `tables/` already is written again only if
its runs changed, so the command can be repeated while studies finish.
"""

from __future__ import annotations

import argparse
import gzip
import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hptransfer.dynamics.study import RunDynamics
from hptransfer.dynamics.trends import trends
from hptransfer.lm.data import load_corpus
from hptransfer.study.probe_data import study_dynamics
from hptransfer.study.spec import StudySpec, parse_study
from hptransfer.study.store import Store

TABLES = Path(__file__).parent / "tables"
MOST_BYTES = 20_000_000  # of all tables together
LEFT_OUT = ["data_seed", "round", "error", "wall_s", "loss_se", "run_id"]  # columns that no page reads
DIGITS = 8  # significant, of every number
NOTE = "grid.json"  # of a grid of `papers.train`
NO_HEIGHT = 99.0  # nats; of a spike whose loss is not finite
MADE_BY = (
    "study",
    "spec_hash",
    "seeds",
    "hptransfer",
    "torch",
    "python",
    "cpu",
)  # kept of a study's provenance


def finished(folder: Path) -> list[Path]:
    """Folders of finished studies: the folder itself, or those in it."""
    here = (folder, *sorted(folder.iterdir()))
    return [
        f for f in here if (f / "runs.csv").is_file() and any((f / n).is_file() for n in (NOTE, "fit.json"))
    ]


def collect(folder: Path, tables: Path = TABLES, commit: str | None = None) -> bool:
    """Write the table of one finished study or grid; whether it is new or has changed.

    `commit` is that of the source which trained it, where the study does not know its own.
    """
    name, is_grid = folder.name, (folder / NOTE).is_file()
    frame = pd.read_csv(folder / "runs.csv")
    frame = (frame if is_grid else with_spikes(frame, folder)).drop(columns=LEFT_OUT, errors="ignore")
    new = write_table(frame, tables / f"{name}.csv.gz")
    exponents = None if is_grid else probed(folder)
    if exponents is not None:
        new |= write_table(exponents, tables / f"{name}.exponents.csv.gz")
    notes = tables / "provenance.json"
    known = json.loads(notes.read_text()) if notes.exists() else {}
    if new or name not in known:
        known[name] = made_by(folder, commit) | {"runs": len(frame)}
        replace_file(notes, (json.dumps(known, indent=1, sort_keys=True) + "\n").encode())
    return new


def write_table(frame: pd.DataFrame, path: Path) -> bool:
    """Write a table, compressed; whether it is new or has changed."""
    content = frame.to_csv(index=False, float_format=f"%.{DIGITS}g", lineterminator="\n").encode()
    if path.exists() and gzip.decompress(path.read_bytes()) == content:
        return False
    replace_file(path, gzip.compress(content, 9, mtime=0))
    return True


def made_by(folder: Path, commit: str | None) -> dict[str, Any]:
    """What made a study or a grid; of a grid, what it varies, too."""
    if (folder / NOTE).is_file():
        found = json.loads((folder / NOTE).read_text())
        more = {key: found[key] for key in ("spec", "vary", "base_depth") if found[key]}
    else:
        found = json.loads((folder / "fit.json").read_text())["provenance"]
        with Store(folder, read_only=True) as store:
            spec = store.spec()
        more = {"spec": spec.model_dump(mode="json", exclude_defaults=True)}
    entropy = unigram_entropy(parse_study(more["spec"]))
    kept = {key: found[key] for key in MADE_BY}
    return {**kept, "commit": found["commit"] or commit, **more, "unigram_entropy": entropy}


def probed(folder: Path) -> pd.DataFrame | None:
    """How every probe of a study changes with width; None where it has no probes."""
    study = study_dynamics(folder)
    if study is None or not any(run.probes for run in study.runs):
        return None
    rows = [(t.variant, t.name, t.place, t.value, t.low, t.high) for t in trends(study)]
    return pd.DataFrame(rows, columns=["variant", "probe", "role", "exponent", "low", "high"])


def with_spikes(frame: pd.DataFrame, folder: Path) -> pd.DataFrame:
    """The table of runs with the spikes of each run's training loss."""
    study = study_dynamics(folder)
    found: Mapping[str, RunDynamics] = {run.run: run for run in study.runs} if study else {}
    spikes = [found[i].spikes if i in found else () for i in frame["run_id"]]
    highest = [max((s.height for s in of_run), default=0.0) for of_run in spikes]
    heights = [height if math.isfinite(height) else NO_HEIGHT for height in highest]
    return frame.assign(spikes=[len(s) for s in spikes], spike_nats=heights)


def unigram_entropy(spec: StudySpec) -> float:
    """Cross-entropy, nats per token, of the held-out text under the training text's frequencies of tokens."""
    run = spec.example_run(max(spec.widths))
    corpus = load_corpus(run.data, run.model)
    counts = np.bincount(corpus.train, minlength=run.model.vocab) + 1.0
    held_out = np.bincount(corpus.validation, minlength=run.model.vocab)
    return float(-(held_out @ np.log(counts / counts.sum())) / held_out.sum())


def replace_file(path: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    draft = path.with_name(f"{path.name}.part")
    draft.write_bytes(content)
    os.replace(draft, path)


def read_notes(tables: Path = TABLES) -> dict[str, Any]:
    """What made each table, by name."""
    path = tables / "provenance.json"
    return dict(json.loads(path.read_text())) if path.exists() else {}


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folders", nargs="+", type=Path, help="of studies, or of folders of studies")
    parser.add_argument("--commit", help="of the source that trained them, where a study does not say")
    options = parser.parse_args()
    TABLES.mkdir(exist_ok=True)
    for folder in options.folders:
        for study in finished(folder):
            print(
                f"{study.name}: "
                f"{'collected' if collect(study, commit=options.commit) else 'is there already'}"
            )
    size = sum(p.stat().st_size for p in TABLES.iterdir())
    print(f"{size / 1e6:.2f} MB of {MOST_BYTES / 1e6:g}")
    if size > MOST_BYTES:
        raise SystemExit(
            f"the tables must hold at most {MOST_BYTES:,} bytes together, but they hold {size:,}"
        )


if __name__ == "__main__":
    main()
