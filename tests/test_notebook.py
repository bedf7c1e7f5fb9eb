"""Notebooks are run as Jupyter and marimo run them, and what their cells show is looked at."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

CELLS = [
    "import hptransfer as hpt\nrows = "
    "[{'variant': v, 'width': w, 'lr': 2.0**-x, 'loss': 3 + 8 / w + 0.05 * (x - 7) ** 2}"
    "\n        for v in ('sp', 'mup') for w in (64, 128, 256) for x in range(4, 11)]\nsweep = "
    "hpt.read(rows)\nsweep",
    "fit = hpt.quantify(sweep, targets=2048, draws=100)\nfit",
    "assert 'Drift' in fit.summary()\nprint(fit.summary())",
    "fit.plot()",
    "fit.to_html()",
    "fit.variants['sp'].verdict",
    "fit.variants['sp']",
]
STUDY = [
    "import sys\nsys.path += [{tests!r}]",
    "import fake_trainer\nfrom small_study import study\nfrom hptransfer.study.run import run_study",
    "result = run_study(study(), {folder!r}, train=fake_trainer.NAME)",
]
TESTS = str(Path(__file__).parent / "study")


def ran(cells):
    """The outputs of cells, as Jupyter's, VS Code's and Colab's kernel gives them."""
    nbclient = pytest.importorskip("nbclient")
    nbformat = pytest.importorskip("nbformat")
    pytest.importorskip("ipykernel")
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code) for code in cells])
    nbclient.NotebookClient(book, timeout=300, kernel_name="python3").execute()
    return [cell["outputs"] for cell in book.cells]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_cells_show_tables_figures_and_nothing_of_a_page():
    sweep, fit, summary, figure, page, verdict, variant = ran(CELLS)
    for shown in (sweep, fit, verdict, variant):
        assert "<table" in shown[0]["data"]["text/html"]
    text = fit[0]["data"]["text/html"]
    assert text.startswith("<p><b>Keep the small models")  # both optima stay where they are
    assert all(f"<th>{title}</th>" in text for title in ("variant", "keep?", "extrapolate?", "use lr"))
    assert "May its law be followed?" in verdict[0]["data"]["text/html"]
    assert "Drift" in summary[0]["text"]
    assert "image/png" in figure[-1]["data"]
    assert page == []


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_study_shows_its_progress_below_its_cell(tmp_path):
    *_, shown = ran([cell.format(tests=TESTS, folder=str(tmp_path / "study")) for cell in STUDY])
    assert [output["output_type"] for output in shown] == ["display_data"]  # one, updated in its place
    value, most = re.findall(r'value="(\d+)" max="(\d+)"', shown[0]["data"]["text/html"])[0]
    assert value == most


MARIMO = """
import marimo
app = marimo.App()

@app.cell
def _():
    import sys
    sys.path += [{tests!r}]
    import fake_trainer
    import hptransfer as hpt
    from small_study import study
    from hptransfer.study.run import run_study
    return fake_trainer, hpt, run_study, study

@app.cell
def _(fake_trainer, run_study, study):
    result = run_study(study(), {folder!r}, train=fake_trainer.NAME)
    return (result,)

@app.cell
def _(hpt, result):
    fit = hpt.quantify(result.sweep, targets="1k", draws=100)
    result.sweep
    return (fit,)

@app.cell
def _(fit):
    fit
    return

@app.cell
def _(fit):
    fit.plot()
    return

@app.cell
def _(fit):
    fit.to_html()
    return
"""


@pytest.mark.slow
def test_marimo_shows_the_same(tmp_path):
    pytest.importorskip("marimo")
    (tmp_path / "book.py").write_text(MARIMO.format(tests=TESTS, folder=str(tmp_path / "study")))
    command = [
        sys.executable,
        "-m",
        "marimo",
        "export",
        "html",
        "--no-include-code",
        "book.py",
        "-o",
        "page.html",
    ]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, env={**os.environ})
    page = (tmp_path / "page.html").read_text()
    for part in ("runs, 0 diverged", "The answer", "image/png", '"text/plain": ""'):  # the last of the page
        assert part in page
    value, most = re.findall(r'progress value=\\"(\d+)\\" max=\\"(\d+)\\"', page)[0]
    assert value == most
