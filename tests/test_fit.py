"""quantify() and what its result shows: predictions, regrets, figures, tables, JSON, pages."""

import inspect
import json
from dataclasses import FrozenInstanceError, fields, replace

import known_sweeps
import numpy as np
import pytest

import hptransfer as hpt
from hptransfer.quantify.settings import Settings


@pytest.fixture(scope="module")
def fit():
    rows = [(v, n, 2.0**-x) for v in ("sp", "mup") for n in (64.0, 128.0, 256.0, 512.0) for x in range(3, 12)]
    variant, scale, hp = map(np.array, zip(*rows, strict=True))
    best = -7 - np.where(variant == "sp", np.log2(scale / 64), 0)
    loss = 3 + (scale / 64) ** -0.5 + 0.05 * (np.log2(hp) - best) ** 2
    sweep = hpt.SweepTable(variant, scale, hp, np.full(len(hp), "0"), loss)
    return hpt.quantify(sweep, targets=[2048], draws=100)


def test_predict_gives_every_variant_and_agrees_with_the_targets(fit):
    assert fit.predict(2048)["sp"] is fit.variants["sp"].predictions[0]
    new = fit.predict(1024)
    assert set(new) == {"sp", "mup"}
    assert new["sp"].hp.value == pytest.approx(2.0**-11, rel=0.02)
    assert new["mup"].hp.value == pytest.approx(2.0**-7, rel=0.02)
    with pytest.raises(hpt.HPTransferError, match="positive"):
        fit.predict(-3)


def test_regret_of_a_pair_of_scales(fit):
    regrets = fit.regret(64, 512)
    assert regrets["mup"].value == pytest.approx(0, abs=1e-3)
    assert regrets["sp"].value == pytest.approx(0.05 * 9, rel=0.05)
    with pytest.raises(hpt.HPTransferError, match="the smaller first, but got 512 and 64; measured: 64, 128"):
        fit.regret(512, 64)


@pytest.mark.parametrize(
    ("table", "rows"),
    [("optima", 8), ("regret", 12), ("predictions", 2), ("holdouts", 2), ("verdicts", 2), ("laws", 6)],
)
def test_frames_have_one_row_a_number(fit, table, rows):
    frame = fit.to_frame(table)
    assert len(frame) == rows
    assert frame.columns[0] == "variant"


def test_the_metrics_frame_holds_what_the_fit_holds(fit):
    frame = fit.to_frame().set_index(["variant", "metric"])
    assert frame.loc[("sp", "drift"), "value"] == fit.variants["sp"].metrics["drift"].value
    with pytest.raises(hpt.HPTransferError, match="must be one of metrics, optima"):
        fit.to_frame("everything")


def test_json_to_a_file_and_back(fit, tmp_path):
    text = fit.to_json(tmp_path / "fit.json")
    assert json.loads((tmp_path / "fit.json").read_text()) == json.loads(text)
    assert json.loads(text)["variants"]["sp"]["verdict"]["value"] == fit.variants["sp"].verdict.value


def test_the_page_is_the_report(fit, tmp_path):
    text = fit.to_html(tmp_path / "report.html")
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == text
    assert text.lower().startswith("<!doctype html>")
    assert "mup" in text


def test_a_fit_prints_in_a_few_lines(fit):
    assert repr(fit).splitlines() == [
        f"TransferFit of 72 runs, hptransfer {hpt.__version__}",
        f"  sp: {fit.variants['sp'].verdict.value}",
        f"  mup: {fit.variants['mup'].verdict.value}",
    ]
    assert "Drift" in fit.summary()
    assert max(map(len, fit.summary(100).splitlines())) <= 100


@pytest.mark.parametrize("kind", ["basins", "optimum", "loss"])
def test_plot_gives_a_figure(fit, kind):
    assert len([axes for axes in fit.plot(kind).axes if axes.get_visible()]) == 2
    (axes,) = (axes for axes in fit.plot(kind, ["mup"]).axes if axes.get_visible())
    assert axes.get_title(loc="left") == "mup"


def test_plot_of_the_metrics_and_of_nothing_known(fit):
    assert fit.plot("metrics").axes
    with pytest.raises(hpt.HPTransferError, match="kind must be one of basins, optimum, loss, metrics"):
        fit.plot("everything")


def test_a_notebook_shows_the_summary(fit):
    shown = fit._repr_html_()
    assert "<table>" in shown
    assert "Drift" in shown


def test_a_fit_as_plain_data_and_as_inference_data(fit):
    assert fit.to_dict() == json.loads(fit.to_json())
    pytest.importorskip("arviz")
    posterior = fit.to_arviz().posterior
    assert posterior["drift"].dims == ("chain", "draw", "variant")
    np.testing.assert_array_equal(posterior["drift"].sel(variant="sp")[0], fit.variants["sp"].draws["drift"])


@pytest.mark.parametrize("targets", [2048, "2048", "2.048k", [2048], ("2k", 4096)])
def test_targets_may_be_one_or_several(fit, targets):
    found = hpt.quantify(fit.sweep, targets=targets, draws=100).settings["targets"]
    assert found in ((2048,), (2000, 4096))


def test_a_target_that_is_no_scale_is_refused(fit):
    with pytest.raises(hpt.HPTransferError, match="must be a scale such as 4096 or 4k, but got 'big'"):
        hpt.quantify(fit.sweep, targets="big")


def test_every_option_reaches_the_settings(fit):
    options = {
        "targets": (2048.0,), "level": 0.8, "tolerance": 0.02, "draws": 150, "seed": 3, "family": "const",
        "reference": "sp", "holdout": 0, "filter": 1.2, "coordinates": "mup",
    }  # fmt: skip
    assert hpt.quantify(fit.sweep, **options).settings == options
    parameters = inspect.signature(hpt.quantify).parameters
    assert (
        set(parameters) - {"sweep", "suggest", "scale", "path"}
        == {f.name for f in fields(Settings)} - {"unit"}
        == set(options)
    )
    defaults = {name: p.default for name, p in parameters.items() if name in options}
    assert defaults == {
        "targets": (), "level": 0.95, "tolerance": None, "draws": 1000, "seed": 0, "family": None,
        "reference": None, "holdout": 1, "filter": 1.35, "coordinates": None,
    }  # fmt: skip


def test_a_new_scale_is_predicted_with_the_same_settings(fit):
    once = hpt.quantify(fit.sweep, targets=[2048, 1024], draws=100)
    assert fit.predict(1024)["sp"] == once.variants["sp"].predictions[1]


def test_a_result_cannot_be_changed(fit):
    with pytest.raises(FrozenInstanceError):
        fit.version = "0"


def test_of_many_variants_some_are_named(fit):
    many = replace(fit, variants={f"v{i}": replace(fit.variants["sp"], name=f"v{i}") for i in range(1021)})
    lines = repr(many).splitlines()
    assert len(lines) == 22
    assert lines[-1] == "  and 1,001 more variants"
    assert lines[-2].startswith("  v19: ")
    assert "more" not in repr(replace(many, variants=dict(list(many.variants.items())[:20])))


def test_the_truth_is_found():
    """x* = -8.3 - 0.5 log2(n / 64), and a parabola of curvature 0.08."""
    fit = hpt.quantify(known_sweeps.make(), targets=[2048], draws=100)
    (prediction,) = fit.variants["v"].predictions
    assert prediction.scale == 2048
    assert prediction.hp.value == pytest.approx(2.0 ** (-8.3 - 0.5 * 5), rel=1e-3)
    assert fit.regret(64, 512)["v"].value == pytest.approx(0.5 * 0.08 * 1.5**2, rel=1e-2)
