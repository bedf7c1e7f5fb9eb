"""One run trained on many devices, through torchrun, where a model is too large for a stack.

    torchrun --nproc-per-node 8 -m hptransfer.lm.distributed run.json --shard

trains the run that `run.json` holds (a `RunSpec`), as a stack of one, and prints its record as one line of
JSON. It is a tool of its own, which no study calls. With replicas (as DDP) the gradient's mean over the
processes goes into the very update that a stack takes. With shards, FSDP2 holds the weights, and each process
updates its own part of every tensor.
"""

from __future__ import annotations

import argparse
import json
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from hptransfer.errors import SpecError
from hptransfer.lm.checkpoint import Checkpoint
from hptransfer.lm.data import Corpus, load_corpus
from hptransfer.lm.device import chosen_device, move
from hptransfer.lm.evaluate import CHUNK, FloatArray
from hptransfer.lm.run_tensors import RunSettings, StepSettings, multiplied
from hptransfer.lm.stack import accumulating, stack_gradient, stack_update
from hptransfer.lm.step import (
    RunState,
    Step,
    Weights,
    clipped,
    initial_moments,
    run_logits,
    run_objective,
    sequence_losses,
)
from hptransfer.lm.training import OnStep, Plan, Training
from hptransfer.parametrization.optimizers import get_optimizer
from hptransfer.runs.config import RunRecord, RunSpec


def train_distributed(
    run: RunSpec,
    *,
    shard: bool = False,
    device: str | None = None,
    on_step: OnStep | None = None,
    checkpoint: Path | None = None,
    every_s: float = 600.0,
) -> RunRecord:
    """Train one run on every process of the default group; each returns the same record.

    Args:
        run: whose batch is divided evenly among the processes; its probes are not measured.
        shard: keep weights and moments in shards (FSDP2), not whole in every process.
        device: of this process; see `hptransfer.lm.device.chosen_device`.
        on_step: called after every step with its number and the training loss.
        checkpoint: file to resume from and to write, one a process (`.0`, `.1`, ...).
        every_s: seconds between two writings.

    Raises:
        SpecError: the batch does not divide, or shards are asked of what needs whole tensors.
    """
    device = chosen_device(device, run.train.dtype)
    _check(run, shard)
    corpus = _first_alone(lambda: load_corpus(run.data, run.model))
    file = None if checkpoint is None else checkpoint.with_name(f"{checkpoint.name}.{dist.get_rank()}")
    plan = Plan(corpus, False, device, on_step, file, every_s)
    training = (_Sharded if shard else _Replicated)([run], plan, file)
    training.train()
    return training.records()[0]


class _Replicated(Training):
    """Every process holds the run, trains on its part of each batch, and steps with the mean gradient."""

    sharded = False

    def made_prober(self) -> None:
        return None

    def step_function(self) -> Step:
        local = stack_gradient(self.model, self.key)

        def gradient(weights: Weights, settings: RunSettings, tokens: Tensor) -> tuple[Weights, Tensor]:
            grads, loss = local(weights, settings, tokens)
            return {name: _mean(grad) for name, grad in grads.items()}, _mean(loss)

        return accumulating(gradient, stack_update(self.key), self.key.train.accumulation)

    def tokens(self) -> Tensor:
        return super().tokens()[:, dist.get_rank() :: dist.get_world_size()]

    def due(self) -> bool:
        """As the first process finds."""
        if self.file is None:
            return False
        flag = torch.tensor(int(super().due()), device=self.plan.device)
        dist.broadcast(flag, 0)
        return bool(flag)

    def write(self) -> None:
        kept = self.file
        assert kept is not None
        self.file = kept.with_name(f"{kept.name}.next")
        super().write()
        dist.barrier()  # all have written before any gives up the one before
        self.file = self.file.replace(kept)

    def kept(self) -> Checkpoint | None:
        """What the checkpoint holds, where every process has one of the same step."""
        found = super().kept()
        steps: list[int | None] = [None] * dist.get_world_size()
        dist.all_gather_object(steps, None if found is None else found[2].step)
        return found if len(set(steps)) == 1 else None

    def mark(self) -> str:
        return f"{super().mark()} {dist.get_rank()}/{dist.get_world_size()} {self.sharded}"

    def engine(self) -> dict[str, Any]:
        return {
            "processes": dist.get_world_size(),
            "sharded": self.sharded,
            "device": self.plan.device,
            "threads": torch.get_num_threads(),
            "corpus": self.plan.corpus.sha256[:16],
        }


