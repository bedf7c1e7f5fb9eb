"""The papers' pages of studies with known answers: runs made up so that each claim is true or false."""

from __future__ import annotations

import numpy as np
import pandas as pd

WIDTHS = (16, 32, 64, 128)
BASE = 32


def runs(drift: float, *, variant: str = "mup", noise: float = 0.002) -> pd.DataFrame:
    """Runs whose optimum in muP coordinates moves by `drift` octaves an octave; two seeds."""
    rng = np.random.default_rng(0)
    rows = []
    for width, x, seed in [(w, x, s) for w in WIDTHS for x in range(-12, 1) for s in (0, 1)]:
        u = x + 6.2 - drift * np.log2(width / 16)
        loss = 3 + 8 / width**0.7 + 0.05 * u * u + noise * rng.standard_normal()
        rows.append((variant, width, 2.0**x * BASE / width, 2.0**x, seed, loss, "done", 6.0, 0, 0.0))
    names = (
        "variant",
        "width",
        "lr",
        "lr_mup",
        "seed",
        "loss",
        "status",
        "initial_loss",
        "spikes",
        "spike_nats",
    )
    return pd.DataFrame(rows, columns=list(names))


def edges(edge: dict[str, float]) -> pd.DataFrame:
    """Runs that collapse from a learning rate on, by variant; where that is low, with spikes below it."""
    parts = []
    for variant, last in edge.items():
        frame = runs(0.0, variant=variant)
        x = np.log2(frame["lr_mup"])
        late = {
            "loss": np.where(x > last, 5.0, frame["loss"]),
            "spikes": ((x <= last) & (last < -2)).astype(int),
        }
        parts.append(frame.assign(**late))
    return pd.concat(parts)


def test_ablations_are_judged_by_cost_and_by_place(papers, put, tmp_path, monkeypatch):
    ablations = papers("ablations")
    put(
        {
            "lingle-baseline": runs(0.0),
            "lingle-cosine": runs(0.0).assign(loss=lambda f: f["loss"] + 0.05),
            "lingle-lion": runs(-1.0),
            "lingle-sp": runs(0.0, variant="sp"),  # that is, SP's own learning rate falls like 1/width
            "lingle-gains-vector": runs(0.0),
            "lingle-batch-x4": runs(0.0),
            "lingle-lion-long": runs(0.0),
        },
    )
    flags = {
        "baseline": "yes",
        "cosine": "yes",
        "lion": "no",
        "sp": "no",
        "gains-vector": "no",
        "batch-x4": "yes",
    }
    monkeypatch.setattr(ablations, "verdicts", lambda: flags)
    assert ablations.ran() == [*(n for n in ablations.LINGLE_ABLATIONS if n in flags), "lion-long"]
    assert ablations.same_place("baseline")
    assert not ablations.same_place("lion")
    assert list(ablations.best_places("sp").values()) == [-6, -6, -8, -8]  # near -5.2, -6.2, -7.2, -8.2
    status = {c.words.partition(":")[0]: c.status for c in ablations.claims()}
    assert status["baseline muP"] == status["cosine schedule"] == "supported"
    assert status["SP"] == "supported"  # it says that this fails, and it does
    lion = [c.status for c in ablations.claims() if c.words.startswith("Lion")]
    assert lion == ["supported", "refuted"]  # fails, and does not where it is trained longer
    assert status["RMSNorm gains vector"] == "refuted"
    assert status["4x larger batch"] == "not run yet"  # the batch was the baseline's
    assert status["The cosine schedule ends at a slightly higher loss than the linear one"] == "supported"
    text = ablations.write().write().read_text()
    assert "| `lion` |" in text
    assert (tmp_path / "docs" / "images" / "ablations.svg").is_file()


def test_instability_is_seen_where_it_is(papers, put):
    instability = papers("instability")
    put({"instability": edges({"sp": -3.0, "sp+embd": -1.0, "mup-embd": -1.0, "mup": -1.0})})
    edge = instability.edge("sp", 64)
    assert edge.low < -2.5 < edge.high
    assert instability.edge("mup", 64).value > edge.high
    status = {(c.words.rpartition(": ")[2], c.case): c.status for c in instability.claims()}
    assert status["spikes a run", "sp+embd"] == "supported"
    assert status["share of failed runs", "sp+embd"] == "supported"
    assert status["share of failed runs", "mup"] == "not decidable at this scale"
    text = instability.write().write().read_text()
    assert "*collapsed*" in text
    assert "5.000 nats here" in text


def test_pages_without_a_study_say_so(papers, put):
    put({})
    for name in (
        "ablations",
        "instability",
        "wide",
        "embedding_ratio",
        "embedding_training",
        "depth",
        "probes",
    ):
        assert "Not run yet" in papers(name).write().write().read_text()
    for name in ("parametrizations", "decay", "tokens_per_param"):
        assert {c.status for c in papers(name).claims.__wrapped__()} == {"not run yet"}


def test_decays_are_compared_on_the_seeds_that_both_have(papers, put):
    data = papers("data")
    none = pd.concat(
        [runs(0.0), runs(0.0).assign(seed=lambda f: f["seed"] + 2, loss=lambda f: f["loss"] - 0.3)]
    )
    put({"a": none.assign(variant="mup wd=0"), "b": runs(0.0).assign(variant="mup wd=0.01")})
    both = data.fitted_where_all("a", "b")
    assert set(both.sweep.seed) == {"0", "1"}
    first, second = (both.fit.variants[v].optima[-1].loss.value for v in ("mup wd=0", "mup wd=0.01"))
    assert abs(first - second) < 0.01  # the luck of other seeds is not an effect of decay
