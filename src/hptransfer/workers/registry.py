"""The executors there are, by kind: a spec's section becomes its executor's config, and that the executor."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, SerializeAsAny

from hptransfer.workers.executor import Executor, ExecutorClass, ExecutorConfig, OnReport
from hptransfer.workers.local import LocalExecutor
from hptransfer.workers.ray import RayExecutor
from hptransfer.workers.slurm import SlurmExecutor

_CLASSES: tuple[ExecutorClass, ...] = (LocalExecutor, RayExecutor, SlurmExecutor)
EXECUTORS: Mapping[str, ExecutorClass] = {executor.Config().kind: executor for executor in _CLASSES}


def executor_config(data: object) -> object:
    """The config of the kind that the data name; anything but a mapping is left to pydantic.

    Raises:
        ValueError: the kind is unknown, or a key belongs to another kind or to none.
    """
    if not isinstance(data, Mapping):
        return data
    given = {key: value for key, value in data.items() if value not in (None, (), [], {})}
    kind = given.get("kind", "local")
    if kind not in EXECUTORS:
        raise ValueError(f"`kind` must be one of {', '.join(EXECUTORS)}, but got {kind!r}")
    for key in given:
        kinds = [name for name, executor in EXECUTORS.items() if key in executor.Config.model_fields]
        if kind in kinds:
            continue
        if kinds:
            raise ValueError(
                f"`{key}` must be given for kind {' or '.join(kinds)} only, but kind is {kind!r}"
            )
        valid = ", ".join(EXECUTORS[kind].Config.model_fields)
        raise ValueError(f"every key must be known, but got `{key}` (valid for kind {kind!r}: {valid})")
    return EXECUTORS[kind].Config.model_validate(given)


AnyExecutorConfig = Annotated[SerializeAsAny[ExecutorConfig], BeforeValidator(executor_config)]


def make_executor(
    config: ExecutorConfig, workers: int | None, folder: Path
) -> Callable[[OnReport], Executor]:
    """What makes the executor of a config, once it is given where reports go.

    Args:
        config: of the executor.
        workers: stacks trained at a time; None: as many as the machine or the cluster takes.
        folder: of the study.
    """
    return partial(EXECUTORS[config.kind], config, workers, folder)
