"""Simulated studies with known dynamics, shared by the tests of dynamics and of its report."""

from __future__ import annotations

import math

import numpy as np

from hptransfer.dynamics.probe_table import ProbeLog
from hptransfer.dynamics.study import RunDynamics, StudyDynamics

WIDTHS = (32.0, 48.0, 64.0, 96.0, 128.0)
LRS = tuple(2.0**x for x in range(-8, -2))
STEPS = (0, 50, 100, 150)
EXPONENTS = {"sp": -1.0, "sp+embd": 0.0}  # of the embedding's relative update


def simulated(
    noise: float = 0.0,
    *,
    widths: tuple[float, ...] = WIDTHS,
    lrs: tuple[float, ...] = LRS,
    seeds: int = 2,
    variants: dict[str, float] = EXPONENTS,
    logit: tuple[float, float, float] = (16.0, 1.5, 0.5),
) -> StudyDynamics:
    """Relative updates by power laws of width; log2 of the attention logits is a + b log2 eta + c log2 n."""
    rng = np.random.default_rng(0)
    a, b, c = logit
    runs = []
    for variant, exponent in variants.items():
        for n in widths:
            for lr in lrs:
                for seed in range(seeds):
                    size = lr * (n / 32) ** exponent * 2.0 ** rng.normal(0, noise)
                    top = 2.0 ** (a + b * math.log2(lr) + c * math.log2(n) + rng.normal(0, noise))
                    rows = [
                        (("token_embedding", "embedding", "relative_update"), size),
                        (("blocks.0.qkv", "hidden", "relative_update"), lr),
                        (("blocks.1.qkv", "hidden", "relative_update"), lr * 4),
                        (("blocks.0", "hidden", "attention_logit_max"), top),
                        (("", "", "lr"), lr),
                        (("", "", "critical_lr"), 0.1 * (n / 32) ** -1.0),
                        (("", "", "grad_norm"), 1.0),
                    ]
                    values = np.array([[v for _, v in rows]] * len(STEPS))
                    distance = math.log2(lr) + 5
                    curve = tuple(4.0 + 3 * math.exp(-s / 40) for s in range(0, 200, 2))
                    runs.append(
                        RunDynamics(
                            run=f"{variant}-{n:g}-{lr:g}-{seed}",
                            variant=variant,
                            scale=n,
                            hp=lr,
                            seed=str(seed),
                            status="done",
                            loss=3.5 + 0.05 * distance**2 + 10 / n,
                            steps=tuple(range(0, 200, 2)),
                            curve=curve,
                            probes=ProbeLog(STEPS, tuple(row for row, _ in rows), values),
                        )
                    )
    return StudyDynamics(tuple(runs))
