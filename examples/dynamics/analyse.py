"""What the study of this folder found: the tables of docs/explanation/dynamics-study.md, and result files.

Run: python examples/dynamics/analyse.py runs/dynamics runs/ramp
"""

import argparse
import csv
import math
from pathlib import Path

import numpy as np

import hptransfer as hpt
from hptransfer.dynamics.study import StudyDynamics
from hptransfer.dynamics.trends import trends
from hptransfer.report.dynamics_tables import edge_table, mean_interval, spike_table
from hptransfer.report.number_format import estimate
from hptransfer.study.probe_data import study_dynamics
from hptransfer.study.run import load_result

HERE = Path(__file__).parent
PROBES = (
    "relative_update",
    "relative_change",
    "alignment_ratio",
    "activation_rms",
    "grad_rms",
    "critical_lr",
)


def row(*cells: object) -> None:
    print("| " + " | ".join(str(cell) for cell in cells) + " |")


def head(*cells: str) -> None:
    print()
    row(*cells)
    row(*("---" for _ in cells))


def fitted(folder: str) -> None:
    """Claim 1: E, kappa, R(inf) and R(n) of every variant, and the loss at the largest width."""
    result = load_result(folder)
    fit = hpt.quantify(result.sweep, targets=[512], coordinates="sp")
    fit.to_json(HERE / "fit.json")
    names = ("drift_mup", "E", "E_hp", "kappa", "R_inf", "R_n")
    head("variant", *names, "loss at the largest width", "verdict")
    for variant in fit.variants.values():
        cells = [estimate(variant.metrics.get(name)) for name in names]
        row(variant.name, *cells, estimate(variant.optima[-1].loss), variant.verdict.value)
    head("minus mup", "E_hp", "R_n")
    for name in fit.variants:
        if name != "mup":
            found = hpt.compare(fit, name, "mup")
            row(name, estimate(found.get("E_hp")), estimate(found.get("R_n")))


def exponents(study: StudyDynamics) -> None:
    """How the probes change with width; the table goes to exponents.csv."""
    found = trends(study)
    with open(HERE / "exponents.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["variant", "probe", "role", "exponent", "low", "high", "widths", "lrs", "runs"])
        for t in found:
            numbers = (f"{x:.4f}" for x in (t.value, t.low, t.high))
            writer.writerow([t.variant, t.name, t.place, *numbers, len(t.scales), t.hps, t.runs])
    for probe in PROBES:
        places = list(dict.fromkeys(t.place for t in found if t.name == probe))
        head(probe, *(place or "run" for place in places))
        for variant in study.variants:
            cells = {t.place: t for t in found if t.name == probe and t.variant == variant}
            row(
                variant,
                *(f"{t.value:+.2f} [{t.low:+.2f}, {t.high:+.2f}]" for t in map(cells.get, places) if t),
            )


def stability(study: StudyDynamics) -> None:
    """Claim 2: spikes and raggedness, and the paired difference from sp."""
    table = spike_table(study)
    head(*(column.title for column in table.columns))
    for cells in table.rows:
        row(*(f"{c:g}" if isinstance(c, float) else c if isinstance(c, str) else estimate(c) for c in cells))
    head("minus sp, paired by width and seed", "raggedness, nats", "spikes a run")
    reference, spikes = study.raggedness("sp"), study.spikes("sp")
    for variant in study.variants[1:]:
        other, more = study.raggedness(variant), study.spikes(variant)
        ragged = [
            other[p] - reference[p] for p in other if math.isfinite(other[p] - reference.get(p, math.nan))
        ]
        same = [more[variant, n, hp] - spikes["sp", n, hp] for _, n, hp in more if ("sp", n, hp) in spikes]
        row(variant, estimate(mean_interval(ragged)), estimate(mean_interval(same)))


def edges(study: StudyDynamics) -> None:
    """Where instability begins, held out on the largest width."""
    table = edge_table(study, [512])
    head(*(column.title for column in table.columns))
    for cells in table.rows:
        row(*(f"{c:g}" if isinstance(c, float) else c for c in cells))


def ramp(study: StudyDynamics, ramped: StudyDynamics) -> None:
    """The falling embedding LR against constant ones, at the width and learning rates that both have."""
    widths = {run.scale for run in ramped.runs}
    there = {(r.scale, r.hp, r.seed): r.loss for r in ramped.runs}
    head("embedding LR", "best mean loss", "ramp minus this, same LR and seed, near the best")
    for variant in ("sp", "sp+embd", "mup"):
        here = {(r.scale, r.hp, r.seed): r.loss for r in study.of(variant) if r.scale in widths}
        best = min({hp for _, hp, _ in there}, key=lambda hp: _mean(there, hp))
        gaps = [there[k] - here[k] for k in there if k in here and abs(math.log2(k[1] / best)) <= 1]
        low = min(_mean(here, hp) for _, hp, _ in here)
        row(variant, f"{low:.4f}", estimate(mean_interval([g for g in gaps if math.isfinite(g)])))
    row("ramp x m to x 1", f"{min(_mean(there, hp) for _, hp, _ in there):.4f}", "")


def _mean(losses: dict[tuple[float, float, str], float], hp: float) -> float:
    values = [loss for (_, rate, _), loss in losses.items() if rate == hp]
    return float(np.mean(values)) if np.isfinite(values).all() else math.inf


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study", help="Folder of study.yaml's runs.")
    parser.add_argument("ramp", nargs="?", help="Folder of ramp.yaml's runs.")
    options = parser.parse_args()
    study = study_dynamics(options.study)
    assert study is not None
    fitted(options.study)
    exponents(study)
    stability(study)
    edges(study)
    if options.ramp:
        ramped = study_dynamics(options.ramp)
        assert ramped is not None
        ramp(study, ramped)


if __name__ == "__main__":
    main()
