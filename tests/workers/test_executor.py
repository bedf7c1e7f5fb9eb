"""What every executor is given: jobs, settings, and how many stacks at a time."""

from __future__ import annotations

import pickle

import pytest
from pydantic import ValidationError
from small_study import study

from hptransfer.workers import executor
from hptransfer.workers.executor import ExecutorConfig, Job

RUNS = tuple(study().run("sp", 32, index, 0) for index in range(2))


@pytest.mark.parametrize(("compiled", "shape"), [(True, (32, 2)), (False, None)])
def test_only_compiled_jobs_have_a_shape(compiled: bool, shape: tuple[int, int] | None) -> None:
    assert Job("stack", RUNS, "module:function", compiled).shape == shape


def test_a_job_is_plain_data() -> None:
    job = Job("stack", RUNS, "module:function", flops=1e9, folder="here")
    assert pickle.loads(pickle.dumps(job)) == job


@pytest.mark.parametrize(("cpus", "slots"), [(1, 6), (2, 3), (4, 1), (8, 1)])
def test_as_many_stacks_as_there_are_cores_for(
    cpus: int, slots: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executor, "cores", lambda: 6)
    assert ExecutorConfig(cpus=cpus).slots() == slots


@pytest.mark.parametrize("cpus", [0, 1025])
def test_impossible_cores_are_refused(cpus: int) -> None:
    with pytest.raises(ValidationError, match="cpus"):
        ExecutorConfig(cpus=cpus)
