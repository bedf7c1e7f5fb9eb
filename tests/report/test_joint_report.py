"""Tables, figures and page of joint fits: what is drawn, and what is said where something is missing."""

import numpy as np
import pytest
from joint_sweeps import decayed, two_hps

from hptransfer.errors import QuantifyError
from hptransfer.joint import quantify_joint
from hptransfer.report import charts, joint_charts, joint_tables, plotly_backend
from hptransfer.sweep.table import SweepTable


@pytest.fixture(scope="module")
def fit():
    return quantify_joint(two_hps(), combinations=["lr/batch_size"], targets=[4096], draws=200)


@pytest.fixture(scope="module")
def one_scale():
    sweep = two_hps()
    return quantify_joint(sweep.take(sweep.scale == 128), draws=100)


def test_every_run_is_drawn_once_and_by_its_height(fit):
    figure = joint_charts.contours(fit, fit.variants["a"], (0, 1))
    assert [panel.name for panel in figure.panels] == ["width 128", "width 256", "width 512", "width 1,024"]
    for panel in figure.panels:
        points = [mark for mark in panel.marks if isinstance(mark, charts.Points)]
        assert sum(len(mark.x) for mark in points) == 56 + 1  # and the optimum
    shades = {mark.colour for mark in figure.panels[0].marks if isinstance(mark, charts.Points)}
    assert len(shades) >= 3


def test_the_contours_surround_the_optimum_and_the_ellipse_holds_it(fit):
    panel = joint_charts.contours(fit, fit.variants["a"], (0, 1)).panels[0]
    lines = [mark for mark in panel.marks if isinstance(mark, charts.Line)]
    optimum = fit.variants["a"].optima[0]
    x, y = (np.log2(optimum.hp[name].value) for name in fit.hp)
    assert len(lines) == 4  # three heights, and the ellipse
    for line in lines:
        assert line.x.min() < x < line.x.max()
        assert line.y.min() < y < line.y.max()
    spans = [np.ptp(line.x) for line in lines[:3]]
    assert spans == sorted(spans)


def test_laws_have_their_band_and_the_target(fit):
    for name in (*fit.hp, *fit.combinations):
        (panel,) = joint_charts.law(fit, fit.variants["a"], name).panels
        assert any(isinstance(mark, charts.Band) for mark in panel.marks)
        diamonds = [m for m in panel.marks if isinstance(m, charts.Points) and m.symbol == "diamond"]
        assert len(diamonds[0].x) == 1
        assert panel.y.ticks
        assert panel.message == ""


def test_profiles_lie_above_nothing(fit):
    for j in range(2):
        (panel,) = joint_charts.profiles(fit, fit.variants["a"], j).panels
        lines = [mark for mark in panel.marks if isinstance(mark, charts.Line)]
        assert len(lines) == 8  # profile and slice of four scales
        assert all(np.nanmin(line.y) > -1e-9 for line in lines)


def test_figures_become_plain_plotly_data(fit):
    for figure in (
        joint_charts.contours(fit, fit.variants["a"], (0, 1)),
        joint_charts.law(fit, fit.variants["a"], "lr"),
        joint_charts.profiles(fit, fit.variants["a"], 1),
    ):
        for panel in plotly_backend.panels(figure):
            assert panel["data"]


@pytest.mark.parametrize(("kind", "panels"), [("contours", 4), ("laws", 3), ("profiles", 2)])
def test_figures_for_notebooks(fit, kind, panels):
    drawn = [axes for axes in fit.plot(kind).axes if axes.get_visible()]
    assert len(drawn) == panels
    assert all(axes.lines or axes.collections for axes in drawn)


def test_an_unknown_figure_or_variant_is_told(fit):
    with pytest.raises(QuantifyError, match="one of contours, laws, profiles"):
        fit.plot("heat")
    with pytest.raises(QuantifyError, match="variant must be one of a"):
        fit.plot("laws", "b")


def test_zero_has_its_own_tick():
    fit = quantify_joint(decayed(), draws=100)
    panel = joint_charts.contours(fit, fit.variants["a"], (0, 1)).panels[0]
    assert panel.y.ticks[0] == (-8.0, "0")
    assert "weight_decay = 0 stands at the place of 0.00391" in joint_tables.extent(fit)


def test_one_scale_says_what_is_missing(one_scale):
    variant = one_scale.variants["a"]
    tables = joint_tables.tables(one_scale, [variant])
    assert [table.note for table in tables if not table.rows] == [
        "No target was asked for.",
        "A law takes three scales or more with an optimum inside what was run.",
        "It takes four scales or more.",
        "No runs that were tried narrow the intervals for their price.",
    ]
    why = str(joint_tables.reasons(one_scale, [variant]).rows[0][1])
    assert "one width only" in why
    assert joint_charts.law(one_scale, variant, "lr").panels[0].message.startswith("no law")
    assert "one width only" in variant.verdict.keep.reason
    assert "width 128" in one_scale.to_html()


def test_several_variants_name_their_rows():
    one = two_hps()
    both = SweepTable(
        variant=np.repeat(["a", "b"], len(one)),
        scale=np.tile(one.scale, 2),
        hp=np.tile(one.hp, 2),
        seed=np.tile(one.seed, 2),
        loss=np.tile(one.loss, 2),
        extra={"batch_size": np.tile(one.extra["batch_size"], 2)},
        hps=one.hps,
    )
    fit = quantify_joint(both, draws=100)
    rows = [row[0] for row in joint_tables.laws(fit, list(fit.variants.values())).rows]
    assert rows == ["a: lr", "a: batch_size", "b: lr", "b: batch_size"]
    assert "of b" in fit.to_html()


def test_the_exponents_of_theories_are_named(fit):
    laws = fit.variants["a"].laws
    assert joint_tables.compatible(laws["batch_size"].exponent) == "1/2"
    assert joint_tables.compatible(laws["lr/batch_size"].exponent) in ("-1", "none of 0, 1/2, 1")


def test_named_rules_stand_at_eighty_columns_beside_their_numbers(fit):
    (table,) = joint_tables.rules("nats", [fit.variants["a"]])
    assert [row[0] for row in table.rows][-3:] == ["LR ~ batch^0.5", "LR ~ batch", "constant decay timescale"]
    text = fit.summary(80)
    lines = text[text.index("Named rules") :].splitlines()
    assert lines[1].split() == ["rule", "at", "target", "mean", "cost", "worst", "rejected"]
    kept = next(line for line in lines if line.startswith("constant batch_size"))
    assert "yes (<0.001)" in kept
    assert "Named rules on these runs" in fit.to_html()


def test_why_an_answer_is_not_known_is_said_in_words():
    fit = quantify_joint(two_hps(scales=(128.0, 256.0)), targets=[4096], draws=100)
    why = str(joint_tables.reasons(fit, [fit.variants["a"]]).rows[0][1])
    assert "not known at width 4,096: too few scales with a usable optimum for a law" in why
    assert "no_laws" not in why
