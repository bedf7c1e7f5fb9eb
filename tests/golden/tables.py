"""The ten recorded tables, and how each was made.

Eight are drawn from a known law by the seeded generators below; `python -m tests.golden.tables` writes them
again, byte for byte. Two hold runs of our own: `two_rules.csv` are the variants sp and mup of
`examples/dynamics/runs.csv` (AdamW, widths 16 to 128, two seeds), and `sgd.csv` are the runs of the study
`sgd.yaml` beside it, trained with SGD.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

FOLDER = Path(__file__).parent
WIDTHS = (64.0, 128.0, 256.0, 512.0)
Row = dict[str, Any]


def basin(u: np.ndarray, h: float = 0.09, skew: float = 0.35) -> np.ndarray:
    """Loss above the minimum at u octaves from the optimum, nats: gentle below it, steep above it."""
    return h * (np.exp(skew * u) - skew * u - 1) / skew**2


def runs(
    seed: int,
    *,
    variant: str = "v",
    scales: Sequence[float] = WIDTHS,
    grid: Callable[[int], np.ndarray] = lambda k: np.arange(-12.0, -4.0),
    law: tuple[float, float] = (-7.8, -0.4),
    level: tuple[float, float, float] = (2.9, 0.9, 0.4),
    seeds: int = 1,
    noise: float = 0.004,
) -> list[Row]:
    """Runs of one variant.

    Args:
        seed: of the noise.
        variant: its name.
        scales: n, ascending.
        grid: log2 of the learning rates tried at scale number k.
        law: log2 of the optimum at the smallest scale, and its drift in octaves per octave of scale.
        level: L_inf, A and alpha of the loss at the optimum, L_inf + A (n / n0)**-alpha, nats.
        seeds: runs of every learning rate.
        noise: standard deviation of one run's loss, nats.

    Returns:
        One row a run: variant, scale, lr, seed, loss.
    """
    rng = np.random.default_rng(seed)
    out: list[Row] = []
    for k, n in enumerate(scales):
        m, x = n / scales[0], grid(k)
        loss = level[0] + level[1] * m ** -level[2] + basin(x - law[0] - law[1] * np.log2(m))
        for s in range(seeds):
            noisy = loss + noise * rng.standard_normal(len(x))
            out += [
                {"variant": variant, "width": n, "lr": 2.0**xi, "seed": s, "loss": round(float(y), 6)}
                for xi, y in zip(x, noisy, strict=True)
            ]
    return out


def diverged(rows: Iterable[Row], limit: float, text: str) -> list[Row]:
    """The same rows, with `text` for every loss above `limit`."""
    return [row | {"loss": text} if row["loss"] > limit else row for row in rows]


def ragged() -> list[Row]:
    """One seed; grids of unequal step, range and offset, a scale of two runs, one where all diverged.

    At width 80 a second minimum lies far above the optimum; at width 384 one run lies far off its basin.
    """
    grids = [
        np.arange(-12.0, -5.0),
        np.arange(-11.3, -4.0, 0.5),
        np.array([-10.0, -9.2, -8.9, -8.1, -7.0, -6.6]),
        np.array([-9.5, -8.5]),
        np.array([-5.0, -4.0, -3.0]),
        np.arange(-12.5, -6.0, 0.7),
    ]
    scales = (48.0, 80.0, 128.0, 200.0, 256.0, 384.0)
    rows = runs(11, scales=scales, grid=lambda k: grids[k], law=(-8.0, -0.2))
    rows = [row | {"loss": "nan"} if row["width"] == 256.0 else row for row in rows]
    rows = [row | {"loss": 3.645} if row["width"] == 80.0 and row["lr"] > 2**-4.9 else row for row in rows]
    odd = {(384.0, 2.0 ** grids[5][4]): 3.45}  # width and learning rate of the run far off, and its loss
    return [row | {"loss": odd.get((row["width"], row["lr"]), row["loss"])} for row in rows]


def many_seeds() -> list[Row]:
    """Five seeds, noise near the basin's own size, a cliff beyond which losses are infinite."""
    rows = runs(12, seeds=5, noise=0.02, grid=lambda k: np.arange(-11.0, -4.0), law=(-7.5, -0.1))
    return diverged(rows, 3.85, "inf")


