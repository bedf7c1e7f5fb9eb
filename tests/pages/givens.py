"""What the pages take as given: the files that their commands name and the objects that their Python names.

A file is made before the first block that names it, where no block of the page has made it before.
"""

from __future__ import annotations

import csv
import functools
import gzip
import itertools
import json
import math
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import fake_trainer
import yaml
from small_study import study
from tests.pages.blocks import Block

from hptransfer.study.run import run_study
from hptransfer.study.spec import StudySpec, parse_study

Row = Mapping[str, object]
WIDTHS = (256, 512, 1024, 2048)


def sweep(lr: str = "lr", scale: str = "width", loss: str = "loss", **more: Iterable[object]) -> list[Row]:
    """A table of two variants, of which one drifts, with every combination of further columns."""
    rows = []
    for (variant, drift), (k, n), x in itertools.product(
        (("sp", 1), ("mup", 0)), enumerate(WIDTHS), range(3, 14)
    ):
        base = {"variant": variant, scale: n, lr: 2.0**-x}
        for values in itertools.product(*more.values()):
            own = dict(zip(more, values, strict=True))
            rows.append({**base, **own, loss: _loss(x, 7 + drift * k, n, own)})
    return rows


def _loss(x: float, best: float, n: float, own: Row) -> float:
    """A basin in log2 lr; further hyperparameters have basins of their own."""
    shift = sum(0.02 * (math.log2(float(str(v))) - 3) ** 2 for k, v in own.items() if k in ("batch_size",))
    shift += sum(0.02 * (math.log2(float(str(v))) + 4) ** 2 for k, v in own.items() if k == "weight_decay")
    return 3 + 8 / n**0.5 + 0.05 * (x - best) ** 2 + shift + 0.001 * ((x * 7 + n) % 5)


def axes_sweep(batches: tuple[int, ...] = ()) -> list[Row]:
    """Losses over parameters and tokens, and over batch sizes where they are given."""
    rows = []
    sizes = (1e8, 4e8, 1.6e9), (4e9, 1.6e10, 6.4e10)
    for n, d, x, batch in itertools.product(*sizes, range(5, 15), batches or (0,)):
        best = 9 + 0.5 * math.log2(n / 1e8) / 2 - 0.3 * math.log2(d / 4e9) / 2
        loss = 1.8 + 400 / n**0.34 + 400 / d**0.28 + 0.03 * (x - best) ** 2
        row = {"params": n, "tokens": d, "lr": 2.0**-x, "loss": loss}
        rows.append({**row, "batch_size": batch, "loss": loss + _batch_cost(batch)} if batches else row)
    return rows


def axes_sweep_with_widths() -> list[Row]:
    """The same with the width of every number of parameters."""
    widths = {1e8: 256, 4e8: 512, 1.6e9: 1024}
    return [{"width": widths[float(str(row["params"]))], **row} for row in axes_sweep()]


def _batch_cost(batch: int) -> float:
    return 0.02 * math.log2(batch / 256) ** 2


def optimizers() -> list[Row]:
    """A table whose variants are optimizers."""
    names = {"sp": "adamw", "mup": "lion"}
    return [{"optimizer": names[str(row["variant"])], **dict(list(row.items())[1:])} for row in sweep()]


def several_hps() -> list[Row]:
    """Losses over learning rate and batch size, or two learning rates, as the pages' commands name them."""
    rows = []
    for (k, n), x, y in itertools.product(enumerate(WIDTHS), range(5, 12), range(3, 9)):
        loss = 3 + 8 / n**0.5 + 0.05 * (x - 7 - 0.5 * k) ** 2 + 0.03 * (y - 5 - 0.3 * (x - 8)) ** 2
        other = {"batch_size": 2**y, "weight_decay": 2.0**-y, "lr_embedding": 2.0 ** -(y + 1)}
        rows.append({"width": n, "lr": 2.0**-x, "lr_hidden": 2.0**-x, **other, "loss": loss})
    return rows


