"""Trackers by their own clients: W&B, MLflow, Optuna."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from hptransfer.errors import MissingExtraError, SweepError
from hptransfer.sweep.names import loss_rank
from hptransfer.sweep.objects import from_study
from hptransfer.sweep.options import ReadOptions
from hptransfer.sweep.raw_table import RawTable, concat, shown
from hptransfer.sweep.runs import LoggedRun, table_of_runs
from hptransfer.sweep.table import Source


def is_tracker(name: str) -> bool:
    """Whether a source is a tracker's address, such as `mlflow:URI#experiment`."""
    return name.partition(":")[0] in READERS and ":" in name


def read_tracker(name: str, options: ReadOptions) -> RawTable:
    """The runs of a tracker's project, experiment or study.

    Raises:
        SweepError: where there are none, or the tracker cannot be reached.
        MissingExtraError: where its client is not installed.
    """
    kind, _, address = name.partition(":")
    try:
        table = READERS[kind](address, name, options)
    except (SweepError, MissingExtraError):
        raise
    except Exception as error:  # clients raise what their transport raises
        first = str(error).strip().splitlines() or [type(error).__name__]
        raise SweepError(f"cannot read {name}: {shown(first[0], 200)}") from None
    return replace(table, source=Source(name))


def _wandb(address: str, name: str, options: ReadOptions) -> RawTable:
    try:
        import wandb
    except ImportError:
        raise MissingExtraError("log", f"reading {name}") from None
    filters = None if options.query is None else json.loads(options.query)
    return table_of_runs(_wandb_runs(wandb.Api().runs(address, filters=filters), options), name, options.take)


def _wandb_runs(runs: Any, options: ReadOptions) -> Iterator[LoggedRun]:
    for run in runs:
        settings = {key: value for key, value in dict(run.config).items() if not key.startswith("_")}
        last = {key: value for key, value in dict(run.summary).items() if not key.startswith("_")}
        found = LoggedRun(run.name, {**settings, "state": run.state, "group": run.group, **last})
        if options.take not in (None, "final"):
            for key in filter(loss_rank, last):
                found.curves[key] = [row[key] for row in run.scan_history(keys=[key])]
        yield found


def _mlflow(address: str, name: str, options: ReadOptions) -> RawTable:
    try:
        from mlflow import MlflowClient
    except ImportError:
        raise MissingExtraError("log", f"reading {name}") from None
    uri, _, experiment = address.partition("#")
    client = MlflowClient(tracking_uri=uri)
    known = {found.name: found.experiment_id for found in client.search_experiments()}
    wanted = [known[experiment]] if experiment in known else [] if experiment else list(known.values())
    if not wanted:
        raise SweepError(f"{uri} has no experiment {experiment!r}; experiments: {', '.join(known) or 'none'}")
    return table_of_runs(_mlflow_runs(client, wanted, options), name, options.take)


def _mlflow_runs(client: Any, experiments: list[str], options: ReadOptions) -> Iterator[LoggedRun]:
    token: str | None = None
    while True:
        page = client.search_runs(experiments, filter_string=options.query or "", page_token=token)
        for run in page:
            values = {**run.data.params, "status": run.info.status, **run.data.metrics}
            found = LoggedRun(run.info.run_name or run.info.run_id, values)
            if options.take not in (None, "final"):
                for key in filter(loss_rank, run.data.metrics):
                    points = client.get_metric_history(run.info.run_id, key)
                    history = sorted(points, key=lambda point: point.step)
                    found.curves[key] = [point.value for point in history]
            yield found
        token = page.token
        if not token:
            return


def _optuna(address: str, name: str, _: ReadOptions) -> RawTable:
    try:
        import optuna
    except ImportError:
        raise MissingExtraError("optuna", f"reading {name}") from None
    location, study = address.partition("#")[::2]
    file = location.removeprefix("sqlite:///")
    if "://" not in file and not Path(file).is_file():  # Optuna would make an empty one
        raise SweepError(f"an Optuna storage must be a file or an address, but there is no file {file}")
    storage: Any = location if "://" in location else _optuna_file(location)
    names = [found.study_name for found in optuna.get_all_study_summaries(storage)]
    wanted = [study] if study in names else [] if study else names
    if not wanted:
        what = f"study {study!r}" if study else "study"
        raise SweepError(f"{location} has no {what}; studies: {', '.join(names) or 'none'}")
    return concat([from_study(optuna.load_study(study_name=one, storage=storage)) for one in wanted])


def _optuna_file(path: str) -> Any:
    """The storage in a file: SQLite, or Optuna's journal."""
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    with open(path, "rb") as file:
        if file.read(16).startswith(b"SQLite format 3"):
            return f"sqlite:///{path}"
    return JournalStorage(JournalFileBackend(path))


READERS: dict[str, Callable[[str, str, ReadOptions], RawTable]] = {
    "wandb": _wandb,
    "mlflow": _mlflow,
    "optuna": _optuna,
}
