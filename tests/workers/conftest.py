"""A real Ray and a real one-node Slurm, each started once; skipped where they cannot be had."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

START_SLURM = Path(__file__).parents[3] / "shared" / "slurm" / "start-slurm.sh"


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[str]:
    """Address of a Ray cluster of two cores on this machine."""
    ray = pytest.importorskip("ray")
    os.environ.setdefault("RAY_raylet_start_wait_time_s", "300")  # a busy machine is slow to start it
    here = str(Path(__file__).parents[1] / "study")  # of the fake trainer
    context = ray.init(
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        logging_level="ERROR",
        runtime_env={"env_vars": {"PYTHONPATH": os.pathsep.join([here, *sys.path])}},
    )
    yield context.address_info["address"]
    ray.shutdown()


@pytest.fixture(scope="session")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A Slurm of one node: the one that runs here, or one that is started for these tests."""
    pytest.importorskip("submitit")
    if shutil.which("sbatch") is None:
        pytest.skip("Slurm is not installed: apt-get install slurm-wlm munge")
    if _answers():
        yield
        return
    if not START_SLURM.exists() or os.geteuid() != 0:
        pytest.skip("no Slurm runs here, and starting one needs root and ../shared/slurm/start-slurm.sh")
    folder = tmp_path_factory.mktemp("slurm")
    done = subprocess.run(["bash", str(START_SLURM), str(folder)], capture_output=True, text=True, timeout=90)
    if done.returncode:
        pytest.skip(f"Slurm could not be started: {done.stderr[-300:]}")
    yield
    for file in folder.glob("*.pid"):
        with suppress(OSError, ValueError):
            os.kill(int(file.read_text()), 15)


def _answers() -> bool:
    done = subprocess.run(["sinfo", "--noheader"], capture_output=True, timeout=30, check=False)
    return done.returncode == 0
