"""The corpus of real trainings: what is trained, what was, and a build that goes on where it stopped."""

from __future__ import annotations

import json
import queue
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("torch")

from hptransfer.lm import train as lm_train

CORPUS = Path(__file__).parents[2] / "benchmarks" / "corpus"
TABLES = sorted((CORPUS / "tables").glob("*.csv.gz"))
TINY = """
defaults:
  widths: [8, 16]
  seeds: 2
  centre: -6
  model: {depth: 1, heads: 2, context: 8, vocab: 257}
  data: {source: synthetic, classes: 16, validation_tokens: 512}
  train: {steps: 5, batch_size: 2}
setups:
  tiny:
    variants: [sp, mup]
"""


@pytest.fixture(scope="module")
def build(benchmark_module: Callable[[str], ModuleType]) -> ModuleType:
    return benchmark_module("build")


def test_the_set_ups_are_many_and_unlike(build: ModuleType) -> None:
    setups = build.read_setups()
    assert len(setups) >= 15
    assert sum(len(setup.variants) for setup in setups) >= 60
    assert len({setup.name for setup in setups}) == len(setups)
    trained = [{**s.train, **changes} for s in setups for _, _, changes in s.variants]
    assert {"muon", "lion", "sgd"} <= {t.get("optimizer", "adamw") for t in trained}
    assert min(s.get("steps", 999) for s in trained) <= 100
    assert max(s.get("steps", 0) for s in trained) >= 1500
    assert {s.model["vocab"] for s in setups} >= {257, 4096}
    assert any("tokens_per_param" in t for t in trained)
    assert len({s.data["source"] for s in setups}) >= 3
    for setup in setups:
        assert len(setup.widths) >= 5
        assert setup.seeds >= 8
        assert len({name for name, _, _ in setup.variants}) == len(setup.variants)


def test_every_run_of_every_set_up_is_one_that_can_be(build: ModuleType) -> None:
    """Configurations check themselves: each variant at its smallest and largest width."""
    for setup in build.read_setups():
        for v, width in (
            (v, w) for v in range(len(setup.variants)) for w in (setup.widths[0], setup.widths[-1])
        ):
            run, right = (setup.run(v, width, place, 3) for place in (0, 2))
            assert (run.model.width, run.seed, run.rule) == (width, 3, setup.variants[v][1])
            assert right.lr / run.lr == pytest.approx(2.0)  # places are half octaves
            assert run.steps > 0


@pytest.mark.parametrize("path", TABLES, ids=lambda path: path.name.removesuffix(".csv.gz"))
def test_a_committed_table_is_whole(path: Path, build: ModuleType) -> None:
    setup = {s.name: s for s in build.read_setups()}[path.name.removesuffix(".csv.gz")]
    table = pd.read_csv(path)
    assert tuple(table.columns) == build.COLUMNS
    assert set(table["variant"]) <= {name for name, _, _ in setup.variants}
    assert not table.duplicated(["variant", "width", "lr", "seed"]).any()
    assert table.drop(columns="loss").notna().all(axis=None)
    for _, part in table.groupby("variant"):
        assert part["width"].nunique() >= 5
        for width, cells in part.groupby("width"):
            assert cells["seed"].nunique() >= (8 if width in setup.widths[:2] else 6)
            steps = np.diff(np.unique(np.round(2 * np.log2(cells["lr"]), 4)))
            assert np.allclose(steps, 1.0, atol=1e-3)  # half-octave learning rates, none left out
            assert (cells["loss"] < cells["initial_loss"]).any()
    assert setup.name in json.loads((CORPUS / "tables" / "provenance.json").read_text())


def test_all_tables_together_are_small() -> None:
    assert TABLES
    assert sum(path.stat().st_size for path in TABLES) < 8e6


class Here:
    """Processes that run where they are started, so that a test's small numbers hold in them."""

    Queue = queue.Queue

    @staticmethod
    def Process(target: Callable[..., None], args: tuple[Any, ...]) -> SimpleNamespace:
        return SimpleNamespace(start=lambda: target(*args), join=lambda: None)


