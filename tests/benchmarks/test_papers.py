"""The papers' pages: what they compute, and that a committed page is what its table gives."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest

ROOT = Path(__file__).parents[2]
PAGES = {"instability": "instability.md", "tokens_per_param": "tokens-per-parameter.md"}
NUMBER = re.compile(r"[-+]?\d+(?:[.,]\d+)*(?:e[-+]?\d+)?%?")


@pytest.fixture(scope="module")
def papers(benchmark_module: Callable[[str], ModuleType]) -> Callable[[str], ModuleType]:
    return lambda name: benchmark_module(f"papers.{name}")


def numbers(text: str) -> list[float]:
    return [float(found.rstrip("%").replace(",", "")) for found in NUMBER.findall(text)]


@pytest.mark.parametrize("module", ["instability", pytest.param("tokens_per_param", marks=pytest.mark.slow)])
def test_a_page_is_what_its_table_gives(papers, module, tmp_path, monkeypatch):
    monkeypatch.setattr(papers("page"), "DOCS", tmp_path)
    made = papers(module).write().write()
    kept = (ROOT / "docs" / "papers" / PAGES[module]).read_text()
    assert NUMBER.sub("0", made.read_text()) == NUMBER.sub("0", kept)
    assert numbers(made.read_text()) == pytest.approx(numbers(kept), rel=0.05, abs=0.02)
    for image in tmp_path.glob("images/*.svg"):
        assert (ROOT / "docs" / "papers" / "images" / image.name).is_file()


def test_every_page_is_in_the_docs_and_in_the_navigation(papers):
    summary, navigation = papers("summary"), (ROOT / "mkdocs.yml").read_text()
    written = {path.name for path in (ROOT / "docs" / "papers").glob("*.md")}
    assert written == {"index.md", *(path for path, _, _ in summary.PAGES)}
    assert all(f"papers/{name}" in navigation for name in written)


def test_tables_are_small_and_say_where_they_come_from(papers):
    collect = papers("collect")
    tables = sorted(collect.TABLES.glob("*.csv.gz"))
    assert tables
    assert sum(path.stat().st_size for path in tables) < collect.MOST_BYTES
    notes = collect.read_notes()
    probed = {path for path in tables if path.name.endswith(".exponents.csv.gz")}
    assert {path.name.removesuffix(".csv.gz") for path in tables if path not in probed} == set(notes)
    for path in probed:
        assert path.name.partition(".")[0] in notes
        assert set(pd.read_csv(path).columns) >= {"variant", "probe", "role", "exponent"}
    for path in set(tables) - probed:
        made = notes[path.name.removesuffix(".csv.gz")]
        assert made["commit"]
        assert made["spec"]["widths"]
        assert made["runs"] == len(pd.read_csv(path))


def test_names_of_the_sixteen_go_both_ways(papers):
    data = papers("data")
    rules = list(data.the_sixteen())
    assert len(set(rules)) == 16
    assert all(data.rule_of(data.switches_of(rule)) == rule for rule in rules)
    assert data.rule_of(data._switches("mup_sp_ln")) == "mup-ln"
    assert data.rule_of(data._switches("sp_lr")) == "mup-last"
    assert data.rule_of(data._switches("sp_embd_last")) == "sp+embd+last"
    assert data.rule_of(data._switches("mup_sp")) == "mup"


def known(papers, *, noise: float = 0.0) -> dict[str, float]:
    """Values with an effect of -1 of `embd`, 0.5 of `ln`, and 0.4 of the two together beyond that."""
    data, rng = papers("data"), np.random.default_rng(0)
    out = {}
    for rule in data.the_sixteen():
        on = data.switches_of(rule)
        embd, ln = (0.5 if s in on else -0.5 for s in ("embd", "ln"))
        out[rule] = 3.0 - embd + 0.5 * ln + 0.4 * embd * ln + noise * rng.standard_normal()
    return out


def test_effects_are_found_exactly_without_noise(papers):
    found = papers("effects").effects(known(papers))
    assert found["embd"].by_spread.value == pytest.approx(-1.0)
    assert found["ln"].by_spread.value == pytest.approx(0.5)
    assert found["embd x ln"].by_spread.value == pytest.approx(0.4)
    assert found["attn"].by_spread.value == pytest.approx(0.0, abs=1e-9)
    assert found["attn"].by_noise.low is None  # no draws were given


def test_effects_do_without_some_rules_and_admit_too_few(papers):
    values = known(papers, noise=0.01)
    effects = papers("effects").effects
    short = effects({k: v for k, v in values.items() if k not in ("sp+attn", "sp+last")})
    assert short["embd"].by_spread.low < -1.0 < short["embd"].by_spread.high
    assert effects({k: values[k] for k in ("sp", "mup")})["embd"].by_spread.value is None
    assert effects({})["embd"].by_spread.value is None


def test_effects_take_the_noise_from_the_draws(papers):
    data, rng = papers("data"), np.random.default_rng(1)
    draws = {k: data.Draws(v, v + 0.1 * rng.standard_normal(4000)) for k, v in known(papers).items()}
    found = papers("effects").effects(draws)["embd"].by_noise
    assert found.high - found.low == pytest.approx(2 * 1.96 * 0.1 * np.sqrt(2 / 8), rel=0.1)


def test_rank_correlation_joins_several(papers):
    effects = papers("effects")
    a = {str(i): float(i) for i in range(10)}
    assert effects.spearman(a, a).value == pytest.approx(1.0)
    assert np.isnan(effects.spearman(a, {"0": 1.0}).value)
    one, two = effects.Rank(0.5, 12), effects.Rank(0.5, 12)
    joined = effects.mean_rank([one, two])
    assert joined.value == pytest.approx(0.5)
    assert joined.low > one.estimate.low
    assert effects.mean_rank([]).value is None


def test_shares_have_wilson_intervals(papers):
    shares = papers("shares")
    item = shares.share(0, 20)
    assert (item.low, item.high) == pytest.approx((0.0, 0.161), abs=1e-3)
    gap = shares.share_difference((56, 48), (70, 80))  # Newcombe 1998, his example (a), method 10
    assert (gap.value, gap.low, gap.high) == pytest.approx((0.2, 0.0524, 0.3339), abs=1e-4)
    assert shares.share(0, 0).value is None


def test_the_edge_is_where_half_of_the_runs_fail(papers):
    edge, rng = papers("shares").failure_edge, np.random.default_rng(2)
    inside = 0
    for truth in rng.uniform(-5, -3, 60):
        x = np.repeat(np.arange(-7, -1.9, 0.5), 4)
        failed = rng.random(len(x)) < 1 / (1 + np.exp(-(x - truth) / 0.25))
        found = edge(x, failed)
        inside += found.low <= truth <= found.high
    assert inside >= 54
    nothing = edge(np.arange(-7.0, -2.0), np.zeros(5, dtype=bool))
    assert nothing.high is None
    assert nothing.flags


@pytest.mark.parametrize(
    ("low", "high", "above", "status"),
    [
        (0.1, 0.2, True, "supported"),
        (0.1, 0.2, False, "refuted"),
        (-0.1, 0.2, True, "not decidable at this scale"),
        (None, None, True, "not decidable at this scale"),
    ],
)
def test_a_claim_is_judged_by_its_interval(papers, low, high, above, status):
    estimate = papers("page").Estimate(0.15, low, high)
    assert papers("claims").judge(estimate, above=above) == status


def test_advice_follows_from_every_claim_behind_it(papers):
    claims, summary = papers("claims"), papers("summary")

    def claim(words: str, status: str):
        return claims.Claim("p", words, status, "", "", "page")

    def word(*statuses: str) -> str:
        return summary.verdict([claim(f"X {i}", s) for i, s in enumerate(statuses)], ("X",))[0]

    assert word("supported", "supported") == "follows"
    assert word("supported", "not decidable at this scale") == "partly"
    assert word("supported", "refuted") == "does not follow"
    assert word("not decidable at this scale") == "not shown"
    assert word() == word("not run yet") == "not run yet"
    every = summary.claims()
    for advice, starts in summary.ADVICE:
        assert all(any(c.words.startswith(s) for c in every) for s in starts), advice


def test_readings_of_e_are_small_where_the_laws_hold(papers):
    """Runs on exact laws: every reading is far below what it is when one width's optimum is moved."""
    data, candidates = papers("data"), papers("candidates")

    def runs(off: float) -> pd.DataFrame:
        rng = np.random.default_rng(0)
        rows = []
        for width, x, seed in [(w, x, s) for w in (16, 32, 64, 128) for x in range(-9, 0) for s in (0, 1)]:
            u = x + 5 + 0.1 * np.log2(width / 16) + (off if width == 64 else 0.0)
            loss = 3 + 8 / width**0.7 + 0.05 * u * u + 0.002 * rng.standard_normal()
            rows.append(("v", width, 2.0**x, seed, loss))
        return pd.DataFrame(rows, columns=["variant", "width", "lr_mup", "seed", "loss"])

    exact, moved = (data.fit_frame(runs(off), "mup") for off in (0.0, 1.0))
    for name in candidates.CANDIDATES:
        if "predicted" in name or "losses" in name or "parabolas in LR" in name:
            continue  # these do not look at where the optimum is, or are no parabola in log LR
        assert candidates.log10_error(exact, "v", name) + 1 < candidates.log10_error(moved, "v", name), name
    assert exact.keeping("v").value < 0.02
    assert exact.shift("v").value == pytest.approx(-0.3, abs=0.1)


