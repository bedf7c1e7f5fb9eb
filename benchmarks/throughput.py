"""Throughput of a learning-rate grid: ours against one run at a time, on all cores of this machine.

Contenders, each on the same model, initial weights, batches and schedule:

    ours           the grid in stacks, one process of one thread a core (float32)
    ours eager     the same, not compiled
    ours bf16      compiled, with `autocast`
    plain          a nanoGPT-style loop, eager, fused AdamW, every core's thread (float32)
    plain a core   the same loop in as many processes of one thread as there are cores, a run each
    plain bf16     plain under bfloat16 autocast
    compiled       plain, with torch.compile
    gpt2           transformers' GPT2LMHeadModel of the same shape, its biases held at zero, in the same loop

Each lives in a process of its own and takes blocks of steps in turn with the others, so that a noisy machine
disturbs all alike; the time of a contender is the median of its blocks. `loss` is the held-out loss of the
grid's middle run after the steps that it took: within 0.02 of plain's, or the line is marked.
`share` is the model's FLOPs a second over the rate of a large matrix product on the same threads, measured in
float32 and (after the slash) in bfloat16; `memory` the peak resident memory of the contender's processes.

    python benchmarks/throughput.py --widths 32,64,128,256,512
"""

from __future__ import annotations

import argparse
import multiprocessing as mp
import os
import resource
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from multiprocessing.connection import Connection

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hptransfer.lm.data import batch, load_corpus, validation_sequences
from hptransfer.lm.device import move
from hptransfer.lm.evaluate import evaluate
from hptransfer.lm.init import initial_weights
from hptransfer.lm.run_tensors import stack_clock, stack_settings
from hptransfer.lm.stack import initial_state, step_of, template
from hptransfer.lm.train import batches
from hptransfer.runs.config import ModelConfig, RunSpec, TrainConfig
from hptransfer.runs.flops import run_flops
from hptransfer.runs.schedule import schedule_factor

Steps = Callable[[int], None]
Loss = Callable[[], float]
TOLERANCE = 0.02  # nats; bfloat16 products move a loss by less
NAMES = ("ours", "ours eager", "ours bf16", "plain", "plain a core", "plain bf16", "compiled", "gpt2")


