"""Real fits of sweeps nobody would wish for, through every way of showing them."""

import io
from collections.abc import Callable

import numpy as np
import pytest

from hptransfer.fit import TransferFit, quantify
from hptransfer.quantify.metrics import METRICS
from hptransfer.report import flags, matplotlib_figures
from hptransfer.report import page as page_module
from hptransfer.report.terminal import summary_text
from hptransfer.sweep.table import SweepTable

GRID = 2.0 ** np.arange(-10.0, -3.0)


def _land(scales: tuple[float, ...], loss: Callable[[float, np.ndarray], np.ndarray]) -> SweepTable:
    rows = [("v", n, lr, "0", y) for n in scales for lr, y in zip(GRID, loss(n, np.log2(GRID)), strict=True)]
    variant, scale, hp, seed, losses = zip(*rows, strict=True)
    return SweepTable(
        np.array(variant), np.array(scale), np.array(hp), np.array(seed), np.array(losses, float)
    )


def _bowl(n: float, x: np.ndarray) -> np.ndarray:
    return 2 + n**-0.5 + 0.03 * (x + 6.4 + 0.3 * np.log2(n / 32)) ** 2


AWKWARD = {
    "one scale": _land((64.0,), _bowl),
    "two scales": _land((64.0, 128.0), _bowl),
    "one scale diverged": _land(
        (32.0, 64.0, 128.0, 256.0), lambda n, x: _bowl(n, x) * (np.nan if n == 256 else 1)
    ),
    "everything diverged": _land((32.0, 64.0), lambda n, x: np.full(len(x), np.nan)),
    "optimum at the edge": _land(
        (32.0, 64.0, 128.0, 256.0), lambda n, x: 2 + n**-0.5 + 0.02 * (x + 10.5) ** 2
    ),
    "one run": SweepTable(
        np.array(["v"]), np.array([64.0]), np.array([0.01]), np.array(["0"]), np.array([3.0])
    ),
    "flat and zero": _land((32.0, 64.0, 128.0), lambda n, x: np.zeros(len(x))),
    "a cliff of 1e30": _land((32.0, 64.0, 128.0), lambda n, x: np.where(x > -5, 1e30, _bowl(n, x))),
    "scales over five decades": _land((1e4, 1e6, 1e9), _bowl),
}


@pytest.fixture(scope="module", params=AWKWARD)
def awkward(request: pytest.FixtureRequest) -> TransferFit:
    return quantify(AWKWARD[request.param], targets=(1024.0,), draws=100)


def test_the_terminal_can_say_it(awkward: TransferFit) -> None:
    text = summary_text(awkward)
    assert max(len(line) for line in text.splitlines()) <= 80
    assert " nan" not in text


def test_every_flag_has_its_sentence(awkward: TransferFit) -> None:
    raised = {flags.flag_name(flag) for flag, _ in flags.flags_of(awkward.variants["v"], "width")}
    assert raised <= set(flags.FLAG_MEANINGS) | flags.SILENT_FLAGS


def test_every_metric_has_its_definition(awkward: TransferFit) -> None:
    assert set(awkward.variants["v"].metrics) <= set(METRICS)


def test_the_page_can_say_it(awkward: TransferFit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_module, "_plotly", lambda: "")
    page = page_module.page(awkward)
    assert awkward.variants["v"].verdict.keep.value in page
    assert "NaN" not in page


@pytest.mark.parametrize(
    "plot",
    [
        matplotlib_figures.plot_basins,
        matplotlib_figures.plot_optimum,
        matplotlib_figures.plot_loss,
        matplotlib_figures.plot_metrics,
    ],
)
def test_matplotlib_can_draw_it(awkward: TransferFit, plot: Callable) -> None:
    plot(awkward).savefig(io.BytesIO(), format="svg")
