"""`hptransfer run`, `report` and `demo`: a study from spec to report."""

from __future__ import annotations

import dataclasses
import importlib.util
from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from hptransfer.cli.outputs import check_outputs

if TYPE_CHECKING:
    from hptransfer.quantify.result import TransferFit
    from hptransfer.sweep.run import StudyResult

Out = Annotated[Path | None, typer.Option(metavar="DIR", help="Folder of the study.  [default: runs/NAME]")]


def run(
    spec: Annotated[Path, typer.Argument(metavar="SPEC", help="Study in YAML: variants, widths, lr, ...")],
    out: Out = None,
) -> None:
    """Train what is missing of a study, then fit and report it.

    Finished runs are kept in the study's folder and never run again: after Ctrl-C or a crash, the same
    command goes on. Writes runs.csv, fit.json and report.html there.

    Example: hptransfer run study.yaml
    """
    _run(spec, out)


def demo(out: Out = None) -> None:
    """Train the demonstration study: sp, sp+embd and mup.

    Small decoders on this Python's own source files, at five widths, a grid of learning rates at each: some
    minutes on two cores. A second call answers from the store.
    """
    with as_file(files("hptransfer.sweep") / "demo.yaml") as spec:
        _run(spec, out)


def report(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of a study, such as runs/demo.")],
) -> None:
    """Fit and report a study again from its store.

    As far as it is finished; also while it runs.

    Example: hptransfer report runs/demo
    """
    from hptransfer.sweep.run import load_result

    _conclude(load_result(folder))


def _run(path: Path, out: Path | None) -> None:
    from hptransfer.sweep.run import default_folder, run_study
    from hptransfer.sweep.study import load_study

    spec = load_study(path)
    folder = default_folder(spec) if out is None else out
    console = Console()
    result = run_study(spec, folder, console=console)
    for reason in result.failures:
        typer.echo(f"failed, to be run again at the next start: {reason}", err=True)
    _conclude(result)


def _conclude(result: StudyResult) -> None:
    """Quantify, print, and write fit.json and, where plotly is installed, report.html."""
    from hptransfer.report.tables import print_summary

    pages = ["fit.json"]
    if importlib.util.find_spec("plotly") is not None:
        pages.append("report.html")
    check_outputs([result.folder / page for page in pages])
    fit = _quantified(result)
    print_summary(fit)
    fit.to_json(result.folder / "fit.json")
    if "report.html" in pages:
        from hptransfer.report.html import write_html

        write_html(fit, result.folder / "report.html", title=f"Study {result.spec.name}")
    else:
        typer.echo("report.html needs the `report` extra: pip install 'hptransfer[report]'", err=True)
    typer.echo(f"runs:   {result.csv}")
    for page in pages:
        typer.echo(f"{page.partition('.')[0] + ':':8}{result.folder / page}")


def _quantified(result: StudyResult) -> TransferFit:
    """The fit of a study, which knows more of itself than a table does: coordinates and provenance."""
    from hptransfer.quantify import quantify

    fit = quantify(
        result.landscape, targets=result.spec.targets, coordinates="sp", base_scale=result.spec.base
    )
    return dataclasses.replace(fit, provenance=result.provenance)
