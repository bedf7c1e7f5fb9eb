"""The loss curves of a study in TensorBoard, W&B or MLflow, through their own clients."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hptransfer.errors import HPTransferError, MissingExtraError, StoreError
from hptransfer.runs.config import RunRecord, RunSpec
from hptransfer.study.store import Store
from hptransfer.study.store_schema import PLACES


@dataclass(frozen=True)
class LoggedRun:
    """What a client is told of a run."""

    name: str  # variant, width, LR and seed
    settings: Mapping[str, Any]  # its spec, flat
    curve: Sequence[tuple[int, float]]  # step, training loss
    results: Mapping[str, float]  # final losses that are finite

    @property
    def last(self) -> int:
        """Last step of the curve."""
        return max((step for step, _ in self.curve), default=0)


Log = Callable[[LoggedRun], None]


def log_curves(folder: Path, to: str, into: Path | None = None) -> int:
    """Log every finished run of a study that was not logged there before.

    What was logged is noted in the study's folder (`logged-TO.txt`), a line a run, so that the same call
    after more runs have finished logs those alone.

    Args:
        folder: of the study.
        to: `tensorboard`, `wandb` or `mlflow`.
        into: where the client keeps its files: TensorBoard's log folder (default: FOLDER/tensorboard), W&B's
            (default: its own), MLflow's database (default: the tracking server that MLFLOW_TRACKING_URI
            names, else FOLDER/mlflow.db).

    Returns:
        Runs logged now.

    Raises:
        StoreError: the study cannot be read; MissingExtraError: the client is not installed.
        HPTransferError: there is no such client, or it refuses.
    """
    if to not in CLIENTS:
        raise HPTransferError(f"curves can be logged to {', '.join(CLIENTS)}, but got {to!r}")
    note = folder / f"logged-{to}.txt"
    logged = set(note.read_text().split()) if note.exists() else set()
    runs = [run for run in _runs(folder) if run[2].run_id not in logged]
    name, client = CLIENTS[to]
    try:
        log = client(folder, into)
    except ImportError:
        raise MissingExtraError("log", f"logging to {name}") from None
    for title, run, record in runs:
        results = {"loss": record.loss, "initial_loss": record.initial_loss or math.nan}
        finite = {k: v for k, v in results.items() if math.isfinite(v)}
        log(LoggedRun(title, settings(run), record.curve, finite))
        try:
            with note.open("a") as file:
                file.write(f"{record.run_id}\n")
        except OSError as error:
            raise StoreError(f"the study's folder must be writable, but {note}: {error.strerror}") from None
    return len(runs)


def settings(run: RunSpec) -> dict[str, Any]:
    """A run's spec, flat: `model.width`, `train.steps`, ..."""
    out: dict[str, Any] = {}
    for key, value in run.model_dump(mode="json").items():
        if isinstance(value, dict):
            out |= {f"{key}.{name}": inner for name, inner in value.items()}
        else:
            out[key] = value
    return out


def _runs(folder: Path) -> Iterator[tuple[str, RunSpec, RunRecord]]:
    """Name, spec and record of every finished run that is the study's, smallest width and LR first."""
    with Store(folder, read_only=True) as store:
        places = {row[0]: dict(zip(PLACES, row, strict=True)) for row in store.rows(PLACES)}
        runs = [pair for pair in store.runs() if pair[1].run_id in places and pair[1].status != "failed"]
    for run, record in sorted(runs, key=lambda pair: (pair[0].model.width, pair[0].lr, pair[0].seed)):
        place = places[record.run_id]
        name = f"{place['variant']} width={place['width']} lr={place['lr_mup']:.4g} seed={place['seed']}"
        yield name, run, record


def _tensorboard(folder: Path, into: Path | None) -> Log:
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
    from tensorboard.compat.proto.tensor_pb2 import TensorProto
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    root = into or folder / "tensorboard"

    def log(run: LoggedRun) -> None:
        writer = EventFileWriter(str(root / run.name.replace(" ", "_")))
        points = [("train/loss", step, loss) for step, loss in run.curve]
        points += [(f"final/{key}", run.last, value) for key, value in run.results.items()]
        text = "\n".join(f"    {key}: {value}" for key, value in run.settings.items())
        for tag, step, value in points:
            summary = Summary(value=[Summary.Value(tag=tag, simple_value=value)])
            writer.add_event(Event(step=step, summary=summary))
        tensor = TensorProto(dtype="DT_STRING", string_val=[text.encode()])
        kind = SummaryMetadata(plugin_data=SummaryMetadata.PluginData(plugin_name="text"))
        spec = Summary.Value(tag="spec", tensor=tensor, metadata=kind)
        writer.add_event(Event(summary=Summary(value=[spec])))
        writer.close()

    return log


def _wandb(folder: Path, into: Path | None) -> Log:
    import wandb

    def log(run: LoggedRun) -> None:
        try:
            client = wandb.init(
                project=folder.resolve().name,
                name=run.name,
                config=dict(run.settings),
                dir=None if into is None else str(into),
                settings=wandb.Settings(silent=True),
            )
        except wandb.errors.Error as error:
            raise HPTransferError(f"W&B refused: {' '.join(str(error).split())}") from None
        for step, loss in run.curve:
            client.log({"train/loss": loss}, step=step)
        client.summary.update(dict(run.results))
        client.finish()

    return log


def _mlflow(folder: Path, into: Path | None) -> Log:
    import os

    from mlflow.entities import Metric, Param
    from mlflow.exceptions import MlflowException
    from mlflow.tracking import MlflowClient

    uri = os.environ.get("MLFLOW_TRACKING_URI")
    if into is not None or uri is None:
        uri = f"sqlite:///{(into or folder / 'mlflow.db').absolute()}"
    client = MlflowClient(tracking_uri=uri)
    experiment = folder.resolve().name
    with suppress(MlflowException):
        client.create_experiment(experiment)
    found = client.get_experiment_by_name(experiment)
    if found is None:
        raise HPTransferError(f"MLflow must give an experiment, but has none named {experiment!r}")

    def log(run: LoggedRun) -> None:
        number = client.create_run(found.experiment_id, run_name=run.name).info.run_id
        metrics = [Metric("train/loss", loss, 0, step) for step, loss in run.curve if math.isfinite(loss)]
        metrics += [Metric(key, value, 0, run.last) for key, value in run.results.items()]
        params = [Param(key, str(value)) for key, value in run.settings.items()]
        for start in range(0, max(len(metrics), len(params)), 90):  # MLflow takes 100 parameters at a time
            part = slice(start, start + 90)
            client.log_batch(number, metrics=metrics[part], params=params[part])
        client.set_terminated(number)

    return log


CLIENTS: Mapping[str, tuple[str, Callable[[Path, Path | None], Log]]] = {
    "tensorboard": ("TensorBoard", _tensorboard),
    "wandb": ("W&B", _wandb),
    "mlflow": ("MLflow", _mlflow),
}  # by the name on the command line: the name that it calls itself, and what makes its log
