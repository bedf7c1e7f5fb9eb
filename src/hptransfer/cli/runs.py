"""`hptransfer runs`: list, export, import, merge, compare, log and repair the runs of studies."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hptransfer.cli.errors import SOME_FAILED, handle_errors
from hptransfer.cli.options import argument, option
from hptransfer.cli.outputs import check_outputs, write_outputs
from hptransfer.cli.plain_help import PlainCommand
from hptransfer.cli.text_table import print_table
from hptransfer.errors import HPTransferError
from hptransfer.files import printable
from hptransfer.words import plural, rough

if TYPE_CHECKING:
    from hptransfer.fit import TransferFit
    from hptransfer.study.merge import Added

Folders = Annotated[list[Path], argument("DIR...", "Folders of studies.")]
app = typer.Typer(
    help="List, export, import, merge, compare, log and repair runs.",
    no_args_is_help=True,
)


def list_(
    root: Annotated[Path, argument("DIR", "Folder in which to look for studies.")] = Path("runs"),
) -> None:
    """List the studies in a folder and below it.

    The exit code is 3 where one of them cannot be read.

    Example: hptransfer runs list
    """
    from hptransfer.study.export import studies

    found = studies(root)
    if not found:
        typer.echo(f"There is no study in {root}.")
        return
    rows = []
    for s in found:
        if s.trouble is not None:
            continue
        last = (s.last or "").replace("T", " ").removesuffix("+00:00")
        counts = (f"{s.done}", f"{s.diverged}", f"{s.failed}")
        rows.append((str(s.folder), s.name, *counts, rough(s.flops), last))
    if rows:
        print_table(("folder", "study", "done", "diverged", "failed", "FLOPs", "last start (UTC)"), rows)
    troubled = [s for s in found if s.trouble is not None]
    for s in troubled:
        typer.echo(printable(f"{s.folder}: {s.trouble}"), err=True)
    if troubled:
        raise typer.Exit(SOME_FAILED)


def export(
    folders: Folders,
    to: Annotated[Path, option("FILE", "File to write: .csv, .json, .parquet or .records.csv[.gz].", "--to")],
) -> None:
    """Write the runs of one or several studies as one table.

    A name that ends in .records.csv or .records.csv.gz makes a record table of one study, which holds each
    run's spec, curve and provenance. `hptransfer runs import` reads it on another machine.

    Examples: hptransfer runs export runs/demo --to demo.parquet;
    hptransfer runs export runs/demo --to demo.records.csv.gz
    """
    from hptransfer.study.export import export as write
    from hptransfer.study.record_import import export_records
    from hptransfer.study.record_table import ENDINGS

    check_outputs([to])
    if to.name.endswith(ENDINGS):
        if len(folders) > 1:
            raise HPTransferError(f"a record table must be of one study, but got {len(folders)} folders")
        count = export_records(folders[0], to)
    else:
        count = write(folders, to)
    typer.echo(f"Wrote {plural(count, 'run')} to {to}.")


def import_(
    tables: Annotated[list[Path], argument("TABLE...", "Record tables that `runs export` wrote.")],
    into: Annotated[Path, option("DIR", "Folder of the study.", "--into")],
    spec: Annotated[str | None, option("SPEC", "Spec of the study.  [default: the one in DIR]")] = None,
) -> None:
    """Add runs that another machine trained to a study.

    A run counts as finished where its id and its corpus are those that the study asks for. Its device and
    versions stay in its provenance. `hptransfer run` then trains what is missing and fits.

    Example: hptransfer runs import gpu/study.records.csv.gz --into runs/both --spec study.yaml
    """
    from hptransfer.cli.spec import read_spec
    from hptransfer.study.record_import import import_records

    done = import_records(into, tables, None if spec is None else read_spec(spec))
    typer.echo(f"Added {plural(done.taken, 'finished run')} to {into}.")
    _print_rest(done, "")


def merge(
    folders: Folders, into: Annotated[Path, option("DIR", "Folder of the merged study.", "--into")]
) -> None:
    """Put the runs of several studies into one.

    The studies may differ only in what they swept. The merged study has every variant, width, seed and weight
    decay of all. It may exist already.

    Example: hptransfer runs merge runs/first runs/second --into runs/both
    """
    from hptransfer.study.merge import merge as put_together

    done = put_together(into, folders)
    typer.echo(f"Merged {plural(done.taken, 'finished run')} into {into}.")
    _print_rest(done, " of the common grid")


def _print_rest(done: Added, which: str) -> None:
    were = {1: "was"}
    if done.known:
        typer.echo(f"{plural(done.known, 'run')} {were.get(done.known, 'were')} there already.")
    if done.foreign:
        belong = "belongs" if done.foreign == 1 else "belong"
        out = f"{belong} to another study and {were.get(done.foreign, 'were')} left out"
        typer.echo(f"{plural(done.foreign, 'run')} {out}.")
    if done.planned:
        missing = f"{plural(done.planned, 'run')}{which} {'is' if done.planned == 1 else 'are'} missing"
        typer.echo(f"{missing}; `hptransfer run` trains what is missing.")


def compare(
    folders: Folders,
    target: Annotated[
        list[float] | None, option("N", "Scale to predict the optimum at; may be repeated.")
    ] = None,
    html: Annotated[Path | None, option("OUT", "Write the report as one page.")] = None,
) -> None:
    """Fit several studies together, and compare them.

    The tables are those of `hptransfer report`, over the variants of all studies, each named after its study.
    Then come the differences of every variant from the first. So two studies that differ in their optimizer
    are compared. To compare optimizers, or parametrizations, within one study, list them in its spec, and
    name that one study here.

    Example: hptransfer runs compare runs/step runs/tpp --target 4096
    """
    from hptransfer.fit import quantify
    from hptransfer.report.terminal import print_summary
    from hptransfer.study.export import combined_sweep

    check_outputs([html])
    fit = quantify(combined_sweep(folders), targets=target or (), coordinates="sp")
    written = write_outputs((html, fit.to_html))
    print_summary(fit)
    _differences(fit)
    for path in written:
        typer.echo(f"wrote {path}")


def _differences(fit: TransferFit) -> None:
    """Paired differences of what every variant has, to the first variant."""
    from hptransfer.quantify.compare import compare as paired_differences
    from hptransfer.report import number_format

    first, *rest = fit.variants
    rows = []
    for name in rest:
        for metric, found in paired_differences(fit, name, first).items():
            if metric in ("drift", "kappa", "R_n", "E_hp") and found.value is not None:
                rows.append((name, metric, number_format.value(found), number_format.interval(found)))
    if rows:
        typer.echo(f"\nDifferences from {first}, with 95% intervals from paired draws")
        print_table(("variant", "metric", "difference", "interval"), rows)


def log(
    folder: Annotated[Path, argument("DIR", "Folder of a study.")],
    to: Annotated[str, option("tensorboard|wandb|mlflow", "Client that logs.", "--to")],
    into: Annotated[Path | None, option("PATH", "Where the client keeps its files.", "--into")] = None,
) -> None:
    """Log loss curves to TensorBoard, W&B or MLflow.

    Runs that were logged before are not logged again. This also works while the study runs.

    Example: hptransfer runs log runs/demo --to tensorboard
    """
    from hptransfer.study.trackers import log_curves

    typer.echo(f"Logged {plural(log_curves(folder, to, into), 'run')} to {to}.")


def repair(folder: Annotated[Path, argument("DIR", "Folder of a study.")]) -> None:
    """Keep what is sound of a damaged study.

    The old file of its store stays beside the new one.

    Every row of a store has a checksum. A run whose row is not as it was written, or cannot be read, is left
    out, and `hptransfer run` trains it again.

    Example: hptransfer runs repair runs/demo
    """
    from hptransfer.study.store_repair import repair as rescue

    done = rescue(folder)
    typer.echo(f"Kept {plural(done.kept, 'run')}; the old file is {done.aside}.")
    if done.lost:
        named = ", ".join(printable(run_id) for run_id in done.lost[:5])
        more = f" and {len(done.lost) - 5} more" if len(done.lost) > 5 else ""
        typer.echo(f"{plural(len(done.lost), 'run')} not sound, to be trained again: {named}{more}.")
    if not done.spec:
        typer.echo("The spec was not sound; `hptransfer run` with the study's spec brings it back.")


for command in (list_, export, import_, merge, compare, log, repair):
    app.command(name=command.__name__.strip("_"), cls=PlainCommand)(handle_errors(command))
