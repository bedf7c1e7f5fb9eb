"""Tables, figures and page of a joint fit over several axes."""

import re

import numpy as np
import pytest
from surfaces import FOUR, joint_sweep

from hptransfer.errors import QuantifyError
from hptransfer.joint import quantify_joint
from hptransfer.report import joint_axes_tables
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
        ):
            assert words in page
    assert "params 100M, tokens 2B" in page  # the title of a panel
    assert "point 3" not in page


@pytest.mark.parametrize(("kind", "panels"), [("laws", 9), ("contours", 12), ("profiles", 2)])
def test_figures_have_a_panel_each(fit, kind, panels):
    figure = fit.plot(kind, "b")
    assert sum(axes.get_visible() for axes in figure.axes) == panels


def test_an_unknown_figure_or_variant_is_said(fit):
    with pytest.raises(QuantifyError, match="laws, contours, profiles"):
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
