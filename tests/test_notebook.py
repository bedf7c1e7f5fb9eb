"""A notebook is run as Jupyter runs it, and what its cells show is looked at."""

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
]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_cells_show_tables_figures_and_nothing_of_a_page():
    nbclient = pytest.importorskip("nbclient")
    nbformat = pytest.importorskip("nbformat")
    pytest.importorskip("ipykernel")
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code) for code in CELLS])
    nbclient.NotebookClient(book, timeout=300, kernel_name="python3").execute()
    sweep, fit, summary, figure, page = (cell["outputs"] for cell in book.cells)
    assert "<table" in sweep[0]["data"]["text/html"]
    shown = fit[0]["data"]["text/html"]
    assert shown.startswith("<p><b>Keep the small models")  # both optima stay where they are
    assert all(f"<th>{title}</th>" in shown for title in ("variant", "keep?", "extrapolate?", "use lr"))
    assert "Drift" in summary[0]["text"]
    assert "image/png" in figure[-1]["data"]
    assert page == []
