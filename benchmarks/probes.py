"""Cost of the default probes over none, paired and interleaved, in one process.

    python benchmarks/probes.py [--widths 128,512] [--stack 8] [--blocks 5] [--compiled]

Two stacks of the same runs are trained side by side, a block of steps of one, then of the other, in turns:
one with the default probes at their default interval, one without. A block is one interval long, so that it
holds exactly one probed step. Printed: the median over blocks of the paired ratio, the cost of one probed
step in steps, and what is held of the state from before it. Targets: at most 5% at width 128, 2% at
512. Without probes the training loop is the same code with one comparison more: nothing to measure.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch

from hptransfer.lm.config import DataConfig, ModelConfig, ProbeConfig, RunSpec, TrainConfig
from hptransfer.lm.data import load_corpus
from hptransfer.lm.probing import Prober
from hptransfer.lm.settings import stack_clock, stack_settings
from hptransfer.lm.stack import initial_state, step_of, template
from hptransfer.lm.train import batches


def runs_of(width: int, stack: int, steps: int) -> list[RunSpec]:
    return [
        RunSpec(
            model=ModelConfig(width=width, depth=2, heads=4, context=64, vocab=512),
            data=DataConfig(),
            train=TrainConfig(steps=steps, batch_size=8),
            base_width=32,
            lr=2.0 ** (-9 - i / 4),
            probes=ProbeConfig(),
        )
        for i in range(stack)
    ]


def measure(width: int, stack: int, blocks: int, compiled: bool) -> tuple[float, float, float, float]:
    """Median paired ratio, milliseconds a step without probes, cost of a probed step in steps, MB held."""
    runs = runs_of(width, stack, 300)
    interval = ProbeConfig().interval(300)
    corpus = load_corpus(runs[0].data, runs[0].model)
    settings = stack_settings(runs)
    sides = []
    for probed in (False, True):
        shape, state = initial_state(runs)
        prober = Prober(runs, shape, settings, template(shape), corpus) if probed else None
        sides.append([prober, state, step_of(shape, compiled, "cpu")])
    tokens = batches(runs, corpus, 0)
    ratios, plain, held_mb = [], [], 0.0
    for block in range(blocks + 1):  # the first warms up, and is not counted
        seconds = []
        order = (0, 1) if block % 2 else (1, 0)
        for side in order:
            prober, state, step = sides[side]
            start = time.perf_counter()
            for i in range(interval):
                number = block * interval + i
                clock = stack_clock(runs, number % 300)
                held = prober.hold(number, state) if prober is not None else None
                state, _ = step(state, settings, clock, tokens)
                if prober is not None and held is not None:
                    prober.measure(number, held, state, clock, tokens)
                    held_mb = sum(w.nbytes for w in held.weights.values()) / 1e6
                    held_mb += sum(m.nbytes for ms in held.moments.values() for m in ms) / 1e6
            seconds.append((side, time.perf_counter() - start))
        found = dict(seconds)
        if block:
            ratios.append(found[1] / found[0])
            plain.append(found[0] / interval)
    ratio = float(np.median(ratios))
    return ratio, 1e3 * float(np.median(plain)), (ratio - 1) * interval, held_mb


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--widths", default="128,512")
    parser.add_argument("--stack", type=int, default=8)
    parser.add_argument("--blocks", type=int, default=5)
    parser.add_argument("--compiled", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{'width':>6} {'ms/step':>9} {'ratio':>7} {'a probed step costs':>20} {'held between':>13}")
    for width in (int(w) for w in options.widths.split(",")):
        ratio, ms, steps, held = measure(width, options.stack, options.blocks, options.compiled)
        print(f"{width:>6} {ms:>9.1f} {ratio:>7.3f} {steps:>14.2f} steps {held:>10.1f} MB", flush=True)


if __name__ == "__main__":
    main()
