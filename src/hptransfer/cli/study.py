"""`hptransfer run`, `report` and `demo`: a study from spec to report."""

from __future__ import annotations

from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from hptransfer.cli.errors import SOME_FAILED
from hptransfer.cli.options import argument, option
from hptransfer.cli.outputs import check_outputs
from hptransfer.cli.spec import Ablation, Out, Override, Size, Spec, read_spec
from hptransfer.files import printable

if TYPE_CHECKING:
    from hptransfer.study.run import StudyResult
    from hptransfer.study.spec import StudySpec


def run(
    spec: Spec,
    size: Size = None,
    ablation: Ablation = None,
    out: Out = None,
    executor: Annotated[str | None, option("KIND", "Executor that trains: local, ray or slurm.")] = None,
    address: Annotated[str | None, option("ADDRESS", "Address of a running Ray cluster, or `auto`.")] = None,
    workers: Annotated[
        int | None, option("N", "Batches of runs trained at a time.  [default: as many as fit]")
    ] = None,
    overrides: Override = None,
) -> None:
    """Train what is missing of a study, then fit and report it.

    A study scales widths, or several axes: width, depth, training tokens, batch size (`scale` in its spec).

    Finished runs are kept in the study's folder and never trained again: after Ctrl-C or a crash, the same
    command resumes the study. It writes runs.csv, fit.json and report.html into the folder.

    Exit codes: 0, every run is finished (also where there was nothing to train; a diverged run is finished);
    2, an error, or no run finished; 3, some runs failed and are tried again at the next start; 130, Ctrl-C.

    Examples: hptransfer run kalra2026-step --size tiny;
    hptransfer run study.yaml --executor ray --address auto --set executor.cpus=2
    """
    given = {"executor.kind": executor, "executor.address": address, "workers": workers}
    changes = [*(f"{key}={value}" for key, value in given.items() if value is not None), *(overrides or ())]
    run_and_report(read_spec(spec, size, ablation, changes), out)


def demo(out: Out = None) -> None:
    """Train the demonstration study: sp, sp+embd and mup.

    It trains small decoders on this Python's own source files, at five widths and a grid of learning rates,
    which takes some minutes on two cores. A second call trains nothing and reports the finished runs.
    """
    from hptransfer.study.spec import load_study

    with as_file(files("hptransfer.study") / "demo.yaml") as path:
        spec = load_study(path)
    run_and_report(spec, out)


def report(
    folder: Annotated[Path, argument("DIR", "Folder of a study, such as runs/demo.")],
    target: Annotated[
        list[str] | None,
        option(
            "N",
            "Width to predict the optimum at, or width=4096,tokens=200x over several axes; may be repeated."
            "  [default: the spec's targets]",
        ),
    ] = None,
) -> None:
    """Fit and report a study again from its finished runs.

    This also works while the study runs.

    Examples: hptransfer report runs/demo; hptransfer report runs/demo --target 2048
    """
    from hptransfer.study.run import load_result

    result = load_result(folder)
    if not result.csv.is_file() or result.csv.read_bytes() != result.table.content:
        result.table.write(result.folder)
    report_study(result, target)


def run_and_report(spec: StudySpec, out: Path | None) -> None:
    """Trains what is missing of a study, shows the progress, and reports it."""
    from hptransfer.study.run import default_folder, run_study

    folder = default_folder(spec) if out is None else out
    progress = Console(stderr=True)  # so that a reader of the report may leave while runs are trained
    result = run_study(spec, folder, console=progress)
    for reason in result.failures:
        told = printable(" ".join(reason.split()))
        typer.echo(f"a run failed and will be tried again at the next start: {told}", err=True)
    if not result.trained and not result.failures:
        typer.echo("Nothing to train: every run of the study is finished.", err=True)
    report_study(result)
    if result.failures:
        raise typer.Exit(SOME_FAILED)


def report_study(result: StudyResult, targets: list[str] | None = None) -> None:
    """Fits a study's finished runs, writes fit.json and report.html, and prints the summary."""
    from hptransfer.fit_axes import AxesTransferFit
    from hptransfer.report.axes_terminal import print_axes
    from hptransfer.report.gain import plain_sentences
    from hptransfer.report.page import write_html
    from hptransfer.report.terminal import print_summary
    from hptransfer.study.probe_data import result_dynamics
    from hptransfer.study.run import fit_study

    page, title = result.folder / "report.html", f"Study {result.spec.name}"
    check_outputs([result.folder / "fit.json", page])
    fit = fit_study(result, targets)
    fit.to_json(result.folder / "fit.json")
    if isinstance(fit, AxesTransferFit):
        for note in fit.sweep.notes:
            typer.echo(f"note: {note}", err=True)
        fit.to_html(page)
        print_axes(fit)
    else:
        write_html(fit, page, title=title, study=result_dynamics(result))
        print_summary(fit)
        for sentence in plain_sentences(fit):
            typer.echo(sentence)
    if result.stopped is not None:
        typer.echo(f"adaptive: {result.stopped}")
    typer.echo(f"runs:   {result.csv}")
    for name in ("fit.json", "report.html"):
        typer.echo(f"{name.partition('.')[0] + ':':8}{result.folder / name}")
