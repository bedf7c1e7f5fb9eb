"""A study from spec to finished runs, and a study that was run before."""

from __future__ import annotations

import hashlib
import importlib.util
import io
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from hptransfer.errors import HPTransferError, MissingExtraError, StoreError
from hptransfer.study.corpus import check_corpus, corpus_of
from hptransfer.study.driver import Driver
from hptransfer.study.edited import replaced
from hptransfer.study.notebook_display import in_notebook
from hptransfer.study.progress_display import print_line
from hptransfer.study.provenance import provenance
from hptransfer.study.rounds import why_stopped
from hptransfer.study.runs_table import RUNS_CSV, Row, RunsTable, coordinates_of, sweep_table
from hptransfer.study.spec import StudySpec
from hptransfer.study.store import Store
from hptransfer.study.store_integrity import storable
from hptransfer.sweep.table import Source, SweepTable
from hptransfer.words import count, plural
from hptransfer.workers.executor import Executor, OnReport
from hptransfer.workers.registry import make_executor
from hptransfer.workers.run_job import TRAIN
from hptransfer.workers.spool import clear, pending_results, set_aside, spool_of

if TYPE_CHECKING:
    from hptransfer.fit import Targets, TransferFit
    from hptransfer.fit_axes import AxesTransferFit


class StudyInterrupted(KeyboardInterrupt):
    """Ctrl-C during a study; its text says what is kept. The command line prints it and exits with 130."""


@dataclass(frozen=True)
class StudyResult:
    """A study as far as it is finished."""

    spec: StudySpec  # of the study
    folder: Path  # that holds the store, runs.csv and logs
    sweep: SweepTable  # the finished runs, eta in SP coordinates
    table: RunsTable  # failed runs included
    trained: int  # runs that this call finished; 0 where everything was in the store
    failures: tuple[str, ...]  # why runs failed, each reason once; they are run again at the next start
    provenance: Mapping[str, Any]  # of the runs, for `TransferFit.provenance`
    stopped: str | None = (
        None  # why an adaptive study asks for no more runs; None where it does, or of a grid
    )

    @property
    def rows(self) -> Sequence[Row]:
        """The lines of runs.csv, by name of column."""
        return self.table.rows

    @property
    def csv(self) -> Path:
        """The table of runs."""
        return self.folder / RUNS_CSV


def run_study(
    spec: StudySpec,
    folder: str | Path | None = None,
    *,
    train: str = TRAIN,
    executor: Callable[[OnReport], Executor] | None = None,
    console: Console | None = None,
) -> StudyResult:
    """Train what is missing of a study, and give all of it.

    A finished run is never trained again, whatever ended the last start of the study: the results of a
    batch of runs are on disk before it counts as finished.

    Args:
        spec: of the study.
        folder: for the store, runs.csv and logs; default `runs/NAME`.
        train: `module:function` that trains a stack, as `hptransfer.lm.train.train_stack` does.
        executor: makes the executor, given where to send reports; default: processes on this machine.
        console: for progress; None shows it in a notebook alone, below the cell.

    Raises:
        StudyInterrupted: Ctrl-C; everything finished is kept, and the next start resumes the study.
        StoreError: the store cannot be used, another driver is running the study, or the text has changed
            since its runs were trained.
        MissingExtraError: torch is not installed; DataError: the text cannot be used.
        HPTransferError: every run failed.
    """
    folder = default_folder(spec) if folder is None else Path(folder)
    with Store(folder) as store:
        if (told := replaced(store, spec)) is not None and console is not None:
            print_line(console, f"note: {told}")
        store.begin(spec, provenance(spec))
        _take_in_spool(store)
        driver = Driver(spec, store, train, spec.workers or spec.executor.slots())
        try:
            stacks = driver.missing(spec.sizes)
            store.set_places(driver.places())
            if stacks:
                if train == TRAIN and spec.trial.kind == "builtin":
                    _prepare(spec, store)
                make = executor or make_executor(spec.executor, spec.workers, folder)
                driver.run(make, console or _quiet(), stacks)
        except BaseException as error:
            with suppress(StoreError):  # the fault that ended the study is the one to report
                RunsTable.of(store, spec).write(folder)
            if isinstance(error, KeyboardInterrupt):
                raise StudyInterrupted(_kept(driver, folder)) from None
            raise
        table = RunsTable.of(store, spec)
        table.write(folder)
        return _result(store, spec, table, driver.trained)


