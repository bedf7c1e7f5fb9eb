"""Throughput of a learning-rate grid: ours and loops that a user would write, on all cores of this machine.

The loops, each with the same model, initial weights, batches and schedule:

    ours                   the grid in stacks, compiled; on a CPU one process of one thread a core (float32)
    ours eager             the same, not compiled
    ours bf16              compiled, with `autocast`
    plain                  a nanoGPT-style loop, eager, fused AdamW; on a CPU every core's thread (float32)
    plain bf16             plain under bfloat16 autocast
    compiled               plain with torch.compile; on CUDA in the mode that replays CUDA graphs
    compiled bf16          the same under bfloat16 autocast
    plain a core           plain in as many processes of one thread as there are cores, a run each
    plain a core bf16      the same under bfloat16 autocast
    compiled a core        compiled in as many processes of one thread as there are cores, a run each
    compiled a core bf16   the same under bfloat16 autocast
    gpt2                   transformers' GPT2LMHeadModel of the same shape, its biases held at zero, as plain

Each is a process of its own and takes blocks of steps in turn with the others, so that other work on the
machine disturbs all alike; the speed of a loop is the median of its blocks. `x plain` is its ratio to plain,
and `x best` that to the strongest loop of its precision (of any precision, for bfloat16), each the median
over blocks taken in turn. `cpu ms` is the time of all processors per run and step, and `by cpu` that of the
strongest loop over it: among loops of one thread per process it agrees with `x best` and does not depend on
other work on the machine. `loss` is the held-out loss of the grid's middle run after the steps that it took:
where it differs from plain's by more than 0.02, the line is marked. `of GEMM` is the model's FLOPs a second
over the rate of a large matrix product on the same threads, in float32 and (after the slash) in bfloat16;
`memory` is the peak resident memory of the contender's processes, on CUDA that of its tensors.

    python benchmarks/throughput.py --widths 32,64,128,256,512

Targets on two cores: `ours bf16` 1.5 times the best at widths to 128 and 1.2 times at 256 and 512; `ours`
never below one process a core in float32. On a data-centre GPU: 10 times plain up to width 256, 40% of the
GEMM rate at width 1024, never below compiled.
"""

from __future__ import annotations

import argparse
import csv
import math
import multiprocessing as mp
import os
import resource
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch

from hptransfer.lm.device import cache_sized, free_bytes, run_bytes
from hptransfer.runs.config import DataConfig, RunSpec, TrainConfig
from hptransfer.runs.flops import run_flops
from loops import Name, grid, model_of, one_by_one, stacked

TOLERANCE = 0.02  # nats; bfloat16 products move a loss by less
WARM = 2  # steps before the clock runs: the first compiles, the second records a CUDA graph
CPU = (
    "ours", "ours eager", "ours bf16", "plain", "plain bf16", "plain a core", "plain a core bf16", "compiled",
    "compiled a core", "compiled a core bf16", "gpt2",
)  # fmt: skip
CUDA = ("ours", "ours bf16", "plain", "plain bf16", "compiled", "compiled bf16")
COLUMNS = (
    "width", "contender", "run_steps_per_s", "x_plain", "x_best", "cpu_ms", "x_best_cpu", "of_gemm_float32",
    "of_gemm_bfloat16", "memory_mib", "first_step_s", "loss", "loss_agrees", "stack", "device",
)  # fmt: skip


def contender(
    pipe: Connection, name: Name, runs: Sequence[RunSpec], middle: int | None, options: Any
) -> None:
    """The process of a contender: blocks of steps on demand, then the loss and the peak memory.

    Args:
        pipe: to the process that measures.
        name: of the contender.
        runs: of one stack; the loops take the middle one.
        middle: where among them the grid's middle run is; None where it is not.
        options: of the command line, with the threads of this process.
    """
    torch.set_num_threads(options.threads)
    if name.ours:
        steps, held_out = stacked(runs, middle, name.loop == "ours", options.device)
    else:
        steps, held_out = one_by_one(name, runs, options.device)
    while (count := pipe.recv()) is not None:
        start, used = time.perf_counter(), time.process_time()
        steps(count)
        pipe.send((time.perf_counter() - start, time.process_time() - used))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    if options.device != "cpu":
        peak = torch.cuda.max_memory_allocated() / 2**20
    pipe.send((held_out(), peak))