def grid(width: int, runs: int, steps: int, device: str, autocast: bool) -> list[RunSpec]:
    """LRs half an octave apart around the best at width 32, by muP from there."""
    train = TrainConfig(steps=steps, autocast=autocast)
    model = ModelConfig(width=width, heads=4 if device == "cpu" else max(4, width // 64))
    return [
        RunSpec(model=model, train=train, base_width=32, lr=2.0 ** (-6 + (i - runs // 2) / 2) * 32 / width)
        for i in range(runs)
    ]


class Plain(nn.Module):
    """nanoGPT's forward pass, with the tensor names of the reference decoder."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.model = template_of(config)
        self.heads = config.query_heads

    def forward(self, tokens: Tensor) -> Tensor:
        """Mean cross-entropy of the sequences."""
        model, (size, length) = self.model, tokens[:, :-1].shape
        x = model.token_embedding(tokens[:, :-1]) + model.position_embedding.weight
        for block in model.blocks:
            q, k, v = (
                part.view(size, length, self.heads, -1).transpose(1, 2)
                for part in block.qkv(block.attention_norm(x)).chunk(3, dim=-1)
            )
            mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
            x = x + block.projection(mixed.transpose(1, 2).reshape(size, length, -1))
            x = x + block.mlp_out(F.gelu(block.mlp_in(block.mlp_norm(x))))
        logits = model.readout(model.norm(x))
        return F.cross_entropy(logits.float().flatten(0, 1), tokens[:, 1:].flatten())


class GPT2(nn.Module):
    """transformers' GPT-2 with the reference decoder's weights; what the decoder lacks stays at zero."""

    def __init__(self, run: RunSpec) -> None:
        super().__init__()
        from transformers import GPT2Config, GPT2LMHeadModel

        model = run.model
        self.model = GPT2LMHeadModel(
            GPT2Config(
                vocab_size=model.vocab, n_positions=model.context, n_embd=model.width, n_layer=model.depth,
                n_head=model.query_heads, n_inner=model.hidden, activation_function="gelu", resid_pdrop=0.0,
                embd_pdrop=0.0, attn_pdrop=0.0, tie_word_embeddings=False, use_cache=False,
                bos_token_id=None, eos_token_id=None,
            )
        )  # fmt: skip
        names = {
            "token_embedding": "wte", "position_embedding": "wpe", "blocks": "h", "attention_norm": "ln_1",
            "qkv": "attn.c_attn", "projection": "attn.c_proj", "mlp_norm": "ln_2", "mlp_in": "mlp.c_fc",
            "mlp_out": "mlp.c_proj", "norm": "ln_f",
        }  # fmt: skip
        found = dict(self.model.named_parameters())
        with torch.no_grad():
            for name, weight in initial_weights(run).items():
                path = ".".join(names.get(part, part) for part in name.split("."))
                target = found["lm_head.weight" if path.startswith("readout") else f"transformer.{path}"]
                target.copy_(weight if target.shape == weight.shape and ".c_" not in path else weight.T)
        for name, weight in found.items():
            if name.endswith("bias"):
                weight.data.zero_()
                weight.requires_grad_(False)

    def forward(self, tokens: Tensor) -> Tensor:
        """Mean cross-entropy of the sequences."""
        logits = self.model(input_ids=tokens[:, :-1]).logits
        return F.cross_entropy(logits.float().flatten(0, 1), tokens[:, 1:].flatten())


def template_of(config: ModelConfig) -> nn.Module:
    from hptransfer.lm.model import Decoder

    return Decoder(config)


def one_by_one(name: str, runs: Sequence[RunSpec], device: str) -> tuple[Steps, Loss]:
    """The grid's middle run in an ordinary loop."""
    run = runs[len(runs) // 2]
    corpus = load_corpus(run.data, run.model)
    if name == "gpt2":
        model: nn.Module = GPT2(run).to(device)
    else:
        model = Plain(run.model).to(device)
        model.model.load_state_dict(initial_weights(run))
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=run.lr, betas=run.train.betas, weight_decay=0.0, fused=True)
    scheduler = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda s: schedule_factor(run.train, run.steps, s)
    )
    forward = torch.compile(model) if name == "compiled" else model
    done = 0

    def cast() -> torch.autocast:
        return torch.autocast(torch.device(device).type, torch.bfloat16, enabled=name == "plain bf16")

    def steps(count: int) -> None:
        nonlocal done
        for _ in range(count):
            tokens = torch.from_numpy(batch(corpus, run.model, run.train.batch_size, 0, done)).to(device)
            with cast():
                loss = forward(tokens)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            scheduler.step()
            loss.item()
            done += 1

    def held_out() -> float:
        with torch.no_grad(), cast():
            return float(
                model(torch.from_numpy(validation_sequences(corpus, run.data, run.model)[:64]).to(device))
            )

    return steps, held_out


def stacked(runs: Sequence[RunSpec], middle: int | None, compiled: bool, device: str) -> tuple[Steps, Loss]:
    """Runs in one stack; `middle` is where among them the grid's middle run is, if it is there."""
    shape, state = initial_state(runs)
    state, settings = move(state, device), move(stack_settings(runs), device)
    corpus = load_corpus(runs[0].data, runs[0].model)
    step, done = step_of(shape, compiled, device), 0

    def steps(count: int) -> None:
        nonlocal done, state
        for _ in range(count):
            tokens, clock = move((batches(runs, corpus, done), stack_clock(runs, done)), device)
            state, loss = step(state, settings, clock, tokens)
            loss.cpu()
            done += 1

    def held_out() -> float:
        if middle is None:
            return float("nan")
        sequences = torch.from_numpy(validation_sequences(corpus, runs[0].data, runs[0].model)[:64])
        model = template(shape, device)
        return float(evaluate(model, shape, state, settings, sequences.to(device))[middle].mean())

    return steps, held_out


def contender(
    pipe: Connection, name: str, runs: Sequence[RunSpec], middle: int | None, threads: int, device: str
) -> None:
    """The process of a contender: blocks of steps on demand, then the loss and the peak memory."""
    torch.set_num_threads(threads)
    if name.startswith("ours"):
        steps, held_out = stacked(runs, middle, name != "ours eager", device)
    else:
        steps, held_out = one_by_one(name, runs, device)
    while (count := pipe.recv()) is not None:
        start = time.perf_counter()
        steps(count)
        pipe.send(time.perf_counter() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    if device != "cpu":
        peak = torch.cuda.max_memory_allocated() / 2**20
    pipe.send((held_out(), peak))


@dataclass
class Contender:
    """A contender's processes and what was measured of it."""

    name: str
    pipes: list[Connection]
    processes: list[mp.process.BaseProcess]
    at_once: int  # runs that a step of all its processes takes together
    blocks: list[float] = field(default_factory=list)  # run-steps a second of each block
    first_s: float = 0.0  # of the first step: compiling
    loss: float = float("nan")
    memory: float = 0.0  # MiB

    def take(self, steps: int) -> float:
        """Seconds of a block of steps, of the process that takes longest."""
        for pipe in self.pipes:
            pipe.send(steps)
        return max(pipe.recv() for pipe in self.pipes)

    def close(self) -> None:
        """End the processes and note what they leave."""
        for pipe in self.pipes:
            pipe.send(None)
        found = [pipe.recv() for pipe in self.pipes]
        self.loss = next((loss for loss, _ in found if loss == loss), float("nan"))
        self.memory = sum(peak for _, peak in found)
        for process in self.processes:
            process.join()


def started(name: str, width: int, options: argparse.Namespace) -> Contender:
    """Start a contender's processes: one a core for ours and for `plain a core`, one for the others."""
    total = 2 + options.blocks * options.steps
    runs = grid(width, options.runs, total, options.device, autocast=name.endswith("bf16"))
    parts, threads, middle = [runs], options.cores, len(runs) // 2
    if name.startswith("ours"):
        count = options.cores if options.device == "cpu" else 1
        cuts = [len(runs) * i // count for i in range(count + 1)]
        parts, threads = [runs[a:b] for a, b in pairwise(cuts)], 1
    elif name == "plain a core":
        parts, threads = [runs] * options.cores, 1
    pipes, processes, before = [], [], 0
    for part in parts:
        here, there = mp.get_context("spawn").Pipe()
        place = middle - before if 0 <= middle - before < len(part) else None
        before += len(part)
        os.environ["OMP_NUM_THREADS"] = str(threads)
        process = mp.get_context("spawn").Process(
            target=contender, args=(there, name, part, place, threads, options.device), daemon=True
        )
        process.start()
        pipes.append(here)
        processes.append(process)
    return Contender(name, pipes, processes, len(runs) if name.startswith("ours") else len(parts))


def gemm_rate(dtype: torch.dtype, threads: int, device: str) -> float:
    """FLOPs a second of a large matrix product."""
    torch.set_num_threads(threads)
    size = 2048 if device == "cpu" else 8192
    a, b = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))

    def seconds() -> float:
        start = time.perf_counter()
        (a @ b)[0, 0].item()
        return time.perf_counter() - start

    return 2 * size**3 / min(seconds() for _ in range(8))


def measure(width: int, options: argparse.Namespace) -> list[Contender]:
    """All contenders at one width, their blocks in turn."""
    contenders = []
    for name in options.contenders:
        one = started(name, width, options)
        one.first_s = one.take(1)
        one.take(1)
        contenders.append(one)
    for _ in range(options.blocks):
        for one in contenders:
            one.blocks.append(one.at_once * options.steps / one.take(options.steps))
    for one in contenders:
        one.close()
    return contenders


def lines(width: int, found: Sequence[Contender], options: argparse.Namespace) -> list[str]:
    """A line a contender."""
    run = grid(width, options.runs, 2 + options.blocks * options.steps, options.device, False)[0]
    flops = run_flops(run) / run.steps
    rates = [gemm_rate(d, options.cores, options.device) for d in (torch.float32, torch.bfloat16)]
    plain = next((one for one in found if one.name == "plain"), found[0])
    out = []
    for one in found:
        speed = statistics.median(one.blocks)
        ratio = statistics.median(a / b for a, b in zip(one.blocks, plain.blocks, strict=True))
        share = "/".join(f"{speed * flops / rate:.2f}" for rate in rates)
        mark = "" if abs(one.loss - plain.loss) < TOLERANCE else "  LOSS DIFFERS"
        out.append(
            f"{width:6d} {one.name:12s} {speed:11.1f} {ratio:9.2f} {share:>11s} {one.memory:10.0f} "
            f"{one.first_s:8.1f} {one.loss:9.4f}{mark}"
        )
    return out


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--widths", default="32,64,128,256,512")
    parser.add_argument("--runs", type=int, default=16, help="learning rates of the grid")
    parser.add_argument("--steps", type=int, default=10, help="of a block")
    parser.add_argument("--blocks", type=int, default=7)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--contenders", default=",".join(NAMES))
    options = parser.parse_args()
    options.contenders = options.contenders.split(",")
    options.cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    print(f"{options.runs} runs, depth 2, 8 x 64 tokens, vocabulary 512, {options.cores} cores")
    print(" width contender    run-steps/s  x plain    of GEMM   memory MiB  first s      loss")
    for width in map(int, options.widths.split(",")):
        print("\n".join(lines(width, measure(width, options), options)), flush=True)


if __name__ == "__main__":
    main()