def test_a_finished_study_is_collected_once(papers, tmp_path, monkeypatch):
    pytest.importorskip("torch")
    from hptransfer.study.run import run_study
    from hptransfer.study.spec import parse_study

    monkeypatch.setenv("HPTRANSFER_CACHE", str(tmp_path / "cache"))
    spec = parse_study(
        {
            "name": "tiny",
            "variants": ["sp", "mup"],
            "widths": [8, 16],
            "lr": {"low": "2^-8", "high": "2^-5", "factor": 8, "extend": 0},
            "model": {"depth": 1, "heads": 2, "context": 8, "vocab": 257},
            "train": {"steps": 4, "batch_size": 2},
            "data": {"source": "synthetic", "classes": 16, "validation_tokens": 64},
            "compile": "never",
        }
    )
    collect, tables = papers("collect"), tmp_path / "tables"
    tables.mkdir()
    result = run_study(spec, tmp_path / "runs" / "tiny")
    assert collect.finished(tmp_path / "runs") == []  # it has no fit yet
    (result.folder / "fit.json").write_text(json.dumps({"provenance": dict(result.provenance)}))
    assert collect.finished(tmp_path / "runs") == [result.folder]
    assert collect.collect(result.folder, tables, commit="abc")
    assert not collect.collect(result.folder, tables, commit="abc")
    frame = pd.read_csv(tables / "tiny.csv.gz")
    assert len(frame) == 8
    assert set(frame["spikes"]) == {0}
    note = collect.read_notes(tables)["tiny"]
    assert 0 < note["unigram_entropy"] < np.log(257)
    assert note["spec"]["variants"] == ["sp", "mup"]
    changed = gzip.decompress((tables / "tiny.csv.gz").read_bytes()).replace(b"sp,8", b"sp,9")
    (tables / "tiny.csv.gz").write_bytes(gzip.compress(changed))
    assert collect.collect(result.folder, tables)


def test_pairs_of_switches_are_all_there(papers):
    effects = papers("effects")
    assert len(effects.PAIRS) == len(list(combinations(effects.MAIN, 2))) == 6
