import io
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from hptransfer.errors import QuantifyError
from hptransfer.fit import TransferFit
from hptransfer.quantify.result import Estimate
from hptransfer.report import charts, matplotlib_backend, palette


def _draw(figure: Figure) -> str:
    """The figure as SVG with its text as text; drawing it is where most faults show."""
    import matplotlib

    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none"}):
        figure.savefig(buffer, format="svg")
    return buffer.getvalue()


ALL = (
    matplotlib_backend.plot_basins,
    matplotlib_backend.plot_optimum,
    matplotlib_backend.plot_loss,
    matplotlib_backend.plot_metrics,
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
        matplotlib_backend.plot_basins,
        matplotlib_backend.plot_optimum,
        matplotlib_backend.plot_loss,
    ):
        panels = plot(fit).axes
        assert len({(axes.get_xlim(), axes.get_ylim()) for axes in panels if axes.get_visible()}) == 1


def test_basins_show_every_run_and_every_optimum(fit: TransferFit) -> None:
    axes = matplotlib_backend.plot_basins(fit, ["mup"]).axes[0]
    box = charts.basin_limits([charts.runs_of(fit, "mup")], [fit.variants["mup"]], 5)
    mine = fit.sweep.variant == "mup"
    loss = fit.sweep.loss[mine]
    dots = sum(len(line.get_xdata()) for line in axes.lines if line.get_marker() == "o") - 5
    assert dots == int((loss <= box.strip).sum())
    crosses = sum(len(line.get_xdata()) for line in axes.lines if line.get_marker() == "x")
    pairs = np.stack([fit.sweep.scale, fit.sweep.hp], axis=1)[mine & np.isnan(fit.sweep.loss)]
    assert crosses == len(np.unique(pairs, axis=0))
    heights = [y for line in axes.lines if line.get_marker() == "x" for y in line.get_ydata()]
    assert min(heights) > box.strip


def test_the_law_reaches_the_target_and_names_the_value_to_use(fit: TransferFit) -> None:
    axes = matplotlib_backend.plot_optimum(fit, ["sp"]).axes[0]
    assert axes.get_xlim()[1] > 1024
    assert [text.get_text() for text in axes.texts] == ["0.00021"]
    labels = [label.get_text() for label in axes.get_xticklabels()]
    assert "1,024" in labels
    assert "32" in labels


def test_one_sided_optimum_is_drawn_as_an_arrow(fit: TransferFit) -> None:
    variant = fit.variants["sp"]
    last = replace(variant.optima[-1], hp=Estimate(0.002, None, 0.003, ("at_edge",)))
    changed = replace(fit, variants={"sp": replace(variant, optima=(*variant.optima[:-1], last))})
    markers = [line.get_marker() for line in matplotlib_backend.plot_optimum(changed).axes[0].lines]
    assert markers.count("v") == 1


def test_missing_law_says_why(thin_fit: TransferFit) -> None:
    svg = _draw(matplotlib_backend.plot_optimum(thin_fit))
    assert "no law: too few scales" in svg


def test_drawing_on_axes_of_the_caller(fit: TransferFit) -> None:
    axes = Figure().subplots()
    for draw in (
        matplotlib_backend.draw_basins,
        matplotlib_backend.draw_loss,
        matplotlib_backend.draw_optimum,
    ):
        assert draw(axes, fit, "mup") is axes
    assert (
        matplotlib_backend.draw_metric(Figure().subplots(), fit, "kappa")
        .get_title(loc="left")
        .startswith("kappa")
    )


def test_unknown_variant_names_the_valid_ones(fit: TransferFit) -> None:
    with pytest.raises(QuantifyError, match=r"got 'nope'; valid: sp, sp\+embd, mup"):
        matplotlib_backend.plot_basins(fit, ["nope"])


def test_names_with_dollars_are_not_read_as_mathematics(make_fit: Callable[..., TransferFit]) -> None:
    for plot in ALL:
        assert "$\\bad" in _draw(plot(make_fit(("$\\bad$",))))


def test_no_pyplot(fit: TransferFit) -> None:
    code = "import sys, hptransfer.report.matplotlib_backend\n"
    code += "assert not {'matplotlib', 'torch'} & set(sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0
    source = Path(matplotlib_backend.__file__).read_text()
    assert "pyplot" not in source


def test_scale_colours_darken_evenly_and_stand_out_from_paper() -> None:
    def luminance(colour: str) -> float:
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    for n in range(1, 9):
        light = [luminance(c) for c in palette.sequence(n)]
        assert light == sorted(light, reverse=True)
        assert all(1.05 / (value + 0.05) >= 3 for value in light)
        assert all(re.fullmatch("#[0-9a-f]{6}", c) for c in palette.sequence(n))
    for text in (palette.INK, palette.GREY, palette.ACCENT):
        assert 1.05 / (luminance(text) + 0.05) >= 4.5


@pytest.mark.parametrize("room", [12.0, 38.0])
def test_tick_labels_do_not_touch(room: float) -> None:
    scales = [32.0, 48.0, 64.0, 96.0, 128.0, 1024.0]
    kept = charts.ticks(scales, 4.8, 10.2, room)
    assert {32.0, 1024.0} <= set(kept)
    gaps = np.diff(np.log2(kept)) / (10.2 - 4.8) * room
    assert (gaps >= 3).all()


def test_many_runs_of_a_cell_are_drawn_as_their_mean(fit: TransferFit) -> None:
    sweep = fit.sweep
    rows = np.repeat(np.flatnonzero((sweep.variant == "sp") & (sweep.scale == 32)), 60)
    columns = ("variant", "scale", "hp", "seed", "loss")
    many = replace(sweep, **{name: getattr(sweep, name)[rows] for name in columns})
    (runs,) = charts.runs_of(replace(fit, sweep=many), "sp")
    assert len(runs.x) == 8
    assert runs.seed[0] == "mean of 120 runs"
