"""The picture of the README, of the same fit as its numbers: python benchmarks/readme_picture.py."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from matplotlib.figure import Figure

import hptransfer as hpt
from hptransfer.report import basin_chart, palette
from hptransfer.report.matplotlib_backend import draw, key_handle
from hptransfer.sweep.example import example_text

PICTURE = Path(__file__).resolve().parents[1] / "docs" / "images" / "readme.png"
INCHES = (9.2, 3.6)


def fit_of(lr: str, rule: str) -> hpt.TransferFit:
    """The example `demo` under one rule, its learning rates in the column of the rule's own coordinates."""
    header, *lines = example_text("demo").splitlines()
    names = header.split(",")
    rows = [dict(zip(names, line.split(","), strict=True)) for line in lines]
    sweep = hpt.read([row for row in rows if row["variant"] == rule], hp=lr)
    return hpt.quantify(sweep, coordinates=rule, tolerance=0.03, suggest=False)


def picture() -> Figure:
    """Two panels: loss against the learning rate that the user sets, at every width."""
    fits = fit_of("lr", "sp"), fit_of("lr_mup", "mup")
    titles = (
        "Standard parametrization:\nthe best learning rate falls as the model grows",
        "muP: the best learning rate\nof the smallest model serves the largest",
    )
    figure = Figure(figsize=INCHES, layout="constrained")
    for axes, fit, title in zip(figure.subplots(1, 2), fits, titles, strict=True):
        item = basin_chart.basins(fit, list(fit.variants.values()))
        draw(axes, replace(item.panels[0], name=""))
        axes.set_title(title, fontsize=10, loc="left", color=palette.INK)
        axes.set_xlabel("learning rate that the user sets", fontsize=9, color=palette.INK)
        axes.set_ylabel("")
    figure.axes[0].set_ylabel("validation loss, nats", fontsize=9, color=palette.INK)
    figure.legend(
        [key_handle(entry) for entry in item.key],
        [entry.label for entry in item.key],
        fontsize=9,
        loc="outside right center",
        frameon=False,
    )
    return figure


if __name__ == "__main__":
    picture().savefig(PICTURE, dpi=150, metadata={"Software": None})
