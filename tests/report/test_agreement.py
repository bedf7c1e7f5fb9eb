"""JSON, terminal and page count runs and diverged runs alike, whatever columns a table has."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from hptransfer.fit import TransferFit, quantify
from hptransfer.report import basin_chart, charts
from hptransfer.report import page as page_module
from hptransfer.sweep import read

WIDTHS = (32, 64, 128)
START = 7.0  # loss before the first step


def _rows() -> list[dict[str, object]]:
    """Three widths, seven learning rates, two seeds; past the edge one run has no loss and one has 9 nats."""
    rows = []
    for width in WIDTHS:
        for x in range(-11, -4):
            for seed in (0, 1):
                loss = 3 + width**-0.5 + 0.04 * (x + 3 + np.log2(width)) ** 2 + 0.001 * seed
                if x > -np.log2(width):
                    loss = 9.0 if seed else np.nan
                rows.append({"width": width, "lr": 2.0**x, "seed": seed, "loss": loss, "initial_loss": START})
    return rows


def _write(path: Path, columns: tuple[str, ...], *, twice: bool) -> Path:
    rows = _rows() + (_rows()[:3] if twice else [])
    lines = [",".join(columns), *(",".join(str(row[name]) for name in columns) for row in rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


class _Text(HTMLParser):
    """The words of a page, and the cells of its tables row by row."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.rows: list[list[str]] = []
        self.in_cell = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag == "tr":
            self.rows.append([])
        self.in_cell = tag in ("td", "th") or self.in_cell
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th"):
            self.in_cell = False

    def handle_data(self, data: str) -> None:
        self.words.append(data)
        if self.in_cell:
            self.rows[-1][-1] += data


@pytest.fixture(
    scope="module",
    params=["with seeds", "without seeds", "with initial_loss", "rows twice"],
)
def fit(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> TransferFit:
    columns = {
        "with seeds": ("width", "lr", "seed", "loss"),
        "without seeds": ("width", "lr", "loss"),
        "with initial_loss": ("width", "lr", "seed", "loss", "initial_loss"),
        "rows twice": ("width", "lr", "seed", "loss"),
    }[request.param]
    path = tmp_path_factory.mktemp("table") / "runs.csv"
    return quantify(read([_write(path, columns, twice=request.param == "rows twice")]), draws=100)


def _said(text: str) -> tuple[int, int]:
    """Runs, and how many of them diverged, of the sentence that opens terminal and page."""
    found = re.search(r"(\d+) runs of 1 variant over .*?, (\d+) of them diverged", " ".join(text.split()))
    assert found is not None, text[:400]
    return int(found[1]), int(found[2])


def _by_scale(data: dict) -> list[tuple[int, int]]:
    (variant,) = data["variants"].values()
    return [(optimum["diverged"], optimum["runs"]) for optimum in variant["optima"]]


def test_the_table_itself_is_what_json_counts(fit: TransferFit) -> None:
    data = json.loads(fit.to_json())
    assert data["runs"] == len(fit.sweep)
    assert data["diverged"] == fit.sweep.diverged.sum() > 0
    by_scale = _by_scale(data)
    assert sum(runs for _, runs in by_scale) == data["runs"]
    assert sum(diverged for diverged, _ in by_scale) == data["diverged"]


def test_a_loss_above_the_start_counts_where_the_start_is_known(fit: TransferFit) -> None:
    above = int((fit.sweep.loss == 9.0).sum())
    expected = int(np.isnan(fit.sweep.loss).sum()) + (above if "initial_loss" in fit.sweep.extra else 0)
    assert above > 0
    assert json.loads(fit.to_json())["diverged"] == expected


def test_the_terminal_counts_what_json_counts(fit: TransferFit) -> None:
    data, text = json.loads(fit.to_json()), fit.summary(200)
    assert _said(text) == (data["runs"], data["diverged"])
    table = text[text.index("Optimum at each width") :]
    rows = [(int(a), int(b)) for a, b in re.findall(r"(\d+) of (\d+)\b", table)]
    assert rows[: len(WIDTHS)] == _by_scale(data)


def test_the_page_counts_what_json_counts(fit: TransferFit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_module, "_plotly", lambda: "")
    data, page = json.loads(fit.to_json()), _Text(page_module.page(fit))
    assert _said("".join(page.words)) == (data["runs"], data["diverged"])
    rows = [re.fullmatch(r"(\d+) of (\d+)", cell) for row in page.rows for cell in row]
    assert [(int(row[1]), int(row[2])) for row in rows if row] == _by_scale(data)


def test_the_figure_crosses_the_cells_that_json_counts(fit: TransferFit) -> None:
    (panel,) = basin_chart.basins(fit, list(fit.variants.values())).panels
    crossed = [m for m in panel.marks if isinstance(m, charts.Points) and m.symbol == "cross"]
    sweep = fit.sweep
    cells = zip(sweep.scale[sweep.diverged], sweep.hp[sweep.diverged], strict=True)
    assert sum(len(m.x) for m in crossed) == len(set(cells))
