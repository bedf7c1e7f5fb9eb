"""The files that trainers and loggers leave in a run's folder: settings, last values, and curves."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml

from hptransfer.errors import MissingExtraError
from hptransfer.sweep.runs import LoggedRun, curves_of
from hptransfer.sweep.wandb_log import read_wandb

MLFLOW_STATES = {1: "RUNNING", 2: "SCHEDULED", 3: "FINISHED", 4: "FAILED", 5: "KILLED"}


def read_settings(path: Path, run: LoggedRun) -> None:
    """Adds the settings of a JSON or YAML file; W&B's `{lr: {value: 0.1}}` lose their `value`."""
    data = _parsed(path)
    if isinstance(data, dict):
        for key, value in data.items():
            if key not in ("_wandb", "wandb_version"):
                plain = value["value"] if isinstance(value, dict) and "value" in value else value
                run.values.setdefault(str(key), plain)


def read_values(path: Path, run: LoggedRun) -> None:
    """Adds the last values in a JSON file, or the curves where it holds a row for every step."""
    data = _parsed(path)
    if isinstance(data, list):
        run.curves |= curves_of([row for row in data if isinstance(row, dict)])
    elif isinstance(data, dict):
        run.values |= {key: value for key, value in data.items() if key != "_wandb"}


def read_lines(path: Path, run: LoggedRun) -> None:
    """Adds the curves in JSON lines; a `config` in them (Ray's) is the run's settings."""
    rows = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            continue  # a run that was killed leaves half a line
        if isinstance(row, dict):
            run.values |= row.pop("config", None) or {}
            rows.append(row)
    run.curves |= curves_of(rows)


def read_csv_curves(path: Path, run: LoggedRun) -> None:
    """Adds the curves in a CSV file; columns `config/...` (Ray's) are the run's settings."""
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as lines:
        rows = [{key: cell for key, cell in row.items() if key} for row in csv.DictReader(lines)]
    for key in rows[-1] if rows else ():
        if key.startswith("config/"):
            run.values.setdefault(key.removeprefix("config/"), rows[-1][key])
    run.curves |= curves_of([{k: v for k, v in row.items() if not k.startswith("config/")} for row in rows])


def read_trainer_state(path: Path, run: LoggedRun) -> None:
    """Adds the curves of a transformers.Trainer; the peak of its learning rate is the run's."""
    state = _parsed(path)
    history = state.get("log_history", []) if isinstance(state, dict) else []
    rows = [row for row in history if isinstance(row, dict)]
    named = [{"train_loss" if key == "loss" else key: cell for key, cell in row.items()} for row in rows]
    for metric, curve in curves_of(named).items():  # of several checkpoints' the longest
        run.curves[metric] = max(run.curves.get(metric, []), curve, key=len)


def read_events(path: Path, run: LoggedRun) -> None:
    """Adds the scalars and the hyperparameters of a TensorBoard event file.

    Raises:
        MissingExtraError: where TensorBoard is not installed.
    """
    try:
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
        from tensorboard.plugins.hparams import plugin_data_pb2
        from tensorboard.util import tensor_util
    except ImportError:
        raise MissingExtraError("log", f"reading {path.name}") from None
    events = EventAccumulator(str(path), size_guidance={"scalars": 0, "tensors": 0})
    events.Reload()
    for tag in events.Tags()["scalars"]:
        run.curves.setdefault(tag, []).extend(event.value for event in events.Scalars(tag))
    for tag in events.Tags()["tensors"]:  # what newer writers make of scalars
        values = [tensor_util.make_ndarray(event.tensor_proto) for event in events.Tensors(tag)]
        if all(value.size == 1 and value.dtype.kind == "f" for value in values):
            run.curves.setdefault(tag, []).extend(float(value) for value in values)
    sessions = events.summary_metadata.get("_hparams_/session_start_info")
    if sessions is not None:
        data = plugin_data_pb2.HParamsPluginData.FromString(sessions.plugin_data.content)
        for key, value in data.session_start_info.hparams.items():
            kind = value.WhichOneof("kind")
            run.values.setdefault(key, None if kind is None else getattr(value, kind))


def read_mlflow(path: Path, run: LoggedRun) -> None:
    """Adds what MLflow's file store has beside a `meta.yaml`: params, the history of metrics, the status."""
    meta = _parsed(path)
    if isinstance(meta, dict):
        status = MLFLOW_STATES.get(meta.get("status", 3), "FINISHED")
        run.values |= {"name": meta.get("run_name"), "status": status}
    for key, text in _texts(path.parent / "params"):
        run.values.setdefault(key, text)
    for key, text in _texts(path.parent / "metrics"):
        lines = (line.split() for line in text.splitlines())  # time, value, step
        points = sorted((float(step), float(value)) for _, value, step, *_ in lines)
        run.curves[key] = [value for _, value in points]


def _texts(folder: Path) -> Iterator[tuple[str, str]]:
    for path in sorted(folder.rglob("*")) if folder.is_dir() else ():
        if path.is_file():
            text = path.read_text(encoding="utf-8", errors="replace")
            yield path.relative_to(folder).as_posix(), text.strip()


def _parsed(path: Path) -> Any:
    """What a JSON or YAML file holds; None where it is damaged."""
    text = path.read_text(encoding="utf-8-sig", errors="replace")
    try:
        return yaml.safe_load(text) if path.suffix in (".yaml", ".yml") else json.loads(text)
    except (ValueError, yaml.YAMLError, RecursionError):
        return None


Reader = Callable[[Path, LoggedRun], None]
SETTINGS: tuple[tuple[str, Reader], ...] = (
    (r"(?:config|run_config|args|training_args)\.(?:ya?ml|json)", read_settings),
    (r"(?:hparams|hyperparameters?|params)\.(?:ya?ml|json)", read_settings),
)
RESULTS: tuple[tuple[str, Reader], ...] = (
    (r"events\.out\.tfevents\..*", read_events),
    (r"trainer_state\.json", read_trainer_state),
    (r"(?:all|eval|train)_results\.json", read_values),
    (r"result\.json", read_lines),
    (r"(?:metrics|log|logs|history|train_log)\.jsonl", read_lines),
    (r"(?:progress|metrics|log|history|results)\.csv", read_csv_curves),
    (r"(?:metrics|results|summary|wandb-summary|final|history|eval|final_metrics)\.json", read_values),
    (r".*\.wandb", read_wandb),
)


def reader_of(name: str, kinds: tuple[tuple[str, Reader], ...]) -> Reader | None:
    """What reads a file of this name; None where it is none of these kinds."""
    return next((read for pattern, read in kinds if re.fullmatch(pattern, name)), None)