def log() -> list[Row]:
    """A row an epoch, two optimizers."""
    more = {"epoch": (1, 5), "optimizer": ("adamw", "lion"), "tokens": (2e9,)}
    return sweep(**more)


def _write(path: Path, rows: list[Row]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def _table(make: Callable[..., list[Row]], **how: Any) -> Callable[[Path], None]:
    return lambda path: _write(path, make(**how))


def _gzipped(path: Path) -> None:
    _write(path.with_suffix(""), sweep())
    path.write_bytes(gzip.compress(path.with_suffix("").read_bytes()))


def _runs_folder(path: Path) -> None:
    """Runs of Lightning, each with its metrics and hyperparameters."""
    for number, row in enumerate(r for r in sweep() if r["variant"] == "mup"):
        folder = path / f"version_{number}"
        folder.mkdir(parents=True)
        folder.joinpath("hparams.yaml").write_text(f"width: {row['width']}\nlr: {row['lr']}\n")
        lines = [f"{step},{float(str(row['loss'])) + 1 / step}" for step in (1, 10, 100, 1000)]
        folder.joinpath("metrics.csv").write_text("\n".join(["step,val_loss", *lines, ""]))


def _spec(path: Path) -> None:
    path.write_text(
        "name: first\nvariants: [sp, mup]\nwidths: [32, 64, 128]\nlr: {low: 2^-10, high: 2^-4}\n"
        "targets: [256]\ntrain: {steps: 20}\n"
    )


def _fit(path: Path) -> None:
    import hptransfer as hpt

    hpt.quantify(hpt.read(sweep())).to_json(path)


def _demo() -> StudySpec:
    return study(name="demo", widths=[32, 64, 128], targets=[256])


@functools.cache
def _finished() -> Path:
    """A study that is finished, trained by a formula; made once."""
    folder = Path(tempfile.mkdtemp(prefix="hptransfer-pages-")) / "demo"
    run_study(_demo(), folder, train=fake_trainer.NAME)
    return folder


def _spec_of_the_finished(path: Path) -> None:
    path.write_text(yaml.safe_dump(_demo().model_dump(mode="json")))


def _probed_study(path: Path) -> None:
    """A real one, of a few steps."""
    spec = {"name": "dynamics", "variants": ["mup"], "widths": [16, 32, 48], "probes": {"every": 2}}
    model = {"depth": 1, "heads": 2, "context": 16, "vocab": 260}
    rest = {"lr": {"low": "2^-9", "high": "2^-5", "factor": 4}, "train": {"steps": 6, "batch_size": 2}}
    run_study(parse_study({**spec, **rest, "model": model}), path)


def _study(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copytree(_finished(), path)


def _record(width: int, lr: float) -> Callable[[Path], None]:
    """What a trainer does to its tensors at a width, as `hptransfer audit` reads it."""

    def write(path: Path) -> None:
        shapes = {
            "embedding.weight": [512, width],
            "up.weight": [4 * width, width],
            "head.weight": [512, width],
        }
        scale = {"up.weight": 128 / width, "head.weight": 1.0}
        rows = [{"name": n, "shape": s, "lr": lr * scale.get(n, 1.0)} for n, s in shapes.items()]
        path.write_text(json.dumps({"width": width, "tensors": rows}))

    return write


def _optuna_file(path: Path) -> None:
    """A storage of Optuna with one study."""
    _optuna(f"sqlite:///{path}")


FILES: dict[str, Callable[[Path], None]] = {
    "runs.csv": _table(sweep),
    "axes.md/runs.csv": _table(axes_sweep),
    "targets.md/runs.csv": _table(axes_sweep_with_widths),
    "joint.md/runs.csv": _table(several_hps),
    "joint.md/axes.csv": _table(axes_sweep, batches=(64, 256, 1024)),
    "weight-decay.md/runs.csv": _table(several_hps),
    "compare.md/runs.csv": _table(optimizers),
    "runs.csv.gz": _gzipped,
    "adamw.csv": lambda path: _write(path, [r for r in optimizers() if r["optimizer"] == "adamw"]),
    "lion.csv": lambda path: _write(path, [r for r in optimizers() if r["optimizer"] == "lion"]),
    "sweep.csv": _table(sweep, weight_decay=(0.03, 0.1)),
    "log.csv": _table(log),
    "sp.csv": lambda path: _write(path, [r for r in sweep() if r["variant"] == "sp"]),
    "mup.csv": lambda path: _write(path, [r for r in sweep() if r["variant"] == "mup"]),
    "wandb_export.csv": _table(sweep, lr="learning_rate", scale="d_model", loss="val/loss"),
    "lightning_logs": _runs_folder,
    "outputs": _runs_folder,
    "runs/dynamics": _probed_study,
    "study.yaml": _spec,
    "watching.md/study.yaml": _spec_of_the_finished,
    "fit.json": _fit,
    "study.db": _optuna_file,
    "small.json": _record(128, 3e-3),
    "large.json": _record(512, 3e-3),
    "other_small.json": _record(128, 1e-3),
    "other_large.json": _record(512, 1e-3),
    **dict.fromkeys(
        ("runs/demo", "runs/a", "runs/b", "runs/step", "runs/tpp", "runs/adamw", "runs/lion"), _study
    ),
}


def files(folder: Path, block: Block) -> None:
    """Makes what a block names and is not there."""
    for key, make in FILES.items():
        page, _, name = key.rpartition(".md/")
        path = folder / name
        named = re.search(rf"(?<![\w.-])(?<!\w/){re.escape(name)}(?![\w.-])", block.text)
        if named and not path.exists() and page in ("", block.page.stem):
            own = FILES.get(f"{block.page.name}/{name}", make)
            own(path)


def names(found: dict[str, Any], wanted: set[str], block: Block) -> None:
    """Puts the objects that a block uses and no block of its page has made into its namespace."""
    for name in sorted(wanted & MAKERS.keys() - found.keys()):
        found[name] = MAKERS[name](found, block)


def _model(found: dict[str, Any], _: Block) -> Any:
    return _build(1024)


def _build(width: int) -> Any:
    """The pages' widths, a sixteenth as wide."""
    from tests.pages.page_model import PageModel

    return PageModel(width // 16)


def _scaling(found: dict[str, Any], block: Block) -> Any:
    import hptransfer as hpt

    names(found, {"model"}, block)
    return hpt.parametrize(found["model"], base=_build(256), rule="mup")


def _optimizer(found: dict[str, Any], block: Block) -> Any:
    import torch

    names(found, {"model"}, block)
    return torch.optim.AdamW(found["model"].parameters(), lr=1e-3)


def _hpt(*_: Any) -> Any:
    import hptransfer

    return hptransfer


def _torch(*_: Any) -> Any:
    import torch

    return torch


def _batches(*_: Any) -> Any:
    import torch

    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(11, (8, 7), generator=generator)
    return [(tokens[:, :-1], tokens[:, 1:])]


def _frame(*_: Any) -> Any:
    import pandas as pd

    return pd.DataFrame(sweep(scale="params", loss="val_loss"))


def _optuna(storage: str | None = None) -> Any:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    made = optuna.create_study(storage=storage, study_name="width-sweep")
    for row in sweep():
        lr, width, loss = (float(str(row[key])) for key in ("lr", "width", "loss"))
        if row["variant"] == "mup":
            distributions = {
                "lr": optuna.distributions.FloatDistribution(1e-5, 1, log=True),
                "width": optuna.distributions.FloatDistribution(1, 1e5),
            }
            made.add_trial(
                optuna.trial.create_trial(
                    params={"lr": lr, "width": width}, distributions=distributions, value=loss
                )
            )
    return made


MAKERS: dict[str, Callable[[dict[str, Any], Block], Any]] = {
    "hpt": _hpt,
    "torch": _torch,
    "build": lambda *_: _build,
    "model": _model,
    "scaling": _scaling,
    "optimizer": _optimizer,
    "tokens": lambda *_: _batches()[0][0],
    "batches": _batches,
    "frame": _frame,
    "study": lambda *_: _optuna(),
}
