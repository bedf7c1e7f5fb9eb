"""A spec's `executor` section becomes the config of the executor that it names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from small_study import study

from hptransfer.errors import SpecError
from hptransfer.study.spec import parse_study
from hptransfer.workers.environment import cores
from hptransfer.workers.executor import MANY
from hptransfer.workers.local import LocalConfig, LocalExecutor
from hptransfer.workers.ray import RayConfig
from hptransfer.workers.registry import EXECUTORS, make_executor
from hptransfer.workers.slurm_queue import SlurmConfig


def test_every_executor_is_known_by_the_kind_of_its_config() -> None:
    assert {kind: executor.Config for kind, executor in EXECUTORS.items()} == {
        "local": LocalConfig,
        "ray": RayConfig,
        "slurm": SlurmConfig,
    }


@pytest.mark.parametrize(
    ("section", "config"),
    [
        ({}, LocalConfig()),
        ({"cpus": 2}, LocalConfig(cpus=2)),
        ({"kind": "ray", "gpus": 0.5, "address": "auto"}, RayConfig(gpus=0.5, address="auto")),
        (
            {"kind": "slurm", "sbatch": {"constraint": "a100"}, "gpus": 2, "minutes": None},
            SlurmConfig(sbatch=(("constraint", "a100"),), gpus=2, minutes=60),
        ),
        ({"kind": "local", "gpus": None, "sbatch": []}, LocalConfig()),
    ],
)
def test_a_section_gives_its_config_and_survives_the_store(section: dict[str, Any], config: object) -> None:
    spec = study(executor=section)
    assert spec.executor == config
    assert parse_study(spec.model_dump(mode="json")) == spec


@pytest.mark.parametrize(
    ("section", "says"),
    [
        ({"kind": "cloud"}, "`kind` must be one of local, ray, slurm, but got 'cloud'"),
        ({"gpus": 1}, "`gpus` must be given for kind ray or slurm only, but kind is 'local'"),
        ({"kind": "ray", "qos": "low"}, "`qos` must be given for kind slurm only, but kind is 'ray'"),
        (
            {"kind": "ray", "cpu": 1},
            "but got `cpu` (valid for kind 'ray': kind, cpus, gpus, memory_gb, address)",
        ),
        ({"cpus": 0}, "`executor.cpus` must be greater than or equal to 1, but got 0"),
        ({"kind": "slurm", "gpus": 0.5}, "`executor.gpus` must be a valid integer"),
        ({"kind": "slurm", "qos": "a b"}, "`qos` goes into a batch script"),
        (3, "`executor` must be"),
    ],
)
def test_what_does_not_fit_is_said_in_one_line(section: object, says: str) -> None:
    with pytest.raises(SpecError) as caught:
        study(executor=section)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_stacks_at_a_time_before_the_executor_is_made() -> None:
    assert LocalConfig(cpus=1).slots() == RayConfig().slots() == cores()
    assert LocalConfig(cpus=1024).slots() == 1
    assert RayConfig(address="auto").slots() == SlurmConfig().slots() == MANY


def test_the_local_executor_is_made_in_the_studys_folder(tmp_path: Path) -> None:
    executor = make_executor(LocalConfig(), 1, tmp_path)(lambda _: None)
    executor.shutdown()
    assert isinstance(executor, LocalExecutor)
    assert (tmp_path / "logs").is_dir()


def test_slurm_gets_its_options_by_submitits_names() -> None:
    config = SlurmConfig(cpus=2, gpus=1, memory_gb=1.5, minutes=5, partition="gpu", sbatch=(("nice", "10"),))
    options = config.options()
    assert "export OMP_NUM_THREADS=2" in options.pop("setup")
    assert options == {
        "partition": "gpu",
        "gpus_per_node": 1,
        "mem": "1536M",
        "time": 5,
        "cpus_per_task": 2,
        "additional_parameters": {"requeue": True, "nice": "10"},
    }
