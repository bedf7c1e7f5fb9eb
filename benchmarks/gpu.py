"""Verifies, measures and trains on a machine with a GPU, in a bounded time, and writes tables.

    PYTHONPATH=src python3 benchmarks/gpu.py --minutes 9 --out results

It needs no network and no installation. The parts run in this order. Each is a process of its own that is
ended when its fraction of the time is over, and its tables are in the folder before the next part begins:

    machine      machine.csv: device, driver, versions, rates of matrix products, cost of compiling
    tests        tests.csv: the tests marked `cuda`, a row each as it ends
    throughput   throughput.csv: `throughput.py` at widths 64 to 2048, smallest first, each as it ends
    study        study.records.csv.gz: a study's runs, smallest width first, as stacks end

parts.csv records the outcome of each part, log.txt its output. Time that a part does not use goes to the
parts after it. `--resume FOLDER` resumes from the tables of an earlier call: widths and runs that are there
are not repeated. On another machine, `hptransfer runs import results/study.records.csv.gz --into DIR --spec
SPEC` adds the runs to a study. `--device cpu` runs the same on a CPU, as a test of this command.

Packages that a machine lacks can be brought as wheels: `--wheels FOLDER` unpacks those of a folder, for this
command only; they are downloaded on another machine by `pip download --no-deps --only-binary=:all:
--python-version VERSION --platform PLATFORM -d FOLDER PACKAGE...`.
"""

from __future__ import annotations

import argparse
import csv
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
NEEDED = (
    "hptransfer", "hypothesis", "numpy", "pydantic", "pytest", "rich", "safetensors", "scipy", "torch",
    "typer", "yaml",
)  # fmt: skip
TOKENS = HERE / "tokens" / "stdlib_2048.bin"
SPEC = ROOT / "examples" / "gpu" / "study.yaml"
SHARES = {"machine": 0.06, "tests": 0.25, "throughput": 0.3, "study": 0.4}  # of the time, if all parts run
TABLES = ("machine.csv", "tests.csv", "throughput.csv", "study.records.csv.gz")
TICK = 2.0  # seconds between two looks at a part
GRACE = 5.0  # seconds that a part has to end by itself once it was asked to
LOG_BYTES = 1 << 20  # of log.txt; its end is kept
MOST_BYTES = 16 << 20  # of all tables together


@dataclass(frozen=True)
class Part:
    """What became of one part."""

    part: str  # machine, tests, throughput or study
    outcome: str  # done, failed (its process ended with an error) or out of time
    seconds: float  # that it took
    limit_s: float  # that it was given


def main() -> int:
    """Run the parts; 0 where each is done or out of time, 1 where one failed, 2 where nothing could begin."""
    options = parsed()
    try:
        prepare(options)
    except (ValueError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    end = time.monotonic() + 60 * options.minutes - GRACE
    done: list[Part] = []
    for number, name in enumerate(options.parts):
        left = end - time.monotonic()
        limit = left * SHARES[name] / sum(SHARES[other] for other in options.parts[number:])
        if limit <= 0:
            done.append(Part(name, "out of time", 0.0, 0.0))
        else:
            print(f"{name}: at most {limit:.0f} s", flush=True)
            call, look = command(name, options, limit), keep(name, options)
            done.append(run_part(name, call, limit, options.out, look))
        write_parts(done, options.out)
        print(f"{name}: {done[-1].outcome} after {done[-1].seconds:.0f} s", flush=True)
    shutil.rmtree(options.work, ignore_errors=True)
    size = sum(path.stat().st_size for path in options.out.iterdir())
    print(f"{size / 2**20:.1f} MiB in {options.out}" + (", too much" if size > MOST_BYTES else ""))
    return int(any(part.outcome == "failed" for part in done))


def parsed() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, required=True, help="for all parts together")
    parser.add_argument("--out", type=Path, required=True, help="folder of the tables")
    parser.add_argument("--tokens", type=Path, default=TOKENS, help="token file of the throughput")
    parser.add_argument("--spec", type=Path, default=SPEC, help="of the study, paths as from the repository")
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--parts", default=",".join(SHARES), help=f"default: {','.join(SHARES)}")
    parser.add_argument("--widths", help="of the throughput; default: 64 to 2048, on a CPU 32")
    parser.add_argument("--resume", type=Path, help="folder with the tables of an earlier call")
    parser.add_argument("--wheels", type=Path, help="folder with wheels of packages that are missing here")
    return parser.parse_args()


