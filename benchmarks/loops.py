"""The training loops that `throughput.py` compares: our stacks, and those that a user would write."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hptransfer.lm.data import batch, load_corpus, validation_sequences
from hptransfer.lm.device import move
from hptransfer.lm.evaluate import evaluate
from hptransfer.lm.model import Decoder
from hptransfer.lm.run_tensors import stack_settings, stack_step_settings
from hptransfer.lm.stack import initial_state, initial_weights, step_of, template
from hptransfer.lm.training import batches
from hptransfer.runs.config import ModelConfig, RunSpec, TrainConfig
from hptransfer.runs.data_config import DataConfig
from hptransfer.runs.schedule import schedule_factor

HELD_OUT = 64  # sequences that a contender's loss is measured on

Steps = Callable[[int], None]  # takes so many steps
Loss = Callable[[], float]  # held-out loss of the grid's middle run, nats per token; NaN where it is not here


@dataclass(frozen=True)
class Name:
    """A contender's name, taken apart.

    Attributes:
        loop: `ours`, `ours eager`, `plain`, `compiled` or `gpt2`.
        a_core: as many processes of one thread as there are cores, a run each.
        bf16: matrix products in bfloat16.
    """

    loop: str
    a_core: bool
    bf16: bool

    @classmethod
    def of(cls, text: str) -> Name:
        """From a text such as `compiled a core bf16`."""
        text, bf16 = text.removesuffix(" bf16"), text.endswith(" bf16")
        return cls(text.removesuffix(" a core"), text.endswith(" a core"), bf16)

    @property
    def ours(self) -> bool:
        """Whether it is a stack."""
        return self.loop.startswith("ours")


def model_of(width: int, vocab: int, device: str) -> ModelConfig:
    """The decoder of a width; on a GPU with heads of 64 from width 256 on, as they are there."""
    return ModelConfig(width=width, vocab=vocab, heads=4 if device == "cpu" else max(4, width // 64))


def grid(model: ModelConfig, runs: int, train: TrainConfig, data: DataConfig) -> list[RunSpec]:
    """Runs that differ in LR: half an octave apart around the best at width 32, by muP from there."""
    best = 2.0**-6 * 32 / model.width
    return [
        RunSpec(model=model, data=data, train=train, base_width=32, lr=best * 2.0 ** ((i - runs // 2) / 2))
        for i in range(runs)
    ]


class Plain(nn.Module):
    """nanoGPT's forward pass, with the tensor names of the reference decoder."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.model = Decoder(config)
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


def one_by_one(name: Name, runs: Sequence[RunSpec], device: str) -> tuple[Steps, Loss]:
    """The grid's middle run in an ordinary loop."""
    run = runs[len(runs) // 2]
    corpus = load_corpus(run.data, run.model)
    model: nn.Module = GPT2(run) if name.loop == "gpt2" else Plain(run.model)
    if isinstance(model, Plain):
        model.model.load_state_dict(initial_weights(run))
    model = model.to(device)
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=run.lr, betas=run.train.betas, weight_decay=0.0, fused=True)
    scheduler = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda s: schedule_factor(run.train, run.steps, s)
    )
    mode = "reduce-overhead" if device.startswith("cuda") else None
    forward = torch.compile(model, mode=mode) if name.loop == "compiled" else model
    done = 0

    def cast() -> torch.autocast:
        return torch.autocast(torch.device(device).type, torch.bfloat16, enabled=name.bf16)

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
            tokens = torch.from_numpy(validation_sequences(corpus, run.data, run.model)[:HELD_OUT])
            return float(model(tokens.to(device)))

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
            tokens, clock = move((batches(runs, corpus, done), stack_step_settings(runs, done)), device)
            state, loss = step(state, settings, clock, tokens)
            loss.cpu()
            done += 1

    def held_out() -> float:
        if middle is None:
            return float("nan")
        sequences = torch.from_numpy(validation_sequences(corpus, runs[0].data, runs[0].model)[:HELD_OUT])
        model = template(shape, device)
        return float(evaluate(model, shape, state, settings, sequences.to(device))[middle].mean())

    return steps, held_out