@dataclass
class Contender:
    """A contender's processes and what was measured of it."""

    name: str
    pipes: list[Connection]
    processes: list[mp.process.BaseProcess]
    at_once: int  # runs that a step of all its processes takes together
    stack: int  # runs of its largest stack
    blocks: list[float] = field(default_factory=list)  # run-steps a second of each block
    used: list[float] = field(default_factory=list)  # processor milliseconds a run-step of each block
    first_s: float = 0.0  # of the first step: compiling
    loss: float = math.nan  # held-out, nats per token
    memory: float = 0.0  # MiB

    def send(self, steps: int) -> None:
        """Ask for a block of steps."""
        for pipe in self.pipes:
            pipe.send(steps)

    def receive(self) -> tuple[float, float]:
        """Seconds of the block that was asked for: of the process that took longest, and all processors'."""
        found = [pipe.recv() for pipe in self.pipes]
        return max(wall for wall, _ in found), sum(used for _, used in found)

    def take(self, steps: int) -> tuple[float, float]:
        """`send` and `receive`."""
        self.send(steps)
        return self.receive()

    def close(self) -> None:
        """End the processes and note what they leave."""
        for pipe in self.pipes:
            pipe.send(None)
        found = [pipe.recv() for pipe in self.pipes]
        self.loss = next((loss for loss, _ in found if loss == loss), math.nan)
        self.memory = sum(peak for _, peak in found)
        for process in self.processes:
            process.join()


def started(text: str, width: int, options: argparse.Namespace) -> Contender:
    """Start a contender's processes: one a core for ours and those `a core`, one for the others."""
    name = Name.of(text)
    total = WARM + options.blocks * options.steps
    train = TrainConfig(steps=total, autocast=name.bf16 and name.ours, batch_size=options.batch)
    runs = grid(model_of(width, options.vocab, options.device), options.runs, train, options.data)
    by_process, threads = [runs], options.cores
    middle: int | None = len(runs) // 2
    if name.ours:
        # The middle run comes first, so that it is in the first stack of the first process.
        ordered = [*runs[middle:], *runs[:middle]]
        processes = options.cores if options.device == "cpu" else 1
        shares = cut(ordered, processes)
        # A process trains the parts of its share one after the other; all alike, so the first is measured.
        by_process, threads, middle = [in_stacks(share, name, options)[0] for share in shares], 1, 0
    elif name.a_core:
        by_process, threads = [runs] * options.cores, 1
    pipes, processes_, context = [], [], mp.get_context("spawn")
    for place, part in enumerate(by_process):
        here, there = context.Pipe()
        os.environ["OMP_NUM_THREADS"] = str(threads)
        options.threads = threads
        first = middle if place == 0 else None
        process = context.Process(target=contender, args=(there, name, part, first, options), daemon=True)
        process.start()
        pipes.append(here)
        processes_.append(process)
    sizes = [len(part) if name.ours else 1 for part in by_process]
    return Contender(text, pipes, processes_, sum(sizes), max(sizes))


def device_stack(width: int, options: argparse.Namespace) -> int:
    """Most runs of a stack of which two, in two precisions, fit the device's memory at the same time."""
    model, train = (
        model_of(width, options.vocab, options.device),
        TrainConfig(steps=1, batch_size=options.batch),
    )
    return max(1, min(options.most, int(0.3 * free_bytes(options.device) / run_bytes(model, train))))


def in_stacks(runs: Sequence[RunSpec], name: Name, options: argparse.Namespace) -> list[Sequence[RunSpec]]:
    """The runs of a process as they are trained together: as `train_stack` would, or as `--stack` says."""
    if options.stack is not None:
        return cut(runs, math.ceil(len(runs) / options.stack))
    return cache_sized(runs) if name.loop == "ours" else [runs]


def cut(runs: Sequence[RunSpec], count: int) -> list[Sequence[RunSpec]]:
    """Into so many parts, as equal as can be."""
    ends = [len(runs) * i // count for i in range(count + 1)]
    return [runs[a:b] for a, b in pairwise(ends)]


def gemm_rate(dtype: torch.dtype, device: str, threads: int = 1) -> float:
    """FLOPs a second of a large matrix product."""
    torch.set_num_threads(threads)
    size = 2048 if device == "cpu" else 8192
    a, b = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))

    def seconds() -> float:
        start = time.perf_counter()
        (a @ b)[0, 0].item()
        return time.perf_counter() - start

    return 2 * size**3 / min(seconds() for _ in range(8))


def measure(width: int, options: argparse.Namespace) -> list[Contender]:
    """All contenders at one width, their blocks in turn.

    Beside a GPU there are cores enough for all to compile at the same time; on a CPU they would only be in
    each other's way.
    """
    contenders = []
    for name in options.contenders:
        one = started(name, width, options)
        if options.device == "cpu":
            one.first_s, _ = one.take(1)
        else:
            one.send(1)
        contenders.append(one)
    if options.device != "cpu":
        for one in contenders:
            one.first_s, _ = one.receive()
    for one in contenders:
        one.take(WARM - 1)
    for _ in range(options.blocks):
        for one in contenders:
            wall, used = one.take(options.steps)
            one.blocks.append(one.at_once * options.steps / wall)
            one.used.append(1e3 * used / (one.at_once * options.steps))
    for one in contenders:
        one.close()
    return contenders