def _quiet() -> Console:
    """Where progress goes that nobody asked for: to a notebook, whose reader waits for it, or nowhere."""
    return Console() if in_notebook() else Console(file=io.StringIO())


def load_result(folder: str | Path) -> StudyResult:
    """A study from its folder, as far as it is finished; also while it runs.

    Raises:
        StoreError: there is no study in the folder, or its store cannot be read.
        HPTransferError: no run is finished.
    """
    with Store(Path(folder), read_only=True) as store:
        spec = store.spec()
        return _result(store, spec, RunsTable.of(store, spec), trained=0)


def default_folder(spec: StudySpec) -> Path:
    """`runs/NAME` in the working directory."""
    return Path("runs") / spec.name


def fit_study(result: StudyResult, targets: Targets | None = None) -> TransferFit | AxesTransferFit:
    """The fit of a study's finished runs; default: the spec's targets.

    It has the study's provenance. Over widths it is in SP coordinates; over several axes see `sweep_table`.
    """
    from hptransfer.fit import Options, quantify

    spec = result.spec
    targets = spec.targets if targets is None else targets
    how: Options = {"targets": targets, "tolerance": spec.tolerance}
    fit: TransferFit | AxesTransferFit
    if spec.axes:
        fit = quantify(result.sweep, scale=spec.axes, **how)
    else:
        how["coordinates"], how["suggest"] = "sp", True
        fit = quantify(result.sweep, **how)
    return replace(fit, provenance=result.provenance)


def _take_in_spool(store: Store) -> None:
    """Stores what workers finished and a driver that died did not store."""
    spool = spool_of(store.path.parent)
    for path, pairs in pending_results(spool):
        sound = [pair for pair in pairs if storable(*pair).status != "failed"]
        store.add(path.stem, sound)
        if len(sound) == len(pairs):
            clear(spool, path.stem)
        else:
            set_aside(path)


def _prepare(spec: StudySpec, store: Store) -> None:
    """Fails early and once; tokenises the text before many workers ask for it at the same time."""
    if importlib.util.find_spec("torch") is None:
        raise MissingExtraError("lm", "training")
    records = store.records()
    ids = [str(run_id) for (run_id,) in store.rows(["run_id"])]
    check_corpus(corpus_of(spec), [records[run_id] for run_id in ids], str(store.path))


def _result(store: Store, spec: StudySpec, table: RunsTable, trained: int) -> StudyResult:
    folder, sessions, failed = store.path.parent, store.sessions(), table.failed
    failures = tuple(dict.fromkeys(str(row["error"] or "unknown") for row in failed))
    if len(failed) == len(table.lines):
        reason = f": {failures[0]}" if failures else ""
        raise HPTransferError(f"at least one run must be finished, but none in {folder} is{reason}")
    source = Source(path=str(folder / RUNS_CSV), sha256=hashlib.sha256(table.content).hexdigest())
    return StudyResult(
        spec=spec,
        folder=folder,
        sweep=sweep_table(
            table.lines,
            source,
            spec.optimizers(),
            own=coordinates_of(spec),
            base_scale=float(spec.base),
            axes=spec.axes,
        ),
        table=table,
        trained=trained,
        failures=failures,
        provenance={**sessions[-1], "sessions": len(sessions)},
        stopped=why_stopped(spec, store.losses()),
    )


def _kept(driver: Driver, folder: Path) -> str:
    seen = driver.progress.snapshot()
    done, planned = seen.total("done"), seen.total("planned")
    kept = f"{count(done)} of {plural(planned, 'run')} kept in {folder}"
    return f"stopped: {kept}; the same command resumes the study"
