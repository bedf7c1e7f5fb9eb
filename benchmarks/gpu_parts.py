"""Two parts of `gpu.py`: what the machine is, and a study as far as the time allows."""

from __future__ import annotations

import argparse
import csv
import os
import platform
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

RECORDS = "study.records.csv.gz"  # the study's runs, in the folder of the tables
STUDY = "study"  # folder of the study, in that of work
RATE_S = 5.0  # seconds that a rate is measured for at most

Fact = tuple[str, object]  # name and value of a row of machine.csv


def machine(options: argparse.Namespace) -> None:
    """machine.csv: a row a fact, each on disk as soon as it is known."""
    with (options.out / "machine.csv").open("w", newline="", buffering=1) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("fact", "value"))
        for facts in (software, hardware, rates):
            for name, value in facts(options):
                writer.writerow((name, value))
                print(name, value, flush=True)


def software(options: argparse.Namespace) -> Iterator[Fact]:
    """Versions, commit, and the text."""
    import torch

    from hptransfer.lm.data import load_corpus
    from hptransfer.runs.config import DataConfig, ModelConfig
    from hptransfer.study.provenance import commit
    from hptransfer.version import __version__

    yield "hptransfer", __version__
    yield "commit", commit()
    yield "python", platform.python_version()
    yield "torch", torch.__version__
    yield "cuda", torch.version.cuda
    data = DataConfig(source="bin", files=str(options.tokens))
    yield "corpus", load_corpus(data, ModelConfig(vocab=1 << 16)).sha256


def hardware(options: argparse.Namespace) -> Iterator[Fact]:
    """Processor and accelerator."""
    import torch

    from hptransfer.study.provenance import cpu_model

    yield "cpu", cpu_model()
    yield "cores", len(os.sched_getaffinity(0))
    if options.device == "cpu":
        return
    known = torch.cuda.get_device_properties(0)
    yield "device", known.name
    yield "memory_bytes", known.total_memory
    yield "multiprocessors", known.multi_processor_count
    yield "capability", f"{known.major}.{known.minor}"
    query = ["nvidia-smi", "--query-gpu=driver_version,clocks.max.sm,power.limit", "--format=csv,noheader"]
    with suppress(OSError, subprocess.SubprocessError):
        found = subprocess.run(query, capture_output=True, text=True, timeout=20, check=True).stdout
        yield from zip(("driver", "clock_max", "power_limit"), map(str.strip, found.split(",")), strict=False)


def rates(options: argparse.Namespace) -> Iterator[Fact]:
    """Matrix products and copies, and what it costs to compile a function."""
    import torch

    device, size = options.device, 1024 if options.device == "cpu" else 8192
    for dtype in (torch.bfloat16, torch.float32, torch.float64):
        a, b = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))

        def product(a: torch.Tensor = a, b: torch.Tensor = b) -> None:
            (a @ b)[0, 0].item()

        yield f"gemm_{str(dtype).removeprefix('torch.')}_flops", f"{2 * size**3 / quickest(product):.4g}"
    many = torch.empty(1 << (24 if device == "cpu" else 30), dtype=torch.uint8, device=device)

    def copy() -> None:
        many.clone()[0].item()

    yield "copy_bytes_per_s", f"{2 * many.numel() / quickest(copy):.4g}"
    if device == "cpu":
        return
    start = time.perf_counter()
    torch.compile(lambda x: torch.nn.functional.gelu(x).sum())(torch.ones(64, 64, device=device)).item()
    yield "compile_s", f"{time.perf_counter() - start:.1f}"


def quickest(call: Callable[[], None]) -> float:
    """Seconds of the quickest of some calls, after one to warm up."""
    call()
    found, end = [], time.perf_counter() + RATE_S
    while len(found) < 3 or (len(found) < 20 and time.perf_counter() < end):
        start = time.perf_counter()
        call()
        found.append(time.perf_counter() - start)
    return min(found)


def study(options: argparse.Namespace) -> None:
    """Train a study as far as the time goes, smallest width first; `export_study` keeps what is finished."""
    from rich.console import Console

    from hptransfer.study.record_import import import_records
    from hptransfer.study.run import run_study
    from hptransfer.study.spec import load_study, parse_study

    eager = ["compile=never"] if compiled_wrong(options.out / "tests.csv") else []
    spec = load_study(options.spec, eager)
    print("nothing is compiled, since a test of a compiled step failed" if eager else "compiled", flush=True)
    folder, table = options.work / STUDY, options.out / RECORDS
    if table.exists():
        print(import_records(folder, [table], spec), flush=True)
    for count in range(1, len(spec.widths) + 1):
        widths = sorted(spec.widths)[:count]
        plain = {**spec.model_dump(mode="json"), "widths": widths, "base_width": spec.base}
        result = run_study(parse_study(plain), folder, console=Console(force_terminal=False))
        print(f"widths {widths}: {result.trained} runs trained, {len(result.rows)} in all", flush=True)


def compiled_wrong(tests: Path) -> bool:
    """Whether a test of a compiled step failed on this machine."""
    if not tests.exists():
        return False
    with tests.open(newline="") as file:
        return any(row["outcome"] == "failed" and "compiled" in row["test"] for row in csv.DictReader(file))


def export_study(work: Path, out: Path) -> None:
    """Write the finished runs of the study under way into its table, where there are more than are in it."""
    from hptransfer.errors import StoreError
    from hptransfer.study.record_import import export_records
    from hptransfer.study.store import Store

    folder, mark = work / STUDY, work / "exported"
    with suppress(StoreError):  # not begun yet
        with Store(folder, read_only=True) as store:
            count = str(len(store.losses()))
        if count != "0" and (not mark.exists() or mark.read_text() != count):
            export_records(folder, out / RECORDS)
            mark.write_text(count)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=["machine", "study"])
    parser.add_argument("--device", required=True)
    for name in ("out", "tokens", "spec", "work"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    options = parser.parse_args()
    {"machine": machine, "study": study}[options.part](options)


if __name__ == "__main__":
    main()
