"""quantify_joint(): what a user of Python sees."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from joint_sweeps import optima, two_hps

import hptransfer as hpt
from hptransfer.errors import HPTransferError, SweepError
from hptransfer.joint import JointFit, quantify_joint

RATIO = "lr/sqrt(batch_size)"


@pytest.fixture(scope="module")
def sweep():
    return two_hps()


@pytest.fixture(scope="module")
def fit(sweep):
    return quantify_joint(
        sweep, combinations=["lr/sqrt(batch)", "batch_size/(lr*tokens)"], targets="4k", draws=300
    )


def test_optima_laws_and_predictions_hold_the_truth(fit):
    variant = fit.variants["a"]
    truth = optima((*(o.scale for o in variant.optima), 4000.0), start=(-7.0, 6.0))
    assert fit.hp == ("lr", "batch_size")
    for j, (name, slope) in enumerate(zip(fit.hp, (-0.4, 0.5), strict=True)):
        law, predicted = variant.laws[name], variant.predictions[0].hp[name]
        assert law.exponent.low < slope < law.exponent.high
        assert predicted.low < 2 ** truth[-1, j] < predicted.high
    combined = variant.laws["lr/sqrt(batch)"].exponent
    assert combined.low < -0.4 - 0.25 < combined.high
    tokens = variant.laws["batch_size/(lr*tokens)"].exponent
    assert tokens.low < 0.5 + 0.4 - 1.0 < tokens.high


def test_a_combination_is_that_of_the_optima(fit):
    for optimum in fit.variants["a"].optima:
        found = optimum.combinations["batch_size/(lr*tokens)"].value
        expected = optimum.hp["batch_size"].value / optimum.hp["lr"].value / (20 * optimum.scale)
        assert found == pytest.approx(expected)


def test_the_ellipse_and_the_correlation_are_there(fit):
    for optimum in fit.variants["a"].optima:
        assert (np.linalg.eigvalsh(optimum.covariance) > 0).all()
        assert optimum.correlation[0, 1] > 0.2  # more batch, more learning rate
        for name in fit.hp:
            assert (optimum.curves[name].profile <= optimum.curves[name].slice + 1e-9).all()


def test_keeping_both_values_costs_what_the_basin_says(fit):
    verdict = fit.variants["a"].verdict
    assert verdict.keep.value == "no"
    (u, v) = optima()[0] - optima()[-1]
    ridge = u - 0.5 * v
    true = 0.1 / 0.09 * (np.exp(0.3 * ridge) - 0.3 * ridge - 1) + 0.025 * v * v
    assert verdict.keep.cost.low < true < verdict.keep.cost.high
    assert verdict.value in ("predictable", "undecided")


def test_optima_that_stay_may_be_kept():
    still = two_hps()
    u, v = np.log2(still.hp) + 7, np.log2(still.extra["batch_size"]) - 6
    loss = 2 + 8 * still.scale**-0.3 + 0.05 * u * u + 0.03 * v * v
    loss = loss + 0.001 * np.random.default_rng(0).standard_normal(len(still))
    keep = (np.abs(u) < 4) & (np.abs(v) < 4)
    table = hpt.SweepTable(**{**vars(still), "loss": loss}).take(keep)
    verdict = quantify_joint(table, draws=300).variants["a"].verdict
    assert verdict.keep.value == "yes"
    assert verdict.value == "invariant"


def test_predict_at_another_scale_refits(fit):
    found = fit.predict(8192.0)["a"]
    assert found.scale == 8192.0
    assert "no_laws" not in found.flags
    assert set(found.hp) == set(fit.hp)


def test_the_json_holds_no_nan_and_names_its_kind(fit, tmp_path):
    path = tmp_path / "fit.json"
    text = fit.to_json(path)
    assert path.read_text() == text + "\n"

    def refuse(word):
        raise AssertionError(word)

    data = json.loads(text, parse_constant=refuse)
    assert data["kind"] == "joint"
    assert data == json.loads(json.dumps(fit.to_dict()))
    optimum = data["variants"]["a"]["optima"][0]
    assert set(optimum["hp"]) == {"lr", "batch_size"}
    assert np.shape(optimum["covariance"]) == (2, 2)


def test_every_key_of_the_json_is_documented(fit):
    page = (Path(__file__).parents[1] / "docs/reference/json.md").read_text(encoding="utf-8")
    page = page[page.index("## Several hyperparameters") :]
    names = set()

    def keys(value):
        if isinstance(value, dict):
            for key, item in value.items():
                names.add(key)
                keys(item)
        elif isinstance(value, list):
            for item in value:
                keys(item)

    keys(fit.to_dict())
    free = {"a", *fit.hp, *fit.combinations, *fit.variants["a"].ridges}
    assert [name for name in sorted(names - free) if not re.search(rf"\b{re.escape(name)}\b", page)] == []


def test_the_page_needs_no_network_and_names_what_it_shows(fit):
    page = fit.to_html()
    assert "Do lr and batch_size carry over width?" in page
    assert "contours0-01" in page
    assert not re.search(r'(src|href)="https?:', page.partition("<script")[0])  # nor in plotly's own code
    assert "NaN" not in page.split('id="figures">')[1].split("</script>")[0]


def test_the_summary_fits_its_width(fit):
    text = fit.summary(80)
    assert max(map(len, text.splitlines())) <= 80
    for word in ("keep?", "Laws over width", "lr/sqrt(batch)", "Hold-out check", "Optima"):
        assert word in text


def test_repr_names_the_hyperparameters(fit):
    assert "JointFit of lr, batch_size" in repr(fit)
    assert isinstance(fit, JointFit)
    assert hpt.quantify_joint is quantify_joint


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"hp": "lr"}, "two or three hyperparameters"),
        ({"hp": ["lr", "beta2"]}, "valid: lr, batch_size"),
        ({"combinations": "lr+1"}, "product of powers"),
        ({"combinations": ["lr/depth"]}, "has 'depth'"),
        ({"targets": -1}, "positive"),
        ({"level": 2}, "level"),
        ({"tolerance": float("inf")}, "tolerance"),
        ({"family": "line"}, "family"),
        ({"draws": 3}, "draws"),
    ],
)
def test_bad_settings_are_told_in_a_line(sweep, settings, words):
    with pytest.raises(HPTransferError, match=re.escape(words)) as error:
        quantify_joint(sweep, **settings)
    assert "\n" not in str(error.value)


def test_a_variant_that_cannot_be_fitted_leaves_the_others(sweep):
    more = hpt.SweepTable(
        variant=np.append(sweep.variant, "b"),
        scale=np.append(sweep.scale, 128),
        hp=np.append(sweep.hp, 0.01),
        seed=np.append(sweep.seed, ""),
        loss=np.append(sweep.loss, 3.0),
        extra={k: np.append(v, v[0]) for k, v in sweep.extra.items()},
        hps=sweep.hps,
    )
    found = quantify_joint(more, draws=100)
    assert list(found.variants) == ["a"]
    assert "b" in found.left_out
    assert "b is left out" in found.summary()


def test_reading_several_hyperparameters():
    columns = {"width": [1, 1, 2], "wd": [0, 0.1, 0.2], "lr": [1e-3, 2e-3, 4e-3], "loss": [3.0, 2.0, 1.0]}
    found = hpt.read(columns, hp="wd,lr")
    assert found.hps == ("wd", "lr")
    assert found.columns.hp == "lr"  # the decay has a zero, which stays
    assert found.extra["wd"].tolist() == [0, 0.1, 0.2]
    assert hpt.read(columns, hp=["lr", "wd"]).hps == ("lr", "wd")
    assert hpt.read(columns, hp="lr").hps == ()


@pytest.mark.parametrize(
    ("hp", "words"),
    [
        ("lr,nothing", "nothing"),
        ("lr,lr", "different columns"),
        ("lr,", "parted by commas"),
        ("lr,name", "name must be a number"),
        ("wd,zero", "all have runs at 0"),
        ("lr,loss", "named as both"),
    ],
)
def test_bad_names_are_told_in_a_line(hp, words):
    columns = {
        "width": [1, 2], "lr": [1, 2], "wd": [0, 1], "zero": [1, 0], "name": ["a", "b"], "loss": [3.0, 2.0],
    }  # fmt: skip
    with pytest.raises(SweepError, match=words) as error:
        hpt.read(columns, hp=hp)
    assert "\n" not in str(error.value)
