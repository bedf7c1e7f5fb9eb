import io
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.figure import Figure

from hptransfer.errors import QuantifyError
from hptransfer.fit import TransferFit
from hptransfer.quantify.result import Estimate
from hptransfer.report import basin_chart, matplotlib_figures


def _draw(figure: Figure) -> str:
    """The figure as SVG with its text as text; drawing it is where most faults show."""
    import matplotlib

    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none"}):
        figure.savefig(buffer, format="svg")
    return buffer.getvalue()


ALL = (
    matplotlib_figures.plot_basins,
    matplotlib_figures.plot_optimum,
    matplotlib_figures.plot_loss,
    matplotlib_figures.plot_metrics,
)


@pytest.mark.parametrize("plot", ALL)
@pytest.mark.parametrize("name", ["fit", "thin_fit", "lost_scale_fit"])
def test_every_figure_draws_every_fit(
    plot: Callable[..., Figure], name: str, request: pytest.FixtureRequest
) -> None:
    svg = _draw(plot(request.getfixturevalue(name)))
    for variant in ("sp", "sp+embd", "mup"):
        assert f">{variant}<" in svg


@pytest.mark.parametrize("plot", ALL)
def test_two_rows_of_panels_and_no_target(
    plot: Callable[..., Figure], make_fit: Callable[..., TransferFit]
) -> None:
    names = tuple(f"v{i}" for i in range(8))
    svg = _draw(plot(make_fit(names, targets=())))
    assert ">v7<" in svg


def test_panels_share_their_axes(fit: TransferFit) -> None:
    for plot in (
        matplotlib_figures.plot_basins,
        matplotlib_figures.plot_optimum,
        matplotlib_figures.plot_loss,
    ):
        panels = plot(fit).axes
        assert len({(axes.get_xlim(), axes.get_ylim()) for axes in panels if axes.get_visible()}) == 1


def test_basins_show_every_run_and_every_optimum(fit: TransferFit) -> None:
    axes = matplotlib_figures.plot_basins(fit, ["mup"]).axes[0]
    (panel,) = basin_chart.basins(fit, [fit.variants["mup"]]).panels
    mine = fit.sweep.variant == "mup"
    drawn = {
        marker: np.concatenate(
            [np.asarray(line.get_ydata()) for line in axes.lines if line.get_marker() == marker]
        )
        for marker in ("o", "x", "^")
    }
    finished = ~np.isnan(fit.sweep.loss) & mine
    above = fit.sweep.loss > panel.y.high
    assert np.isfinite(drawn["o"]).sum() == (finished & ~above).sum() + 5  # the runs, and five optima
    assert len(drawn["^"]) == (finished & above).sum()
    pairs = np.stack([fit.sweep.scale, fit.sweep.hp], axis=1)[mine & np.isnan(fit.sweep.loss)]
    assert len(drawn["x"]) == len(np.unique(pairs, axis=0))
    for marker in ("x", "^"):
        assert panel.y.high < drawn[marker].min()
        assert drawn[marker].max() < axes.get_ylim()[1]


def test_the_law_reaches_the_target_and_names_the_value_to_use(fit: TransferFit) -> None:
    axes = matplotlib_figures.plot_optimum(fit, ["sp"]).axes[0]
    assert axes.get_xlim()[1] > 1024
    assert [text.get_text() for text in axes.texts] == ["0.00021"]
    labels = [label.get_text() for label in axes.get_xticklabels()]
    assert "1,024" in labels
    assert "32" in labels


def test_one_sided_optimum_is_drawn_as_an_arrow(fit: TransferFit) -> None:
    variant = fit.variants["sp"]
    last = replace(variant.optima[-1], hp=Estimate(0.002, None, 0.003, ("at_edge",)))
    changed = replace(fit, variants={"sp": replace(variant, optima=(*variant.optima[:-1], last))})
    markers = [line.get_marker() for line in matplotlib_figures.plot_optimum(changed).axes[0].lines]
    assert markers.count("v") == 1


def test_missing_law_says_why(thin_fit: TransferFit) -> None:
    svg = _draw(matplotlib_figures.plot_optimum(thin_fit))
    assert "no law: too few scales" in svg


@pytest.mark.parametrize("width", [100.0, 200.0, 400.0, 1000.0])
def test_the_key_is_no_wider_than_the_figure(width: float) -> None:
    letters = [5, 2, 2, 2, 7, 8, 15]
    columns = matplotlib_figures._key_columns(letters, width)
    longest = [max(letters[i::columns]) for i in range(columns)]
    assert columns == 1 or sum(24 + 4.4 * n for n in longest) <= width
    assert columns == len(letters) or width < 400


def test_unknown_variant_names_the_valid_ones(fit: TransferFit) -> None:
    with pytest.raises(QuantifyError, match=r"got 'nope'; valid: sp, sp\+embd, mup"):
        matplotlib_figures.plot_basins(fit, ["nope"])


def test_names_with_dollars_are_not_read_as_mathematics(make_fit: Callable[..., TransferFit]) -> None:
    for plot in ALL:
        assert "$\\bad" in _draw(plot(make_fit(("$\\bad$",))))