class _Sharded(_Replicated):
    """FSDP2 gathers a block's weights when its turn comes, and scatters its gradient's mean."""

    sharded = True

    def placed(self, state: RunState) -> RunState:
        """The state's weights are this process's parts of FSDP2's own tensors."""
        from torch.distributed.fsdp import fully_shard

        # A tied readout is the embedding.
        self.model.load_state_dict({name: w[0] for name, w in state.weights.items()}, strict=False)
        for block in self.model.blocks:
            fully_shard(block)
        fully_shard(self.model)
        self.single: RunSettings = torch.utils._pytree.tree_map(lambda x: x[0], self.settings)
        self.parameters: dict[str, Any] = dict(self.model.named_parameters())
        weights = {name: p.to_local().detach()[None] for name, p in self.parameters.items()}
        return RunState(weights, initial_moments(self.key, weights), move(state.alive, self.plan.device))

    def step_function(self) -> Step:
        # Each process holds but a part of every tensor, so the gradient's norm is taken before the update.
        unclipped = self.key._replace(train=self.key.train.model_copy(update={"clip": None}))
        stepped = stack_update(unclipped)

        def update(
            state: RunState, settings: RunSettings, now: StepSettings, grads: Weights, loss: Tensor
        ) -> RunState:
            if self.key.train.clip is not None:
                grads = clipped(grads, settings.clip, _summed)
            return stepped(state, settings, now, grads, loss)

        return accumulating(self._gradient, update, self.key.train.accumulation)

    def losses(self, sequences: Tensor) -> FloatArray:
        with torch.no_grad():
            parts = [
                sequence_losses(self._logits(tokens), tokens) for tokens in torch.split(sequences, CHUNK)
            ]
        found: np.ndarray = torch.cat(parts).double().cpu().numpy()[None]
        return found

    def _gradient(self, _: Weights, __: RunSettings, tokens: Tensor) -> tuple[Weights, Tensor]:
        objective, loss = run_objective(self.key, self._logits(tokens[0]), self.single, tokens[0])
        objective.backward()  # type: ignore[no-untyped-call]
        grads = {name: parameter.grad.to_local()[None] for name, parameter in self.parameters.items()}
        self.model.zero_grad()
        return grads, _mean(loss.detach())[None]

    def _logits(self, tokens: Tensor) -> Tensor:
        return run_logits(self.model, self.key, None, self.single, tokens)


def _check(run: RunSpec, shard: bool) -> None:
    train, world = run.train, dist.get_world_size()
    if train.batch_size % (world * train.accumulation):
        raise SpecError(
            f"processes x accumulation must divide batch_size, but got {world} x "
            f"{train.accumulation} and batch_size={train.batch_size}"
        )
    if shard and get_optimizer(train.optimizer).matrices_only:
        raise SpecError(f"{train.optimizer} must have whole matrices, but got shards; train without --shard")
    if shard and multiplied([run]):
        raise SpecError(
            f"a sharded run must have a rule without forward multipliers, but {run.rule} has them; "
            "train without --shard, or by an equal rule made of init and LR"
        )


def _summed(value: Tensor) -> Tensor:
    """Over all processes."""
    value = value.clone()
    dist.all_reduce(value)
    return value


def _mean(value: Tensor) -> Tensor:
    return _summed(value) / dist.get_world_size()


def _first_alone(load: Callable[[], Corpus]) -> Corpus:
    """Load on the first process of each machine first, so that one alone fills the cache."""
    local = int(os.environ.get("LOCAL_RANK", dist.get_rank()))
    if local == 0:
        found = load()
    dist.barrier()
    return found if local == 0 else load()


def main(arguments: Sequence[str] | None = None) -> None:
    """The command of one process of torchrun."""
    parser = argparse.ArgumentParser(prog="hptransfer.lm.distributed")
    parser.add_argument("run", type=Path, help="JSON of a RunSpec")
    parser.add_argument("--shard", action="store_true", help="shard weights and moments (FSDP2)")
    parser.add_argument("--checkpoint", type=Path)
    options = parser.parse_args(arguments)
    device = chosen_device()
    if device == "cuda":
        device = f"cuda:{os.environ['LOCAL_RANK']}"
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.startswith("cuda") else "gloo")
    try:
        run = RunSpec.model_validate_json(options.run.read_text())
        found = train_distributed(run, shard=options.shard, device=device, checkpoint=options.checkpoint)
        if dist.get_rank() == 0:
            plain = asdict(found) | {"loss": None if math.isnan(found.loss) else found.loss}
            print(json.dumps(plain), flush=True)
    finally:
        dist.destroy_process_group()


if __name__ == "__main__":
    main()
