"""How large the report of a large study is, and how fast a browser shows it.

    hptransfer run examples/dynamics/study.yaml --out runs/dynamics
    python benchmarks/opening.py runs/dynamics [--copies 9] [--opens 5]

Every run of a study with probes is entered `copies` times, each time under a weight decay of its own, so that
240 runs make a report of 2,160. Chromium then opens the page: when its text is first painted, when it has
loaded (`load`), and when the first and the last panel are drawn.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import pandas as pd
from playwright.sync_api import Browser, Error, sync_playwright

import hptransfer as hpt
from hptransfer.dynamics.study import StudyDynamics
from hptransfer.report.page import write_html
from hptransfer.study.probe_data import study_dynamics

ARGUMENTS = ("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")
STANDING = "[...document.querySelectorAll('.plot')].map(plot => !!plot.querySelector('svg.main-svg'))"
PAINTED = "performance.getEntriesByName('first-contentful-paint').map(entry => entry.startTime)[0]"
LOADED = "performance.timing.loadEventEnd - performance.timing.navigationStart"


def enlarged(study: StudyDynamics, copies: int) -> StudyDynamics:
    """The study with every run entered `copies` times, each time as a variant of another name."""
    runs = [
        replace(run, variant=f"{run.variant} wd={copy / 1000:g}", run=f"{run.run}{copy}")
        for copy in range(copies)
        for run in study.runs
    ]
    return replace(study, runs=tuple(runs))


def quantified(study: StudyDynamics) -> hpt.TransferFit:
    rows = [
        {"variant": r.variant, "width": r.scale, "lr": r.hp, "seed": r.seed, "loss": r.loss}
        for r in study.runs
    ]
    sweep = hpt.read(pd.DataFrame(rows), scale="width", hp="lr", loss="loss", variant="variant", seed="seed")
    return hpt.quantify(sweep)


def opened(browser: Browser, path: Path) -> dict[str, float]:
    """Seconds until the page is painted, loaded, has its first panel, and has its last."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    start, first, standing = time.perf_counter(), 0.0, [False]
    page.goto(path.as_uri(), wait_until="commit")
    while not (standing and all(standing)):
        try:
            standing = page.evaluate(STANDING)
        except Error:  # the document is being replaced
            standing = [False]
        if any(standing) and not first:
            first = time.perf_counter() - start
        time.sleep(0.02)
    last = time.perf_counter() - start
    seconds = {
        "painted": page.evaluate(PAINTED) / 1e3,
        "loaded": page.evaluate(LOADED) / 1e3,
        "first panel": first,
        f"all {len(standing)} panels": last,
    }
    page.close()
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("study", type=Path)
    parser.add_argument("--copies", type=int, default=9)
    parser.add_argument("--opens", type=int, default=5)
    options = parser.parse_args()
    study = enlarged(study_dynamics(options.study), options.copies)
    fit = quantified(study)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as driver:
        path = Path(folder) / "report.html"
        start = time.perf_counter()
        write_html(fit, path, study=study)
        print(f"{len(study.runs)} runs: {path.stat().st_size / 1e6:.1f} MB", end=", ")
        print(f"written in {time.perf_counter() - start:.1f} s")
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=list(ARGUMENTS))
        visits = [opened(browser, path) for _ in range(options.opens)]
        browser.close()
    for name in visits[0]:
        values = [visit[name] for visit in visits]
        print(f"{name:16} {statistics.median(values):5.2f} s  ({min(values):.2f} to {max(values):.2f})")


if __name__ == "__main__":
    main()
