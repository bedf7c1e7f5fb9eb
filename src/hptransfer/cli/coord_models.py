"""What `hptransfer coord-check` trains: small models at any width, and batches of real text."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from hptransfer.cli.model_sizes import ModelSizes
from hptransfer.errors import RuleError, one_of
from hptransfer.lm.model import Decoder
from hptransfer.lm.stack import initial_weights
from hptransfer.parametrization.hf_models import MODELS
from hptransfer.parametrization.hf_models import build as build_model
from hptransfer.runs.config import ModelConfig, RunSpec

VOCAB = 257  # tokens are bytes; 257 is the smallest vocabulary of the decoder


class ScaledDecoder(Decoder):
    """The reference decoder with all that a rule sets in reach: attention scale, layers that are called."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.head_dim = config.d_head
        self.scaling = config.d_head**-0.5

    def forward(
        self, tokens_BT: Tensor, attention_scale: Tensor | None = None, logits_scale: Tensor | None = None
    ) -> Tensor:
        """Logits of the next token, [sequences, context, vocab], for int64 tokens [sequences, context].

        Without an attention scale the attention logits take the model's own.
        """
        scale = torch.tensor(self.scaling) if attention_scale is None else attention_scale
        return super().forward(tokens_BT, scale, logits_scale)

    def embed(self, tokens_BT: Tensor) -> Tensor:
        """The residual stream before the first block, [sequences, context, width]."""
        # Decoder reads the table of positions by hand, where no multiplier on it would take effect.
        assert self.position_embedding is not None
        positions_T = torch.arange(self.position_embedding.num_embeddings)
        x_BTD: Tensor = self.token_embedding(tokens_BT) + self.position_embedding(positions_T)
        return x_BTD


@dataclass(frozen=True)
class Subject:
    """A model to check."""

    build: Callable[[int], nn.Module]  # of a width
    batches: list[Any]  # one batch, as the model takes it
    scaling: dict[str, Any]  # arguments of `hpt.parametrize` that the model needs


def subject(name: str, sizes: ModelSizes, sequences: int) -> Subject:
    """The model of that name (`decoder`, or a Hugging Face family), with a batch of text to train it on.

    Raises:
        RuleError: the name is unknown.
        MissingExtraError: from `build`, where transformers is not installed.
    """
    if name == "decoder":
        tokens = text_bytes(sequences, sizes.context + 1)
        batch = (tokens[:, :-1], tokens[:, 1:])
        return Subject(lambda width: decoder(width, sizes), [batch], {"attention": {"": "scaling"}})
    one_of(name, ("decoder", *MODELS), "--model", RuleError)
    batches = [_arguments(name, sizes, sequences)]
    return Subject(lambda width: build_model(name, width, **sizes.as_arguments()), batches, {})


def decoder(width: int, sizes: ModelSizes) -> ScaledDecoder:
    """The reference decoder at a width, initialised as SP has it.

    Raises:
        RuleError: the sizes do not fit together.
    """
    config = sizes.decoder_config(width)
    model = ScaledDecoder(config)
    model.load_state_dict(initial_weights(RunSpec(model=config, base_width=width, lr=1.0)))
    return model


def text_bytes(sequences: int, length: int) -> Tensor:
    """Stretches of source code of the running interpreter, as bytes, int64, [sequences, length]."""
    text = np.frombuffer(Path(inspect.__file__).read_bytes(), dtype=np.uint8)
    starts = np.random.default_rng(0).integers(0, len(text) - length, size=sequences)
    return torch.from_numpy(text[starts[:, None] + np.arange(length)].astype(np.int64))


def _arguments(name: str, sizes: ModelSizes, sequences: int) -> dict[str, Tensor]:
    if name == "vit":
        pixels = torch.randn(sequences, 3, 32, 32, generator=torch.Generator().manual_seed(0))
        return {"pixel_values": pixels, "labels": torch.arange(sequences) % 2}
    tokens = text_bytes(sequences, sizes.context)
    return {"input_ids": tokens, "labels": tokens}
