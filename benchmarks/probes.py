"""The cost of the default probes: steps with and without them, interleaved in one process.

    python benchmarks/probes.py [--widths 128,512] [--stack 8] [--pairs 12] [--compiled]

One stack is trained. Plain and probed steps alternate, in both orders, and each is timed in processor seconds
of this process, which other work on the machine disturbs least. Printed are the additional cost of a probed
step, in plain steps (median over pairs); this cost over the default interval of 30 steps, which is the cost
of the default probes; and the memory of the state that is kept from before a probed step. Targets: at most 5%
at width 128, 2% at 512. Without probes the training loop has one more comparison and is otherwise the same
code.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch

from hptransfer.lm.data import load_corpus
from hptransfer.lm.probing import Prober
from hptransfer.lm.run_tensors import stack_settings, stack_step_settings
from hptransfer.lm.stack import initial_state, step_of, template
from hptransfer.lm.training import batches
from hptransfer.runs.config import DataConfig, ModelConfig, ProbeConfig, RunSpec, TrainConfig


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


def measure(width: int, stack: int, pairs: int, compiled: bool) -> tuple[float, float, float]:
    """Milliseconds of a plain step, what a probed one costs beyond it in plain steps, MB held."""
    runs = runs_of(width, stack, 300)
    corpus = load_corpus(runs[0].data, runs[0].model)
    settings = stack_settings(runs)
    shape, state = initial_state(runs)
    prober = Prober(runs, shape, settings, template(shape), corpus)
    step = step_of(shape, compiled, "cpu")
    tokens, interval = batches(runs, corpus, 0), runs[0].probes.interval(300)
    held_mb = 0.0

    def seconds(number: int, probed: bool) -> float:
        nonlocal state, held_mb
        clock = stack_step_settings(runs, number % 300)
        start = time.process_time()
        held = prober.snapshot(number * interval, state) if probed else None  # a step that is due
        state, _ = step(state, settings, clock, tokens)
        if held is not None:
            prober.measure(number, held, state, clock, tokens)
            parts = [*held.weights.values(), *(m for kept in held.moments.values() for m in kept)]
            held_mb = sum(part.nbytes for part in parts) / 1e6
        return time.process_time() - start

    plain, extra = [], []
    for pair in range(pairs + 1):  # the first warms up, and is not counted
        order = (False, True) if pair % 2 else (True, False)
        found = {probed: seconds(2 * pair + i, probed) for i, probed in enumerate(order)}
        if pair:
            plain.append(found[False])
            extra.append(found[True] / found[False] - 1)
    return 1e3 * float(np.median(plain)), float(np.median(extra)), held_mb


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--widths", default="128,512")
    parser.add_argument("--stack", type=int, default=8)
    parser.add_argument("--pairs", type=int, default=12)
    parser.add_argument("--compiled", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{'width':>6} {'CPU ms/step':>12} {'a probed step costs':>20} {'default probes':>15} {'held':>10}")
    for width in (int(w) for w in options.widths.split(",")):
        ms, extra, held = measure(width, options.stack, options.pairs, options.compiled)
        share = extra / ProbeConfig().interval(300)
        print(f"{width:>6} {ms:>12.1f} {extra:>14.2f} steps {share:>14.1%} {held:>7.1f} MB", flush=True)


if __name__ == "__main__":
    main()
