"""Grids of runs that one study cannot hold, and the pages of their tables: made-up runs, known answers."""

from __future__ import annotations

import json
from itertools import product

import numpy as np
import pandas as pd
import pytest


def valley(exponent: float, vocabulary: int, *, noise: float = 0.003) -> pd.DataFrame:
    """Runs whose best embedding factor is 8 x (width / 16)^exponent."""
    rng = np.random.default_rng(vocabulary)
    rows = []
    for width, factor, x, seed in product((16, 32, 64), (1, 4, 16, 64, 256), (-7, -6, -5), (0, 1)):
        z = np.log2(factor) - 3 - exponent * np.log2(width / 16)
        loss = 4 - 0.1 * np.log2(width) + 0.02 * z * z + 0.05 * (x + 6) ** 2 + noise * rng.standard_normal()
        rows.append((vocabulary, factor, "mup-embd", width, 2.0**x, seed, loss))
    names = ["model.vocab", "train.lr_factors.embedding", "variant", "width", "lr_mup", "seed", "loss"]
    return pd.DataFrame(rows, columns=names)


def test_the_exponent_of_the_best_ratio_is_found(papers, put):
    page = papers("embedding_ratio")
    put({"embedding-ratio": pd.concat([valley(1.0, 257), valley(0.4, 4096)])})
    for vocabulary, truth in ((257, 1.0), (4096, 0.4)):
        low, high = page.whole_valley(vocabulary).interval
        assert low < truth < high
        assert high - low < 0.3
        assert page.exponent(vocabulary).value == pytest.approx(truth, abs=0.15)
    assert [c.status for c in page.claims()][:3] == ["supported"] * 3
    assert "| 257 |" in page.write().write().read_text()


def test_a_valley_that_is_none_has_no_exponent(papers):
    curves = papers("curves")
    z, w = (np.array(v, dtype=float) for v in zip(*product(range(5), range(3)), strict=True))
    group = [(float(x),) for x in w]
    assert curves.moving_valley(z, w, group, -(z**2)) is None
    assert curves.moving_valley(z[:4], w[:4], group[:4], z[:4]) is None


def test_the_lowest_loss_is_read_off_a_parabola(papers):
    vertex = papers("curves").vertex
    x = np.arange(-7.0, -1.0)
    assert vertex(x, 3 + 0.1 * (x + 4.3) ** 2) == pytest.approx((-4.3, 3.0))
    assert vertex(x, 3 + 0.1 * x) == pytest.approx((-7.0, 2.3))  # at an end
    assert vertex(x, np.where(x > -4, np.nan, -x)) == pytest.approx((-4.0, 4.0))  # beside a run that diverged


def training(gain_of: dict[tuple[int, float], float]) -> pd.DataFrame:
    """Slow and fast embeddings by batch size and warmup; the fast one wins what is given."""
    rng = np.random.default_rng(1)
    rows = []
    for (batch, warmup), gain in gain_of.items():
        for variant, x, seed in product(("sp", "sp+embd"), range(-6, -1), (0, 1)):
            loss = 4 - (variant != "sp") * gain + 0.05 * (x + 4) ** 2 + 0.002 * rng.standard_normal()
            rows.append((batch, warmup, variant, 64, 2.0**x, seed, loss))
    names = ["train.batch_size", "train.warmup", "variant", "width", "lr_mup", "seed", "loss"]
    return pd.DataFrame(rows, columns=names)


def falling(treatments: dict[tuple[str, float], float]) -> pd.DataFrame:
    """Runs of three widths; a treatment's loss lies so much below that of the slow embedding."""
    rng = np.random.default_rng(2)
    rows = []
    for (rule, ramp), gain in treatments.items():
        for width, x, seed in product((32, 64, 128), range(-6, -1), (0, 1)):
            loss = 5 - 0.1 * np.log2(width) - gain + 0.05 * (x + 4) ** 2 + 0.002 * rng.standard_normal()
            rows.append((ramp, rule, width, 2.0**x, seed, loss))
    names = ["train.lr_ramps.embedding.exponent", "variant", "width", "lr_mup", "seed", "loss"]
    return pd.DataFrame(rows, columns=names)


def test_gains_by_batch_and_warmup_and_a_falling_rate(papers, put):
    page = papers("embedding_training")
    cells = {(b, w): 0.2 - 0.02 * np.log2(b) - 0.1 * w for b, w in product((2, 8, 32), (0.0, 0.1, 0.4))}
    treatments = {("sp", 0.0): 0.0, ("sp", -1.0): -0.01, ("sp+embd", 0.0): 0.1, ("sp+embd", -1.0): 0.1}
    put({"batch-warmup": training(cells), "falling-embedding": falling(treatments)})
    found = page.dependence()
    assert found["batch"].value == pytest.approx(-0.02, abs=0.002)
    assert found["warmup"].value == pytest.approx(-0.01, abs=0.002)
    status = [c.status for c in page.claims()]
    assert status == ["supported", "supported", "supported", "not decidable at this scale"]
    assert page.differences(page.FAST, page.SLOW)[64].value == pytest.approx(-0.1, abs=0.01)
    assert "| 128 |" in page.write().write().read_text()


