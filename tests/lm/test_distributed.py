"""One run on two gloo processes, replicated and sharded, against the same run in one process."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from hptransfer.errors import SpecError
from hptransfer.lm.distributed import train_distributed
from hptransfer.lm.train import train_stack
from hptransfer.runs.config import RunRecord, RunSpec

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not dist.is_available() or not dist.is_gloo_available(), reason="no gloo"),
]
WORLD = 2
WAYS = ("replicas", "shards")


class Killed(Exception):
    pass


def specs(tiny: RunSpec) -> dict[str, RunSpec]:
    """A plain run, and one with everything that the update looks at."""
    train = tiny.train.model_copy(update={"steps": 5, "batch_size": 4, "evaluations": 2})
    rich = {"accumulation": 2, "clip": 0.5, "weight_decay": 0.1, "z_loss": 1e-3, "decay_kind": "independent"}
    return {
        "plain": tiny.model_copy(update={"train": train, "rule": "mup"}),
        "rich": tiny.model_copy(update={"train": train.model_copy(update=rich), "rule": "sp+embd"}),
    }


def worker(rank: int, port: int, found: dict[str, RunSpec], folder: str, results: Any) -> None:
    torch.set_num_threads(1)
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    dist.init_process_group("gloo", rank=rank, world_size=WORLD)
    try:
        for way in WAYS:
            shard = way == "shards"
            for name, run in found.items():
                results[way, name, rank] = train_distributed(run, shard=shard, device="cpu")
            results[way, "resumed", rank] = resumed(found["plain"], shard, Path(folder) / way)
            results[way, "refused", rank] = refusals(found["plain"], shard)
    finally:
        dist.destroy_process_group()


def resumed(run: RunSpec, shard: bool, path: Path) -> tuple[list[int], RunRecord]:
    def kill(number: int, losses: object) -> None:
        if number == 2:
            raise Killed

    with pytest.raises(Killed):
        train_distributed(run, shard=shard, device="cpu", on_step=kill, checkpoint=path, every_s=0)
    seen: list[int] = []
    record = train_distributed(
        run, shard=shard, device="cpu", on_step=lambda n, _: seen.append(n), checkpoint=path, every_s=0
    )
    return seen, record


def refusals(run: RunSpec, shard: bool) -> list[str]:
    train = run.train
    asked = [
        run.model_copy(update={"train": train.model_copy(update={"batch_size": 3})}),
        run.model_copy(update={"train": train.model_copy(update={"optimizer": "muon"})}),
        run.model_copy(update={"rule": "mup-tp5-table8"}),
    ]
    texts = []
    for one in asked if shard else asked[:1]:
        with pytest.raises(SpecError) as caught:
            train_distributed(one, shard=shard, device="cpu")
        texts.append(str(caught.value))
    return texts


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory, text_files: str) -> tuple[dict[str, RunSpec], Any]:
    """What each process got; one start of two processes serves every test."""
    from hptransfer.runs.config import DataConfig, ModelConfig, TrainConfig

    tiny = RunSpec(
        model=ModelConfig(width=16, depth=2, heads=2, context=12, vocab=280),
        data=DataConfig(source="text", files=text_files, validation_fraction=0.3, validation_tokens=96),
        train=TrainConfig(steps=20, batch_size=3, dtype="float64"),
        base_width=8,
        lr=0.01,
    )
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with mp.Manager() as manager:
        results = manager.dict()
        folder = str(tmp_path_factory.mktemp("checkpoints"))
        mp.spawn(worker, (port, specs(tiny), folder, results), nprocs=WORLD)
        return specs(tiny), dict(results)


def assert_same(record: RunRecord, alone: RunRecord) -> None:
    assert (record.run_id, record.status) == (alone.run_id, alone.status)
    assert record.loss == pytest.approx(alone.loss, abs=1e-9)
    assert record.loss_se == pytest.approx(alone.loss_se, abs=1e-9)
    assert record.initial_loss == pytest.approx(alone.initial_loss, abs=1e-9)
    assert [x for _, x in record.curve] == pytest.approx([x for _, x in alone.curve], abs=1e-9)
    assert [x for _, x in record.validation] == pytest.approx([x for _, x in alone.validation], abs=1e-9)


@pytest.mark.parametrize("rank", range(WORLD))
@pytest.mark.parametrize("name", ["plain", "rich"])
@pytest.mark.parametrize("way", WAYS)
def test_two_processes_are_one_run(way: str, name: str, rank: int, found: Any) -> None:
    runs, results = found
    (alone,) = train_stack([runs[name]], compiled=False)
    assert_same(results[way, name, rank], alone)
    assert results[way, name, rank].engine["processes"] == WORLD


@pytest.mark.parametrize("way", WAYS)
def test_a_killed_run_goes_on_bit_for_bit(way: str, found: Any) -> None:
    for rank in range(WORLD):
        seen, record = found[1][way, "resumed", rank]
        whole = found[1][way, "plain", rank]
        assert seen in ([2, 3, 4], [3, 4])
        assert (record.loss, record.curve, record.validation) == (whole.loss, whole.curve, whole.validation)


def test_what_cannot_be_divided_is_refused(found: Any) -> None:
    assert "must divide batch_size, but got 2 x 1 and batch_size=3" in found[1]["replicas", "refused", 0][0]
    _, muon, multipliers = found[1]["shards", "refused", 0]
    assert "muon must have whole matrices" in muon
    assert "rule without forward multipliers, but mup-tp5-table8 has them" in multipliers


def test_torchrun(found: Any, tmp_path: Path) -> None:
    run = found[0]["plain"]
    (tmp_path / "run.json").write_text(run.model_dump_json())
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [sys.executable, *launch, "-m", "hptransfer.lm.distributed", str(tmp_path / "run.json"), "--shard"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "HPTRANSFER_DEVICE": "cpu"},
    )
    record = json.loads(done.stdout.strip().splitlines()[-1])
    assert record["run_id"] == run.run_id
    assert record["loss"] == found[1]["shards", "plain", 0].loss
