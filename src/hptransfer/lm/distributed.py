"""One run trained on many devices, through torchrun, where a model is too large for a stack.

    torchrun --nproc-per-node 8 -m hptransfer.lm.distributed run.json --shard

trains the run that `run.json` holds (a `RunSpec`) and prints its record as one line of JSON. Loss, gradient
and optimizer are those of `hptransfer.lm.step`, and so are the rules. With replicas (as DDP) the gradient's
mean over the processes goes into the very step that a stack takes. With shards, FSDP2 holds the weights, and
each process steps its own part of every tensor.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from hptransfer.errors import SpecError
from hptransfer.lm.checkpoint import Progress, read_checkpoint, write_checkpoint
from hptransfer.lm.data import Corpus, load_corpus, validation_sequences
from hptransfer.lm.device import chosen_device, move
from hptransfer.lm.evaluate import CHUNK, Losses, evaluation_steps, record
from hptransfer.lm.init import initial_weights
from hptransfer.lm.model import Decoder
from hptransfer.lm.precision import arithmetic
from hptransfer.lm.run_tensors import (
    RunSettings,
    StepSettings,
    multiplied,
    stack_settings,
    stack_step_settings,
)
from hptransfer.lm.stack import template
from hptransfer.lm.step import (
    CompileKey,
    RunState,
    Weights,
    initial_moments,
    run_gradient,
    run_logits,
    run_update,
    sequence_losses,
)
from hptransfer.lm.train import OnStep, batches
from hptransfer.parametrization.optimizers import get_optimizer
from hptransfer.runs.config import RunRecord, RunSpec

Gradient = Callable[[Tensor], tuple[Weights, Tensor]]
Evaluate = Callable[[Tensor], Tensor]


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
        run: whose batch is divided evenly among the processes.
        shard: keep weights and moments in shards (FSDP2), not whole in every process.
        device: of this process; see `hptransfer.lm.device.chosen_device`.
        on_step: called after every step with its number and the training loss.
        checkpoint: file to resume from and to write, one a process (`.0`, `.1`, ...).
        every_s: seconds between two writings.

    Raises:
        SpecError: the batch does not divide, or shards are asked of what needs whole tensors.
    """
    return _Distributed(run, shard, chosen_device(device, run.train.dtype), checkpoint, every_s).train(
        on_step
    )


