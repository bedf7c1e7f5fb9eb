"""GPUs of this machine: which there are, and that local workers take them in turn."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from hptransfer.workers import environment as environment_module
from hptransfer.workers import local
from hptransfer.workers.environment import cores, environment, gpus
from hptransfer.workers.local import LocalConfig, LocalExecutor


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine whose driver has two devices, and a torch for them."""
    for name in ("nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm"):
        (tmp_path / name).touch()
    monkeypatch.setattr(environment_module, "_DEVICES", tmp_path)
    monkeypatch.setattr(environment_module, "version", lambda package: "2.11.0+cu130")
    monkeypatch.delenv("HPTRANSFER_DEVICE", raising=False)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


@pytest.mark.usefixtures("two_gpus")
@pytest.mark.parametrize(
    ("named", "visible", "found"),
    [
        ("", None, ("cuda:0", "cuda:1")),
        ("auto", None, ("cuda:0", "cuda:1")),
        ("cuda", None, ("cuda:0", "cuda:1")),
        ("cuda", "1", ("cuda:0",)),
        ("", "", ()),
        ("", "-1", ()),
        ("", "0,1,2,3", ("cuda:0", "cuda:1")),
        ("cuda:1", None, ("cuda:1",)),
        ("cpu", None, ()),
        ("mps", None, ()),
    ],
)
def test_the_gpus_of_a_machine(
    monkeypatch: pytest.MonkeyPatch, named: str, visible: str | None, found: tuple[str, ...]
) -> None:
    monkeypatch.setenv("HPTRANSFER_DEVICE", named)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert gpus() == found


@pytest.mark.usefixtures("two_gpus")
@pytest.mark.parametrize("build", ["2.13.0+cpu", None])
def test_a_torch_that_has_no_cuda_uses_none(monkeypatch: pytest.MonkeyPatch, build: str | None) -> None:
    def version(package: str) -> str:
        if build is None:
            raise PackageNotFoundError
        return build

    monkeypatch.setattr(environment_module, "version", version)
    assert gpus() == ()


def test_a_machine_without_a_driver_has_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("HPTRANSFER_DEVICE", raising=False)
    monkeypatch.setattr(environment_module, "version", lambda package: "2.11.0")
    monkeypatch.setattr(environment_module, "_DEVICES", tmp_path)
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