def prepare(options: argparse.Namespace) -> None:
    """Check what can be checked before any time is spent; lay out the folder.

    Raises:
        ValueError: an option cannot be used, or a package is missing; one line.
        OSError: the folder cannot be written.
    """
    options.parts = options.parts.split(",")
    if unknown := [name for name in options.parts if name not in SHARES]:
        raise ValueError(f"every part must be one of {', '.join(SHARES)}, but got {unknown[0]!r}")
    if not options.minutes > 0:
        raise ValueError(f"--minutes must be positive, but got {options.minutes:g}")
    for flag in ("tokens", "spec"):
        if not getattr(options, flag).is_file():
            raise ValueError(f"--{flag} must be a file, but {getattr(options, flag)} is none")
    options.out, options.spec = options.out.resolve(), options.spec.resolve()
    options.out.mkdir(parents=True, exist_ok=True)
    os.environ["HPTRANSFER_DEVICE"] = os.environ["HPTRANSFER_TEST_DEVICE"] = options.device
    options.work = Path(tempfile.mkdtemp(prefix="hptransfer-gpu-"))
    if options.wheels is not None:
        unpack(options.wheels, options.work / "packages")
    if missing := [name for name in NEEDED if importlib.util.find_spec(name) is None]:
        raise ValueError(f"these packages must be here or in --wheels, but are not: {', '.join(missing)}")
    if options.resume is not None:
        for name in TABLES:
            if (options.resume / name).exists() and options.resume.resolve() != options.out.resolve():
                shutil.copy(options.resume / name, options.out / name)


def unpack(wheels: Path, folder: Path) -> None:
    """Unpack every wheel of a folder, for this process and those that it starts."""
    found = sorted(wheels.glob("*.whl"))
    if not found:
        raise ValueError(f"--wheels must be a folder with .whl files, but {wheels} has none")
    for wheel in found:
        with zipfile.ZipFile(wheel) as file:
            file.extractall(folder)
    sys.path.insert(0, str(folder))
    os.environ["PYTHONPATH"] = os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])


def command(name: str, options: argparse.Namespace, limit: float) -> list[str]:
    """What is called for a part."""
    python, out, tokens = sys.executable, options.out, str(options.tokens.resolve())
    small = options.device == "cpu"
    if name == "tests":
        chosen = ["-k", "not compiled"] if small else []  # compiling takes a CPU minutes
        plain = ["-o", "addopts=", "-o", "filterwarnings=", "--import-mode=importlib"]
        rows = ["-p", "no:cacheprovider", "-p", "pytest_rows", "--rows", str(out / "tests.csv")]
        return [python, "-m", "pytest", "tests/lm/test_cuda.py", *plain, *rows, *chosen]
    if name == "throughput":
        few = ["--runs", "4", "--steps", "3", "--blocks", "3", "--contenders", "ours eager,plain"]
        widths = options.widths or ("32" if small else "64,128,256,512,1024,2048")
        where = ["--device", options.device, "--tokens", tokens, "--csv", str(out / "throughput.csv")]
        return [python, str(HERE / "throughput.py"), "--widths", widths, *where, *(few if small else [])]
    part = [python, str(HERE / "gpu_parts.py"), name, "--device", options.device, "--out", str(out)]
    more = ["--tokens", tokens, "--spec", str(options.spec), "--work", str(options.work)]
    return [*part, *more, "--seconds", f"{limit:.0f}"]


def keep(name: str, options: argparse.Namespace) -> Callable[[], None]:
    """What is done every now and then while a part runs: a study's finished runs go into its table."""
    if name != "study":
        return lambda: None
    from gpu_parts import export_study

    return lambda: export_study(options.work, options.out)


def run_part(
    name: str, call: Sequence[str], limit: float, out: Path, look: Callable[[], None] = lambda: None
) -> Part:
    """Run a part in a process group of its own, and end all of it when its time is over.

    Args:
        name: of the part.
        call: its command.
        limit: seconds that it may take.
        out: folder of the tables; what it prints goes to log.txt there.
        look: called every `TICK` seconds, and once at the end.
    """
    start = time.monotonic()
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            call,
            cwd=ROOT,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            while process.poll() is None and time.monotonic() - start < limit:
                with suppress(subprocess.TimeoutExpired):
                    process.wait(min(TICK, max(0.0, limit - (time.monotonic() - start))))
                look()
            in_time = process.poll() is not None
        finally:
            end_group(process)
            append_log(name, log, out / "log.txt")
        look()
    outcome = "out of time" if not in_time else "done" if process.returncode == 0 else "failed"
    return Part(name, outcome, time.monotonic() - start, limit)


def environment() -> dict[str, str]:
    """Of a part: it sees the modules that this process sees, and prints at once."""
    paths = [str(HERE), *(path for path in sys.path if path)]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONUNBUFFERED": "1"}


def end_group(process: subprocess.Popen[bytes]) -> None:
    """Ask a part and all that it started to end, then make it."""
    for number in (signal.SIGINT, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(GRACE)  # where it has ended, what it started may not have


def append_log(name: str, log: IO[bytes], path: Path) -> None:
    """Put what a part printed at the end of the log, whose end alone is kept where it grows too long."""
    log.seek(0)
    text = path.read_bytes() if path.exists() else b""
    text += f"\n===== {name}\n".encode() + log.read()
    path.write_bytes(text[-LOG_BYTES:])


def write_parts(done: Sequence[Part], out: Path) -> None:
    """parts.csv: what became of the parts so far."""
    with (out / "parts.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(asdict(done[0])), lineterminator="\n")
        writer.writeheader()
        writer.writerows({**asdict(part), "seconds": f"{part.seconds:.1f}"} for part in done)


if __name__ == "__main__":
    sys.exit(main())
