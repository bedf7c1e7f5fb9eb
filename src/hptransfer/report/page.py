"""One self-contained page: the answer in words, the figures, the tables, where it all came from."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from functools import cache
from html import escape
from importlib.resources import files
from itertools import islice

from hptransfer.dynamics.study import StudyDynamics
from hptransfer.errors import HPTransferError
from hptransfer.files import write_whole
from hptransfer.quantify.result import SweepFit
from hptransfer.report import (
    basin_chart,
    law_chart,
    page_answer,
    page_dynamics,
    page_figures,
    page_tables,
    phase_chart,
    plotly_backend,
)

_MOST_PANELS = 24  # variants drawn; more would make a page nobody reads
_MOST_ROWS = 200  # variants in the tables
# The browser itself holds the page to its promise: nothing is fetched from anywhere.
_POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:"


def write_html(
    fit: SweepFit,
    path: str | os.PathLike[str],
    *,
    title: str | None = None,
    study: StudyDynamics | None = None,
) -> None:
    """Write the report of a fit as one page that needs no network; `title` and `study` are those of `page`.

    Raises:
        HPTransferError: the file cannot be written.
    """
    text = page(fit, title=title, study=study)
    try:
        write_whole(path, text.encode())
    except OSError as error:
        reason = error.strerror or error
        raise HPTransferError(f"the report must go to a writable file, but {path}: {reason}") from None


def page(fit: SweepFit, *, title: str | None = None, study: StudyDynamics | None = None) -> str:
    """The report as a string of HTML.

    The default title is the question that it answers; a study's curves and probes add a section on them.
    """
    columns = fit.sweep.columns
    heading = title or f"Does {columns.hp} carry over {columns.scale}?"
    drawn = list(islice(fit.variants.values(), _MOST_PANELS))
    listed = list(islice(fit.variants.values(), _MOST_ROWS))
    inside, dynamics = page_dynamics.section(study, fit.settings.get("targets") or ()) if study else ("", {})
    figures = {
        "basins": basin_chart.basins(fit, drawn),
        "hp": law_chart.optimum_laws(fit, drawn),
        "loss": law_chart.loss_laws(fit, drawn),
    }
    panels: dict[str, object] = {
        "phase": [plotly_backend.panel(phase_chart.phase(listed))],
        **{name: plotly_backend.panels(figure) for name, figure in figures.items()},
        **dynamics,
    }
    body = "\n".join(
        (
            page_answer.opening(fit, heading, listed),
            page_figures.figures(fit, drawn, figures),
            page_figures.phase_section(listed),
            inside,
            page_tables.tables(fit, listed),
            page_tables.flag_list(fit, listed),
            page_tables.definitions(fit, page_dynamics.columns(study) if study else ()),
            page_tables.provenance(fit),
        )
    )
    return document(fit.version, heading, body, panels)


def document(version: str, heading: str, body: str, panels: Mapping[str, object]) -> str:
    """The page around its body; `panels` are its figures as the script takes them."""
    data = json.dumps(panels, allow_nan=False, separators=(",", ":"), default=float)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta name="generator" content="hptransfer {escape(version)}">\n'
        f'<title>{escape(heading)}</title>\n<link rel="icon" href="data:,">\n'
        f"<style>\n{_asset('page.css')}</style>\n</head>\n<body>\n<main>\n{body}\n</main>\n"
        f'<script type="application/json" id="figures">{_inert(data)}</script>\n'
        f"<script>{_plotly()}</script>\n<script>\n{_asset('page.js')}</script>\n</body>\n</html>\n"
    )


@cache
def _plotly() -> str:
    """plotly.js 4.1.1, its own cartesian bundle, unchanged.

    The bundle that the Python package ships has maps and three dimensions as well; a browser needs twice as
    long to read it, and every page is 3.3 MB larger.
    """
    return _asset("plotly/plotly-cartesian.min.js")


def _asset(name: str) -> str:
    return files("hptransfer.report").joinpath("assets", *name.split("/")).read_text(encoding="utf-8")


def _inert(data: str) -> str:
    """JSON that cannot end the script element it stands in."""
    return data.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
