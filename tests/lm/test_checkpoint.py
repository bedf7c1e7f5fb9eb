"""A stack that was killed and started again gives what it would have given, bit for bit."""

import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import numpy as np
import pytest
import torch

from hptransfer.errors import CheckpointError
from hptransfer.lm.checkpoint import Progress, read_checkpoint, write_checkpoint
from hptransfer.lm.train import train_stack
from hptransfer.runs.config import ProbeConfig, RunRecord, RunSpec


class Killed(BaseException):
    pass


def changed(run: RunSpec, **train: object) -> RunSpec:
    return run.model_copy(update={"train": run.train.model_copy(update=train)})


def killed_at(runs: list[RunSpec], step: int, path: Path, every_s: float = 0.0) -> None:
    def kill(number: int, losses: object) -> None:
        if number == step:
            raise Killed

    with pytest.raises(Killed):
        train_stack(runs, compiled=False, on_step=kill, checkpoint=path, every_s=every_s)


def numbers(record: RunRecord) -> tuple[object, ...]:
    """All that a record says but how long it took and that it was resumed."""
    losses = (record.loss, record.loss_se, record.initial_loss, record.best_loss, record.best_step)
    return record.run_id, record.status, *losses, record.curve, record.validation, str(record.probes)


@pytest.mark.parametrize("optimizer", ["adamw", "muon", "sgd"])
@pytest.mark.parametrize("step", [0, 4])
def test_a_killed_stack_goes_on_bit_for_bit(tiny: RunSpec, tmp_path: Path, optimizer: str, step: int) -> None:
    run = changed(tiny, steps=8, optimizer=optimizer, dtype="float32", evaluations=3)
    probes = ProbeConfig(every=2)
    runs = [
        run.model_copy(update={"lr": lr, "seed": i, "probes": probes}) for i, lr in enumerate((0.01, 0.03))
    ]
    path = tmp_path / "deep" / "stack.safetensors"
    killed_at(runs, step, path)
    seen: list[int] = []
    again = train_stack(
        runs, compiled=False, on_step=lambda n, _: seen.append(n), checkpoint=path, every_s=1e9
    )
    assert seen == list(range(step + 1, 8))
    assert again[0].engine["resumed_at"] == step + 1
    whole = train_stack(runs, compiled=False)
    assert [numbers(r) for r in again] == [numbers(r) for r in whole]
    assert len(whole[0].validation) == 3


def test_a_short_stack_writes_nothing(tiny: RunSpec, tmp_path: Path) -> None:
    train_stack([changed(tiny, steps=2)], compiled=False, checkpoint=tmp_path / "x", every_s=600)
    assert not list(tmp_path.iterdir())


def test_other_runs_and_damaged_files_begin_anew(tiny: RunSpec, tmp_path: Path) -> None:
    run, path = changed(tiny, steps=4), tmp_path / "x.safetensors"
    killed_at([run], 2, path)
    whole = path.read_bytes()

    def first_step_of(runs: list[RunSpec]) -> int:
        seen: list[int] = []
        train_stack(runs, compiled=False, on_step=lambda n, _: seen.append(n), checkpoint=path, every_s=1e9)
        return seen[0]

    assert first_step_of([run]) == 3
    assert first_step_of([run.model_copy(update={"lr": 0.5})]) == 0
    assert first_step_of([run, run.model_copy(update={"seed": 1})]) == 0
    for damaged in (whole[:-100], b"", b"x" * 500, whole[:8] + b"[" + whole[9:]):
        path.write_bytes(damaged)
        assert first_step_of([run]) == 0


def small_state() -> dict[str, torch.Tensor]:
    return {"weight": torch.arange(300_000.0), "alive": torch.tensor([True])}


def test_what_is_written_is_read(tmp_path: Path) -> None:
    state = ({"a.b": (torch.randn(3, 2), torch.randn(1).double())}, torch.tensor([True, False]))
    losses = np.array([[1.0, np.nan], [np.inf, -0.0]])
    progress = Progress(("r1", "r2"), "text", 7, 1.5, {"found": [1e-300, float("nan")]})
    path = tmp_path / "x"
    write_checkpoint(path, state, {"training": losses}, progress)
    found = read_checkpoint(path, state, ["r1", "r2"], "text")
    assert found is not None
    restored, arrays, about = found
    assert torch.equal(restored[0]["a.b"][0], state[0]["a.b"][0])
    assert restored[0]["a.b"][1].dtype == torch.float64
    assert torch.equal(restored[1], state[1])
    np.testing.assert_array_equal(arrays["training"], losses)
    assert str(about) == str(progress)
    assert read_checkpoint(path, state, ["r2", "r1"], "text") is None
    assert read_checkpoint(path, state, ["r1", "r2"], "other text") is None
    other = ({"a.b": (torch.randn(3, 3), torch.randn(1).double())}, state[1])
    assert read_checkpoint(path, other, ["r1", "r2"], "text") is None
    assert [p.name for p in tmp_path.iterdir()] == ["x"]


FULL = """
    import resource, signal, sys
    from pathlib import Path
    import torch
    from hptransfer.errors import CheckpointError
    from hptransfer.lm.checkpoint import Progress, write_checkpoint

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))  # what a full disk does, half way
    try:
        state = {"weight": torch.arange(300_000.0)}
        write_checkpoint(Path(sys.argv[1]), state, {}, Progress(("r",), "t", 2, 0.0))
    except CheckpointError as error:
        print(error)
"""


@pytest.mark.skipif(os.name != "posix", reason="no limit on the size of files")
def test_a_full_disk_keeps_the_checkpoint_before(tmp_path: Path) -> None:
    path = tmp_path / "x"
    write_checkpoint(path, small_state(), {}, Progress(("r",), "t", 1, 0.0))
    done = subprocess.run(
        [sys.executable, "-c", dedent(FULL), str(path)], capture_output=True, text=True, check=True
    )
    assert f"the checkpoint {path} must be writable, but: " in done.stdout
    assert "the one before is kept" in done.stdout
    assert done.stdout.count("\n") == 1
    found = read_checkpoint(path, small_state(), ["r"], "t")
    assert found is not None
    assert found[2].step == 1
    assert [p.name for p in tmp_path.iterdir()] == ["x"]


def test_an_unwritable_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match="there is none before it"):
        write_checkpoint(tmp_path / "file" / "x", small_state(), {}, Progress(("r",), "t", 1, 0.0))
