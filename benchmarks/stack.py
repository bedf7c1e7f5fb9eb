"""Stacked training against the plain loop, one run at a time, with fused AdamW: milliseconds a run-step.

Both train the same eight runs (one LR each) of the reference decoder on the same batches, on one thread,
interleaved in one process so that a noisy machine disturbs both alike. Compiling is timed apart.

    python benchmarks/stack.py --widths 32,64,128
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch.nn import functional as F

from hptransfer.lm.config import ModelConfig, RunSpec
from hptransfer.lm.data import Corpus, batch, load_corpus
from hptransfer.lm.init import initial_weights
from hptransfer.lm.model import Decoder
from hptransfer.lm.rule import forward_scales
from hptransfer.lm.settings import stack_clock, stack_settings
from hptransfer.lm.step import stack_step
from hptransfer.lm.train import initial_state, template

STACK = 8


def runs_at(width: int) -> list[RunSpec]:
    return [
        RunSpec(model=ModelConfig(width=width), base_width=32, lr=2.0 ** -(5 + i) * 32 / width)
        for i in range(STACK)
    ]


def plain_loop(run: RunSpec, corpus: Corpus) -> Callable[[int], None]:
    """One step of one run, as most people write it."""
    model = Decoder(run.model)
    model.load_state_dict(initial_weights(run))
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=run.lr, betas=(0.9, 0.95), weight_decay=0, fused=True
    )
    scale = torch.tensor(forward_scales(run).attention)

    def step(number: int) -> None:
        tokens = torch.from_numpy(batch(corpus, run.model, run.train.batch_size, 0, number))
        loss = F.cross_entropy(model(tokens[:, :-1], scale).flatten(0, 1), tokens[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def stacked(runs: list[RunSpec], corpus: Corpus, compiled: bool) -> Callable[[int], None]:
    """One step of all runs."""
    shape, state = initial_state(runs)
    settings = stack_settings(runs)
    first = runs[0]
    lifted = stack_step(template(shape), shape)
    step_all = torch.compile(lifted, fullgraph=True, dynamic=False) if compiled else lifted

    def step(number: int) -> None:
        tokens = torch.from_numpy(batch(corpus, first.model, first.train.batch_size, 0, number))
        step_all(state, settings, stack_clock(runs, number), tokens.expand(STACK, -1, -1).contiguous())

    return step


def seconds(step: Callable[[int], None], number: int) -> float:
    start = time.perf_counter()
    step(number)
    return time.perf_counter() - start


def measure(width: int, steps: int) -> str:
    runs = runs_at(width)
    corpus = load_corpus(runs[0].data, runs[0].model)
    plain, eager, compiled = (
        plain_loop(runs[0], corpus),
        stacked(runs, corpus, compiled=False),
        stacked(runs, corpus, compiled=True),
    )
    compile_s = seconds(compiled, 0)
    for step in (plain, eager, compiled):
        step(0)
    rows = [
        (seconds(plain, i), seconds(eager, i) / STACK, seconds(compiled, i) / STACK) for i in range(steps)
    ]
    medians = [1e3 * statistics.median(column) for column in zip(*rows, strict=True)]
    ratio = statistics.median(row[0] / row[2] for row in rows)
    return f"{width:6d} {medians[0]:9.2f} {medians[1]:9.2f} {medians[2]:9.2f} {ratio:8.2f}x {compile_s:10.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--widths", default="32,64,128")
    parser.add_argument("--steps", type=int, default=40)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print(f"ms per run-step, {STACK} runs a stack, 8 x 64 tokens, depth 2, vocabulary 512, one thread")
    print(" width     plain     eager  compiled    ratio  compile s")
    for width in map(int, arguments.widths.split(",")):
        print(measure(width, arguments.steps), flush=True)


if __name__ == "__main__":
    main()