def no_seed() -> list[Row]:
    """Two replicates of every run and no seed column; diverged runs are blank or say so."""
    rows = diverged(runs(13, seeds=2, law=(-7.6, -0.5)), 4.1, "")
    rows = [row | {"loss": "diverged"} if row["loss"] == "" and row["width"] == 64.0 else row for row in rows]
    return [{name: row[name] for name in ("width", "lr", "loss")} for row in rows]


def initial_loss() -> list[Row]:
    """Runs that ended above the loss at initialisation, which is a column, and one that is NaN."""
    rows = runs(14, seeds=2, law=(-8.0, -0.5), noise=0.006)
    rows = [row | {"initial_loss": 4.1 + 0.01 * row["seed"]} for row in rows]
    return [*rows[:-1], rows[-1] | {"loss": "nan"}]


def edge() -> list[Row]:
    """Optima beyond the lowest learning rate and before a wall of diverged runs, and a width all lost."""
    left = runs(15, variant="left", grid=lambda k: np.arange(-8.0, -3.0), law=(-6.8, -0.8))
    wall = runs(16, variant="wall", grid=lambda k: np.arange(-11.0, -5.0), law=(-7.7, 0.5))
    lost = runs(23, variant="lost", scales=WIDTHS[:2])
    return [
        *left,
        *(row | {"loss": "nan"} if row["lr"] >= 2.0**-6 else row for row in wall),
        *(row | {"loss": "nan"} if row["width"] == WIDTHS[1] else row for row in lost),
    ]


def two_scales() -> list[Row]:
    """Too few scales for a law: two variants, of which one keeps its optimum."""
    still = runs(17, variant="still", scales=WIDTHS[:2], law=(-8.2, 0.0))
    return still + runs(18, variant="moving", scales=WIDTHS[:2], law=(-8.2, -1.0))


def three_scales() -> list[Row]:
    """Three variants at three scales, with the FLOPs of a run, and more than one seed."""
    rows = [
        *runs(19, variant="base", scales=WIDTHS[:3], seeds=2, law=(-8.1, -0.9)),
        *runs(20, variant="better", scales=WIDTHS[:3], seeds=2, law=(-8.1, 0.02), level=(2.85, 0.9, 0.4)),
        *runs(21, variant="worse", scales=WIDTHS[:3], seeds=2, law=(-8.0, -0.3), level=(3.0, 0.9, 0.3)),
    ]
    return [row | {"flops": 6e5 * row["width"] ** 2} for row in rows]


def parameters() -> list[Row]:
    """A scale that is no width: parameters, over three decades; the optimum tends to a constant."""
    rows = runs(22, scales=tuple(float(f"{1e6 * 3.5**k:.3g}") for k in range(6)), law=(-8.6, -0.12), seeds=2)
    names = {"width": "params", "variant": "method", "loss": "val_loss"}
    return [{names.get(name, name): value for name, value in row.items()} for row in rows]


GENERATED: dict[str, Callable[[], list[Row]]] = {
    "ragged": ragged,
    "many_seeds": many_seeds,
    "no_seed": no_seed,
    "initial_loss": initial_loss,
    "edge": edge,
    "two_scales": two_scales,
    "three_scales": three_scales,
    "parameters": parameters,
}


def text_of(rows: Sequence[Row]) -> list[dict[str, str]]:
    """The rows as the file has them, cell by cell."""
    return [{name: str(cell) for name, cell in row.items()} for row in rows]


def main() -> None:
    for name, make in GENERATED.items():
        rows = make()
        with open(FOLDER / f"{name}.csv", "w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, rows[0].keys(), lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)


if __name__ == "__main__":
    main()
