"""Processor time and memory of a stack of runs against its size, its width and its tokens.

Each cell is a process of its own, one thread: milliseconds of processor time per run and step (median), and
the peak resident memory above what the process held before the stack was made, against `device.run_bytes`.

    python benchmarks/growth.py            # --compiled for compiled steps
"""

from __future__ import annotations

import argparse
import multiprocessing as mp
import os
import resource
import statistics
import time
from multiprocessing.connection import Connection

import torch

from hptransfer.lm.device import run_bytes
from hptransfer.lm.run_tensors import stack_settings, stack_step_settings
from hptransfer.lm.stack import initial_state, step_of
from hptransfer.runs.config import ModelConfig, RunSpec, TrainConfig

CELLS = (  # stack, width, sequences a step, context
    *((stack, 64, 8, 64) for stack in (1, 2, 4, 8, 16, 32)),
    *((8, width, 8, 64) for width in (32, 128, 256, 512)),
    *((8, 64, batch, 64) for batch in (16, 32)),
    *((8, 64, 8, context) for context in (128, 256)),
)


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def cell(pipe: Connection, numbers: tuple[int, int, int, int], compiled: bool, steps: int) -> None:
    stack, width, batch, context = numbers
    torch.set_num_threads(1)
    model, train = ModelConfig(width=width, context=context), TrainConfig(batch_size=batch)
    runs = [
        RunSpec(model=model, train=train, base_width=32, lr=0.003 * 32 / width, seed=i) for i in range(stack)
    ]
    before = peak_mib()
    shape, state = initial_state(runs)
    settings, step = stack_settings(runs), step_of(shape, compiled, "cpu")
    tokens = torch.randint(0, model.vocab, (stack, batch, context + 1))
    times = []
    for number in range(steps + 2):
        start = time.process_time()
        state, _ = step(state, settings, stack_step_settings(runs, number), tokens)
        times.append(1e3 * (time.process_time() - start) / stack)
    pipe.send((statistics.median(times[2:]), peak_mib() - before, stack * run_bytes(model, train) / 2**20))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--compiled", action="store_true")
    parser.add_argument("--steps", type=int, default=10)
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    print("stack  width  sequences  context   ms/run-step   MiB   estimated MiB")
    for numbers in CELLS:
        here, there = mp.get_context("spawn").Pipe()
        process = mp.get_context("spawn").Process(
            target=cell, args=(there, numbers, options.compiled, options.steps)
        )
        process.start()
        ms, mib, estimate = here.recv()
        process.join()
        stack, width, batch, context = numbers
        print(
            f"{stack:5d} {width:6d} {batch:10d} {context:8d} {ms:13.2f} {mib:5.0f} {estimate:15.0f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
