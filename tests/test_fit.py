"""`quantify` and what a fit shows of itself."""

from __future__ import annotations

import json
from pathlib import Path

import known_sweeps
import pytest

from hptransfer.errors import QuantifyError, RuleError
from hptransfer.fit import TransferFit, quantify
from hptransfer.sweep import read
from hptransfer.version import __version__


@pytest.fixture(scope="module")
def fit() -> TransferFit:
    return quantify(known_sweeps.make(), targets=[2048], draws=100)


def test_the_truth_is_found(fit: TransferFit) -> None:
    """x* = -8.3 - 0.5 log2(n / 64), and a parabola of curvature 0.08."""
    (prediction,) = fit.variants["v"].predictions
    assert prediction.scale == 2048
    assert prediction.hp.value == pytest.approx(2.0 ** (-8.3 - 0.5 * 5), rel=1e-3)
    drift = 0.5 * 3
    assert fit.regret(64, 512)["v"].value == pytest.approx(0.5 * 0.08 * drift**2, rel=1e-2)


def test_the_same_seed_gives_the_same_fit_and_another_does_not() -> None:
    sweep = known_sweeps.make(noise=0.01)
    one, same, other = (quantify(sweep, draws=100, seed=seed).to_json() for seed in (0, 0, 1))
    assert one == same != other


def test_a_scale_that_was_no_target_is_predicted_by_a_refit(fit: TransferFit) -> None:
    assert fit.predict(2048)["v"] == fit.variants["v"].predictions[0]
    assert fit.predict(1024)["v"].hp.value == pytest.approx(2.0 ** (-8.3 - 0.5 * 4), rel=1e-3)
    assert [p.scale for p in fit.variants["v"].predictions] == [2048]


def test_every_form_is_of_the_same_fit(fit: TransferFit, tmp_path: Path) -> None:
    text = fit.to_json(tmp_path / "fit.json")
    assert (tmp_path / "fit.json").read_text() == text + "\n"
    assert json.loads(text)["schema"] == 1
    page = fit.to_html(tmp_path / "fit.html")
    assert (tmp_path / "fit.html").read_text(encoding="utf-8") == page
    assert page.startswith("<!DOCTYPE html>")
    assert all(len(line) <= 60 for line in fit.summary(60).splitlines())
    verdict = fit.variants["v"].verdict.value
    assert repr(fit) == f"TransferFit of 40 runs, hptransfer {__version__}\n  v: {verdict}"
    assert fit._repr_html_().startswith("<pre>")


def test_a_fit_of_many_variants_names_the_first_twenty() -> None:
    rows = [
        {"variant": f"v{v}", "width": n, "lr": 2.0**x, "loss": 3 + (x + 7) ** 2 / 9}
        for v in range(22)
        for n in (64, 128)
        for x in range(-10, -3)
    ]
    lines = repr(quantify(read(rows), draws=100)).splitlines()
    assert len(lines) == 22
    assert lines[-1] == "  and 2 more variants"


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"draws": 99}, "draws"),
        ({"level": 1.0}, "level"),
        ({"reference": "nobody"}, "nobody"),
        ({"targets": [-1]}, "target"),
        ({"family": "cubic"}, "cubic"),
    ],
)
def test_a_setting_out_of_range_is_named(settings: dict[str, object], text: str) -> None:
    with pytest.raises(QuantifyError, match=text):
        quantify(known_sweeps.make(), **settings)  # type: ignore[arg-type]


def test_what_cannot_be_asked_of_a_fit_is_refused(fit: TransferFit) -> None:
    with pytest.raises(QuantifyError, match="basins, optimum, loss, metrics, but got 'pie'"):
        fit.plot("pie")
    with pytest.raises(QuantifyError, match="the smaller first"):
        fit.regret(512, 64)
    sweep = read([{"width": 64, "lr": 0.1, "loss": 1.0}], optimizer="adamv")
    with pytest.raises(RuleError, match="adamv"):
        quantify(sweep)