class _Distributed:
    """One run in the middle of its training."""

    def __init__(
        self, run: RunSpec, shard: bool, device: str, checkpoint: Path | None, every_s: float
    ) -> None:
        self.run, self.shard, self.device, self.every_s = run, shard, device, every_s
        self.rank, self.world = dist.get_rank(), dist.get_world_size()
        self.key = CompileKey(run.model.structure(), run.train.structure(), multiplied([run]))
        self._check()
        self.corpus: Corpus = _first_alone(lambda: load_corpus(run.data, run.model))
        self.settings: RunSettings = _single(move(stack_settings([run]), device))
        self.held_out = torch.from_numpy(validation_sequences(self.corpus, run.data, run.model)).to(device)
        weights = {name: weight.to(device) for name, weight in initial_weights(run).items()}
        self.gradient, self.evaluate, self.weights = (
            self._sharded(weights) if shard else self._replicated(weights)
        )
        # Where a process holds but a part of a tensor, the gradient's norm is taken before the update.
        unclipped = self.key.train.model_copy(update={"clip": None})
        self.update = run_update(self.key._replace(train=unclipped))
        alive = torch.ones((), dtype=torch.bool, device=device)
        self.state = RunState(self.weights, initial_moments(self.key, self.weights), alive)
        self.file = None if checkpoint is None else checkpoint.with_name(f"{checkpoint.name}.{self.rank}")
        self.evaluated = evaluation_steps(run.steps, run.train.evaluations)
        self.arrays = {
            "training": np.full(run.steps, np.nan),
            "held_out": np.full((len(self.evaluated), len(self.held_out)), np.nan),
            "initial": np.full(1, np.nan),
        }
        self.step = self._resumed()

    def train(self, on_step: OnStep | None) -> RunRecord:
        """Take the steps that are left."""
        start = written = time.perf_counter()
        if self.step == 0:
            self.arrays["initial"][0] = self._losses(self.held_out[:CHUNK]).mean()
        while self.step < self.run.steps and bool(self.state.alive):
            self._take()
            if self.file and _agreed(time.perf_counter() - written >= self.every_s, self.device):
                self._write()
                written = time.perf_counter()
            if on_step is not None:
                on_step(self.step - 1, [float(self.arrays["training"][self.step - 1])])
        losses = Losses(
            self.arrays["training"],
            float(self.arrays["initial"][0]),
            self.evaluated,
            self.arrays["held_out"],
        )
        engine = {
            "processes": self.world,
            "sharded": self.shard,
            "device": self.device,
            "threads": torch.get_num_threads(),
            "corpus": self.corpus.sha256[:16],
        }
        return record(self.run, losses, engine, time.perf_counter() - start)

    def _take(self) -> None:
        """One step: this process's part of the batch, the mean gradient of all, the update."""
        tokens = batches([self.run], self.corpus, self.step)[0][self.rank :: self.world].to(self.device)
        now: StepSettings = _single(move(stack_step_settings([self.run], self.step), self.device))
        grads, loss = self._accumulated(tokens)
        loss = _mean(loss)
        if self.key.train.clip is not None:
            grads = self._clipped(grads)
        after = self.update(self.state, self.settings, now, grads, loss)
        with torch.no_grad():  # in place: FSDP2 holds these very tensors
            torch.utils._pytree.tree_map_(lambda old, new: old.copy_(new), self.state, after)
        self.arrays["training"][self.step] = float(loss) if bool(self.state.alive) else math.nan
        self.step += 1
        if self.step in self.evaluated:
            self.arrays["held_out"][self.evaluated.index(self.step)] = self._losses(self.held_out)

    def _accumulated(self, tokens: Tensor) -> tuple[Weights, Tensor]:
        """Mean gradient and loss of a batch that is worked through in parts."""
        parts = tokens.chunk(self.run.train.accumulation)
        grads, loss = self.gradient(parts[0])
        for part in parts[1:]:
            more, other = self.gradient(part)
            grads, loss = {name: grad + more[name] for name, grad in grads.items()}, loss + other
        return {name: grad / len(parts) for name, grad in grads.items()}, loss / len(parts)

    def _clipped(self, grads: Weights) -> Weights:
        square = torch.stack([grad.square().sum() for grad in grads.values()]).sum()
        if self.shard:
            dist.all_reduce(square)
        factor = (self.settings.clip / (square.sqrt() + 1e-6)).clamp(max=1.0)
        return {name: grad * factor for name, grad in grads.items()}

    def _replicated(self, weights: Weights) -> tuple[Gradient, Evaluate, Weights]:
        model = template(self.key, self.device)
        local = run_gradient(model, self.key)

        def gradient(tokens: Tensor) -> tuple[Weights, Tensor]:
            grads, loss = local(weights, self.settings, tokens)
            return {name: _mean(grad) for name, grad in grads.items()}, loss

        def losses(tokens: Tensor) -> Tensor:
            return sequence_losses(run_logits(model, self.key, weights, self.settings, tokens), tokens)

        return gradient, losses, weights

    def _sharded(self, weights: Weights) -> tuple[Gradient, Evaluate, Weights]:
        """FSDP2 gathers a block's weights when its turn comes, and scatters its gradient's mean."""
        from torch.distributed.fsdp import fully_shard

        model = template(self.key, self.device)
        model.load_state_dict(weights, strict=False)  # a tied readout is the embedding
        for block in model.blocks:
            fully_shard(block)
        fully_shard(model)
        parameters = dict(model.named_parameters())

        def losses(tokens: Tensor) -> Tensor:
            return sequence_losses(self._logits(model, tokens), tokens)

        def gradient(tokens: Tensor) -> tuple[Weights, Tensor]:
            logits = self._logits(model, tokens)
            loss = sequence_losses(logits, tokens).mean()
            objective = loss
            if self.key.train.z_loss:
                objective = loss + self.settings.z_loss * logits.logsumexp(dim=-1).square().mean()
            objective.backward()  # type: ignore[no-untyped-call]
            grads = {name: weight.grad.to_local() for name, weight in parameters.items()}  # type: ignore[union-attr]
            model.zero_grad()
            return grads, loss.detach()

        local = {name: weight.to_local().detach() for name, weight in parameters.items()}  # type: ignore[attr-defined]
        return gradient, losses, local

    def _logits(self, model: Decoder, tokens: Tensor) -> Tensor:
        s = self.settings
        scales = (s.attention, s.logits) if self.key.model.tied else (s.attention,)
        with arithmetic(self.key.train, tokens.device.type):
            logits: Tensor = model(tokens[:, :-1], *scales)
        return logits.to(s.attention.dtype)

    def _losses(self, sequences: Tensor) -> np.ndarray:
        """Held-out loss of every sequence; every process goes through all of them, so that all know it."""
        with torch.no_grad():
            parts = [self.evaluate(tokens) for tokens in torch.split(sequences, CHUNK)]
        found: np.ndarray = torch.cat(parts).double().cpu().numpy()
        return found

    def _check(self) -> None:
        train = self.run.train
        if train.batch_size % (self.world * train.accumulation):
            raise SpecError(
                f"processes x accumulation must divide batch_size, but got {self.world} x "
                f"{train.accumulation} and batch_size={train.batch_size}"
            )
        if self.shard and get_optimizer(train.optimizer).matrices_only:
            raise SpecError(
                f"{train.optimizer} must have whole matrices, but got shards; train without --shard"
            )
        if self.shard and self.key.multiplied:
            raise SpecError(
                f"a sharded run must have a rule without forward multipliers, but {self.run.rule} has them; "
                "train without --shard, or by an equal rule made of init and LR"
            )

    def _write(self) -> None:
        assert self.file is not None
        ahead = self.file.with_name(f"{self.file.name}.next")
        progress = Progress((self.run.run_id,), self._mark(), self.step, 0.0)
        write_checkpoint(ahead, self.state, self.arrays, progress)
        dist.barrier()  # all have written before any gives up the one before
        ahead.replace(self.file)

    def _resumed(self) -> int:
        """Steps done by the checkpoint, where every process has one of the same step; else 0."""
        found = None
        if self.file is not None:
            found = read_checkpoint(self.file, self.state, [self.run.run_id], self._mark())
        steps = [0] * self.world
        dist.all_gather_object(steps, 0 if found is None else found[2].step)
        if found is None or len(set(steps)) > 1:
            return 0
        with torch.no_grad():
            torch.utils._pytree.tree_map_(lambda old, new: old.copy_(new), self.state, found[0])
        self.arrays = found[1]
        return found[2].step

    def _mark(self) -> str:
        return f"{self.corpus.sha256} {self.rank}/{self.world} {self.shard}"


def _single(stacked: Any) -> Any:
    """The only member of a stack's settings or step settings."""
    return torch.utils._pytree.tree_map(lambda x: x[0], stacked)


def _mean(value: Tensor) -> Tensor:
    """Over all processes."""
    value = value.clone()
    dist.all_reduce(value)
    return value / dist.get_world_size()


def _agreed(wish: bool, device: str) -> bool:
    """The first process's wish."""
    flag = torch.tensor(int(wish), device=device)
    dist.broadcast(flag, 0)
    return bool(flag)


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
