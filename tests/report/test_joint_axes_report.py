"""Tables, figures and page of a joint fit over several axes."""

import re

import numpy as np
import pytest
from surfaces import FOUR, joint_sweep

from hptransfer.errors import QuantifyError
from hptransfer.joint import quantify_joint
from hptransfer.report import joint_axes_charts, joint_axes_tables
from hptransfer.report.joint_axes_view import numbered_view

TARGET = {"params": 3.2e9, "tokens": 3.2e10}


@pytest.fixture(scope="module")
def fit():
    return quantify_joint(
        joint_sweep(FOUR, share=0.4, variants=("a", "b")), targets=[TARGET],
        combinations=["lr/sqrt(batch)"], draws=200,
    )  # fmt: skip


def test_every_table_has_as_many_cells_as_columns(fit):
    tables = joint_axes_tables.tables(fit, tuple(fit.variants.values()))
    assert {t.title for t in tables} >= {"The answer", "Predictions", "Exponents along each axis"}
    for table in tables:
        assert table.rows
        assert {len(row) for row in table.rows} == {len(table.columns)}, table.title


def test_rows_name_their_variant_where_there_are_several(fit):
    both = joint_axes_tables.laws(tuple(fit.variants.values()))
    assert {row[0] for row in both.rows} >= {"a: lr", "b: batch_size", "b: lr/sqrt(batch)"}
    one = joint_axes_tables.laws((fit.variants["a"],))
    assert {row[0] for row in one.rows} == {"lr", "batch_size", "lr/sqrt(batch)"}


def test_the_headline_says_what_to_use(fit):
    line = joint_axes_tables.headline(fit)
    for hp, value in fit.variants["a"].predictions[0].recommended.items():
        shown = float(re.search(rf"{hp} ([\d.e-]+)", line)[1].rstrip("."))
        assert shown == pytest.approx(value, rel=0.01)
    assert "at params 3.2B, tokens 32B" in line


def test_the_page_shows_laws_contours_and_profiles_of_every_variant(fit):
    page = fit.to_html()
    for variant in ("a", "b"):
        for words in (
            f"Optimal lr along each axis of {variant}",
            f"Contours of the optimal batch_size of {variant}",
            f"Where the optimum lies of {variant}",
            f"One hyperparameter at a time of {variant}",
            f"Predicted optimum of {variant}",
        ):
            assert words in page
    assert "params 100M, tokens 2B" in page  # the title of a panel
    assert "point 3" not in page


@pytest.mark.parametrize(
    ("kind", "panels"), [("laws", 9), ("contours", 12), ("profiles", 2), ("predictions", 1)]
)
def test_figures_have_a_panel_each(fit, kind, panels):
    figure = fit.plot(kind, "b")
    assert sum(axes.get_visible() for axes in figure.axes) == panels


def test_an_unknown_figure_or_variant_is_said(fit):
    with pytest.raises(QuantifyError, match="laws, contours, profiles, predictions"):
        fit.plot("optimum")
    with pytest.raises(QuantifyError, match="a, b"):
        fit.plot("laws", "c")


def test_the_view_has_the_runs_of_each_point(fit):
    view = numbered_view(fit)
    for optimum in fit.variants["a"].optima:
        here = (view.sweep.scale == optimum.scale) & (view.sweep.variant == "a")
        assert here.sum() == optimum.runs
        assert np.unique(fit.sweep.scale[here]).tolist() == [optimum.at["params"]]


def test_what_it_says_of_itself(fit):
    assert "Fit of lr, batch_size over params, tokens" in repr(fit)
    assert "lr per batch_size" in fit.summary()


def test_the_ellipse_of_a_prediction_is_that_of_its_covariance(fit):
    (panel,) = joint_axes_charts.predicted(fit, fit.variants["a"], (0, 1)).panels
    (p,) = fit.variants["a"].predictions
    ring = np.stack([panel.marks[0].x, panel.marks[0].y])
    centre = np.log2([p.hp[name].value for name in fit.hp])
    away = ring - centre[:, None]
    chi2 = np.einsum("ia,ij,ja->a", away, np.linalg.inv(p.covariance), away)
    np.testing.assert_allclose(chi2, 5.991, rtol=1e-3)  # 95% of two degrees of freedom
    use = panel.marks[-1]
    assert [2.0 ** float(use.x[0]), 2.0 ** float(use.y[0])] == pytest.approx(list(p.recommended.values()))