@pytest.fixture
def tiny(build: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A build of few short runs; `trained` has the widths of each stack, `fail` the one that breaks off."""
    (tmp_path / "setups.yaml").write_text(TINY)
    read, train_stack = build.read_setups, lm_train.train_stack
    state: dict[str, Any] = {"trained": [], "fail": None}

    def stack(runs: Any, compiled: bool) -> Any:
        assert compiled
        if runs[0].model.width == state["fail"]:
            raise KeyboardInterrupt
        state["trained"].append(runs[0].model.width)
        return train_stack(runs, compiled=False)

    for name, value in {"PILOT": 1, "LEFT": 0, "RIGHT": 0, "EXTEND": 0, "STACK": 2}.items():
        monkeypatch.setattr(build, name, value)
    monkeypatch.setattr(build, "read_setups", lambda: read(tmp_path / "setups.yaml"))
    monkeypatch.setattr(lm_train, "train_stack", stack)
    monkeypatch.setattr(build.mp, "get_context", lambda _: Here)
    monkeypatch.chdir(tmp_path)  # and back, after the command has changed it

    def call(name: str) -> None:
        words = ["--processes", "1", "--work", tmp_path / name, "--tables", tmp_path / f"{name}-tables"]
        monkeypatch.setattr(sys, "argv", ["build.py", *map(str, words)])
        build.main()

    return state | {"call": call, "state": state, "path": tmp_path}


def test_a_build_that_was_stopped_goes_on_where_it_was(tiny: dict[str, Any]) -> None:
    state, path = tiny["state"], tiny["path"]
    tiny["call"]("whole")
    table = (path / "whole-tables" / "tiny.csv.gz").read_bytes()
    assert set(state["trained"]) == {8, 16}

    state["fail"] = 16
    with pytest.raises(KeyboardInterrupt):
        tiny["call"]("stopped")
    assert [f.name for f in (path / "stopped").iterdir()] == ["tiny-8.csv"]
    state["fail"], state["trained"][:] = None, []
    tiny["call"]("stopped")
    assert set(state["trained"]) == {16}  # the finished width is not trained again
    assert (path / "stopped-tables" / "tiny.csv.gz").read_bytes() == table

    state["trained"][:] = []
    tiny["call"]("stopped")
    assert state["trained"] == []
    assert list(json.loads((path / "stopped-tables" / "provenance.json").read_text())) == ["tiny"]


def test_a_unit_is_a_pilot_and_the_other_seeds_around_its_lowest_loss(
    tiny: dict[str, Any], build: ModuleType
) -> None:
    tiny["call"]("whole")
    rows = pd.read_csv(tiny["path"] / "whole-tables" / "tiny.csv.gz")
    assert tuple(rows.columns) == build.COLUMNS
    for (variant, width), part in rows.groupby(["variant", "width"]):
        first, second = (part[part["seed"] == seed] for seed in (0, 1))
        assert np.round(np.log2(first["lr_mup"]), 4).tolist() == [-6.5, -6.0, -5.5]
        assert second["lr"].tolist() == [first.loc[first["loss"].idxmin(), "lr"]]
        ratio = first["lr_mup"] / first["lr"]
        assert ratio.to_numpy() == pytest.approx(np.full(3, width / build.BASE_WIDTH), rel=1e-5), variant
    assert (rows["steps"] == 5).all()
    assert rows["loss"].notna().all()


def test_pilots_grow_where_their_lowest_loss_is_near_an_end(
    build: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Losses that fall to the right until runs diverge: beyond a diverged end nothing more is asked for."""
    setup = next(s for s in build.read_setups() if s.name == "text")

    def train(runs: Any) -> list[dict[str, Any]]:
        places = [round(2 * (np.log2(r.lr) - np.log2(setup.run(0, 8, 0, 0).lr))) for r in runs]
        return [{"loss": float("nan") if p > 13 else 5.0 - 0.1 * p} for p in places]

    monkeypatch.setattr(build, "train", train)
    found = build.pilot(setup, 8)
    places = sorted({place for v, place, _ in found if v == 0})
    assert places == list(range(-7, places[-1] + 1))
    assert 13 < places[-1] <= 17
    assert build.lowest((p, found[0, p, 0]) for p in places) == 13
    assert build.lowest([(3, {"loss": float("nan")})]) == 0