def test_depth_takes_the_place_of_width(papers, put):
    page, rng = papers("depth"), np.random.default_rng(3)
    rows = []
    for rule, drift in (("mup", -1.0), ("depth-mup", 0.0), ("completep", 0.0)):
        for depth, x, seed in product((1, 2, 4, 8), range(-9, 0), (0, 1)):
            u = x + 5 - drift * np.log2(depth)
            loss = 3 + 1 / depth + (rule == "mup") * 0.1 + 0.05 * u * u + 0.002 * rng.standard_normal()
            rows.append((depth, rule, 32, 2.0**x, 2.0**x, seed, loss))
    names = ["model.depth", "variant", "width", "lr", "lr_mup", "seed", "loss"]
    put({"depth": pd.DataFrame(rows, columns=names)})
    assert [c.status for c in page.claims()] == ["refuted", *["supported"] * 3, "supported"]
    assert "depths 1, 2, 4, 8" in page.write().write().read_text()


def test_the_wide_model_is_held_against_its_prediction(papers, put):
    page, rng = papers("wide"), np.random.default_rng(4)

    def runs(widths: tuple[int, ...], places: list[float]) -> pd.DataFrame:
        rows = [
            (
                v,
                w,
                2.0**x,
                0,
                3 + 8 / w**0.7 + 0.05 * (x + 5) ** 2 + off * (w > 500) + 0.001 * rng.standard_normal(),
            )
            for (v, off), w, x in product((("sp", 1.0), ("mup", 0.0)), widths, places)
        ]
        return pd.DataFrame(rows, columns=["variant", "width", "lr_mup", "seed", "loss"])

    put(
        {
            "wide": runs((32, 48, 64, 96, 128), [float(x) for x in range(-9, 0)]),
            "wide-1024-both": runs((1024,), [-6.0, -5.0, -4.0]),
        }
    )
    assert [c.status for c in page.claims()] == ["refuted", "supported", "supported", "supported"]
    assert page.given_up("mup") == 0
    assert "1,024" in page.write().write().read_text()


def test_probes_are_held_against_shuffled_rules(papers, monkeypatch, put):
    page, data, rng = papers("probes"), papers("data"), np.random.default_rng(5)
    rules = list(data.the_sixteen())
    truth = {rule: float(i) for i, rule in enumerate(rules)}
    rows = [
        (f"{rule} wd=0", probe, "hidden", truth[rule] if probe == "told" else rng.standard_normal())
        for rule, probe in product(rules, ("told", *(f"noise{i}" for i in range(9))))
    ]
    put({"probes.exponents": pd.DataFrame(rows, columns=["variant", "probe", "role", "exponent"])})
    noise = {rule: float(rng.standard_normal()) for rule in rules}
    monkeypatch.setattr(page, "targets", lambda q: truth if q == page.FORETOLD[0] else noise)
    assert next(iter(page.correlations(page.FORETOLD[0]))) == ("told", "hidden")
    assert page.chance(page.FORETOLD[0]) < 0.01
    assert page.chance(page.FORETOLD[1]) > 0.02


def test_a_grid_is_trained_in_parts_and_collected(papers, tmp_path, monkeypatch):
    pytest.importorskip("torch")
    monkeypatch.setenv("HPTRANSFER_CACHE", str(tmp_path / "cache"))
    train, collect = papers("train"), papers("collect")
    spec = tmp_path / "spec.yaml"
    spec.write_text(
        "{name: tiny, variants: [sp], widths: [8], lr: {low: 2^-8, high: 2^-5, factor: 8, extend: 0}, "
        "model: {depth: 1, heads: 2, context: 8, vocab: 257}, train: {steps: 4, batch_size: 2}, "
        "data: {source: synthetic, classes: 16, validation_tokens: 64}, compile: never}"
    )
    grid = train.Grid("g", str(spec), vary={"model.depth": [1, 2], "train.warmup": [0, 0.5]}, base_depth=1)
    runs = grid.runs()
    assert len(runs) == 8
    assert {run.depth_ratio for _, run in runs} == {1.0, 2.0}
    assert len({run.run_id for _, run in runs}) == 8
    assert [len(part) for part in train.parts(grid, [])] == [4, 4]  # a stack a depth
    folder = tmp_path / "runs" / "g"
    table = train.train(grid, folder)
    assert list(table["train.warmup"]) == [row["train.warmup"] for row, _ in runs]
    assert table["loss"].between(5, 7).all()
    assert train.parts(grid, table["run_id"]) == []
    assert train.train(grid, folder).equals(table)  # nothing is trained again
    assert collect.finished(tmp_path / "runs") == []
    table.to_csv(folder / "runs.csv", index=False)
    (folder / "grid.json").write_text(json.dumps(train.note(grid)))
    tables = tmp_path / "tables"
    tables.mkdir()
    assert collect.collect(folder, tables, commit="abc")
    assert not collect.collect(folder, tables, commit="abc")
    note = collect.read_notes(tables)["g"]
    assert note["vary"] == {"model.depth": [1, 2], "train.warmup": [0, 0.5]}
    assert note["base_depth"] == 1


def test_every_grid_of_the_file_can_be_planned(papers):
    grids = papers("train").read_grids()
    for grid in grids.values():
        runs = grid.runs()
        assert len({run.run_id for _, run in runs}) == len(runs), grid.name
