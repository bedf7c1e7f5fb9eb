"""GPUs of this machine: which there are, and that local workers take them in turn."""

from __future__ import annotations

from pathlib import Path

import pytest

from hptransfer.workers import gpus as gpus_module
from hptransfer.workers import local
from hptransfer.workers.environment import cores, environment
from hptransfer.workers.gpus import gpus
from hptransfer.workers.local import LocalConfig, LocalExecutor


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine whose driver has two devices."""
    torch = pytest.importorskip("torch")
    driver = tmp_path / "driver"
    driver.touch()
    monkeypatch.setattr(gpus_module, "_DRIVER", driver)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.delenv("HPTRANSFER_DEVICE", raising=False)


@pytest.mark.usefixtures("two_gpus")
@pytest.mark.parametrize(
    ("named", "found"),
    [
        ("", ("cuda:0", "cuda:1")),
        ("auto", ("cuda:0", "cuda:1")),
        ("cuda", ("cuda:0", "cuda:1")),
        ("cuda:1", ("cuda:1",)),
        ("cpu", ()),
        ("mps", ()),
    ],
)
def test_the_gpus_of_a_machine(monkeypatch: pytest.MonkeyPatch, named: str, found: tuple[str, ...]) -> None:
    monkeypatch.setenv("HPTRANSFER_DEVICE", named)
    assert gpus() == found


def test_a_machine_without_a_driver_has_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("HPTRANSFER_DEVICE", raising=False)
    monkeypatch.setattr(gpus_module, "_DRIVER", tmp_path / "none")
    assert gpus() == ()


def test_as_many_workers_as_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "gpus", lambda: ("cuda:0", "cuda:1", "cuda:2"))
    assert LocalConfig().slots() == 3
    monkeypatch.setattr(local, "gpus", tuple)
    assert LocalConfig().slots() == cores()


def test_a_worker_is_told_its_gpu_and_compiles_on_all_cores() -> None:
    told = environment(1, "cuda:1")
    assert told["HPTRANSFER_DEVICE"] == "cuda:1"
    assert told["TORCHINDUCTOR_COMPILE_THREADS"] == str(cores())
    assert told["OMP_NUM_THREADS"] == "1"
    assert "HPTRANSFER_DEVICE" not in environment(1)
    assert environment(2)["TORCHINDUCTOR_COMPILE_THREADS"] == "2"


def test_workers_take_the_gpus_in_turn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[str | None] = []

    def noted(threads: int, device: str | None) -> dict[str, str]:
        given.append(device)
        return environment(threads, device)

    monkeypatch.setattr(local, "gpus", lambda: ("cuda:0", "cuda:1"))
    monkeypatch.setattr(local, "environment", noted)
    LocalExecutor(LocalConfig(), 3, tmp_path, lambda report: None).shutdown()
    assert given == ["cuda:0", "cuda:1", "cuda:0"]