def best_loop(found: Sequence[Contender], bf16: bool) -> Contender | None:
    """The strongest loop that is not ours; `bf16`: of any precision, else in float32."""
    names = [(Name.of(one.name), one) for one in found]
    loops = [one for name, one in names if not name.ours and (bf16 or not name.bf16)]
    return max(loops, key=lambda one: statistics.median(one.blocks), default=None)


def ratio(values: Sequence[float], others: Sequence[float] | None) -> float:
    """Median ratio over blocks that were taken in turn; NaN where there are no others."""
    if others is None:
        return math.nan
    return statistics.median(a / b for a, b in zip(values, others, strict=True))


def rows(width: int, found: Sequence[Contender], options: argparse.Namespace) -> list[dict[str, Any]]:
    """A row a contender, by `COLUMNS`."""
    train = TrainConfig(steps=1, batch_size=options.batch)
    flops = run_flops(grid(model_of(width, options.vocab, options.device), 1, train, options.data)[0])
    rates = [gemm_rate(d, options.device, options.cores) for d in (torch.float32, torch.bfloat16)]
    plain = next((one for one in found if one.name == "plain"), None)
    out = []
    for one in found:
        speed, best = statistics.median(one.blocks), best_loop(found, Name.of(one.name).bf16)
        by_cpu = ratio(best.used, one.used) if best else math.nan
        values = (
            width, one.name, speed, ratio(one.blocks, plain.blocks if plain else None),
            ratio(one.blocks, best.blocks if best else None), statistics.median(one.used), by_cpu,
            *(speed * flops / rate for rate in rates), one.memory, one.first_s, one.loss,
            plain is None or abs(one.loss - plain.loss) < TOLERANCE, one.stack, options.device,
        )  # fmt: skip
        out.append(dict(zip(COLUMNS, values, strict=True)))
    return out


def line(row: dict[str, Any]) -> str:
    """A row as it is printed."""
    gemm = f"{row['of_gemm_float32']:.2f}/{row['of_gemm_bfloat16']:.2f}"
    return (
        f"{row['width']:6d} {row['contender']:21s} {row['run_steps_per_s']:11.1f} {row['x_plain']:8.2f} "
        f"{row['x_best']:7.2f} {row['cpu_ms']:8.2f} {row['x_best_cpu']:7.2f} {gemm:>10s} "
        f"{row['memory_mib']:11.0f} {row['first_step_s']:8.1f} "
        f"{row['loss']:9.4f}{'' if row['loss_agrees'] else '  LOSS DIFFERS'}"
    )


def measured(table: Path | None, device: str) -> set[int]:
    """Widths that a table has rows of for a device."""
    if table is None or not table.exists():
        return set()
    with table.open(newline="") as file:
        return {int(row["width"]) for row in csv.DictReader(file) if row["device"] == device}


def append(table: Path, found: Sequence[dict[str, Any]]) -> None:
    """Put rows at the end of a CSV table, so that a width that is finished is kept whatever comes."""
    new = not table.exists()
    with table.open("a", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        if new:
            writer.writeheader()
        writer.writerows(found)


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--widths", default="32,64,128,256,512")
    parser.add_argument("--runs", type=int, default=16, help="learning rates of the grid")
    parser.add_argument("--stack", type=int, help="most runs of one stack; default: as a study would")
    parser.add_argument("--batch", type=int, default=8, help="sequences a step")
    parser.add_argument("--steps", type=int, default=10, help="of a block")
    parser.add_argument("--blocks", type=int, default=7)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--contenders", help="names, separated by commas; default: all that suit the device")
    parser.add_argument("--tokens", type=Path, help="a token file to train on; default: Python's own source")
    parser.add_argument("--vocab", type=int, help="default: 512, of a token file 2048")
    parser.add_argument("--csv", type=Path, help="append a row a contender to this table, width by width")
    options = parser.parse_args()
    options.most = options.stack or options.runs
    options.vocab = options.vocab or (512 if options.tokens is None else 2048)
    names = CPU if options.device == "cpu" else CUDA
    options.contenders = options.contenders.split(",") if options.contenders else list(names)
    options.data = (
        DataConfig() if options.tokens is None else DataConfig(source="bin", files=str(options.tokens))
    )
    options.cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return options


def main() -> None:
    options = parsed()
    print(
        f"{options.runs} runs, depth 2, {options.batch} x 64 tokens, "
        f"vocabulary {options.vocab}, {options.cores} cores, {options.device}"
    )
    print(
        " width contender             run-steps/s  x plain  x best   cpu ms  by cpu    of GEMM  memory MiB"
        "  first s      loss"
    )
    there = measured(options.csv, options.device)
    for width in map(int, options.widths.split(",")):
        if width in there:
            print(f"{width:6d} is in {options.csv} already", flush=True)
            continue
        if options.device != "cpu":
            options.stack = device_stack(width, options)
        found = rows(width, measure(width, options), options)
        print("\n".join(map(line, found)), flush=True)
        if options.csv is not None:
            append(options.csv, found)


if __name__ == "__main__":
    main()
