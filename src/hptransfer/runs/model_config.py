"""Shape and options of the reference decoder, as plain, validated data. No torch here."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from hptransfer.runs.base import Config, with_defaults
from hptransfer.words import precise

Bias = Literal["hidden", "norm", "readout"]
Gains = Literal["none", "scalar", "vector"]
NormKind = Literal["layernorm", "rmsnorm"]
Positions = Literal["learned", "rope"]
Activation = Literal["gelu", "relu", "relu2", "swiglu"]

DEFAULT_HEADS = 4  # attention heads where neither heads nor head_dim is given
_ALTERNATIVES = {"heads": (DEFAULT_HEADS, "head_dim")}


def _named_or_positive(*names: str) -> BeforeValidator:
    """A check that a value is one of some names or a positive number."""

    def check(value: object) -> str | float:
        if isinstance(value, str) and value in names:
            return value
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf:
            return float(value)
        raise ValueError(f"it must be {', '.join(names)} or a positive number, but got {value!r}")

    return BeforeValidator(check)


class ModelShape(Config):
    """Shape of the decoder at every width of a study."""

    depth: int = Field(2, gt=0, le=10_000)  # blocks
    heads: int | None = Field(
        None, gt=0, le=1 << 20
    )  # attention heads at every width; 4 where head_dim is not given
    head_dim: int | None = Field(None, gt=0, le=1 << 20)  # head dimension at every width, instead of heads
    kv_heads: int | None = Field(None, gt=0, le=1 << 20)  # heads of keys and values; default: as many
    context: int = Field(64, gt=0, le=1 << 24)  # tokens a sequence
    vocab: int = Field(512, ge=257, le=65536)  # BPE vocabulary: 256 bytes, at least one merge, 16 bits
    mlp_ratio: float = Field(4, gt=0, le=10_000)  # hidden dimension of the MLP / width, rounded down
    norm: NormKind = "layernorm"  # before attention, MLP and readout
    norm_eps: float = Field(1e-5, gt=0)  # of every norm
    gains: Gains = "vector"  # trainable gains of the norms: none, one a norm, or one an element
    biases: tuple[Bias, ...] = ()  # where biases are: hidden matrices, norms (layernorm alone), readout
    positions: Positions = "learned"  # a table added to the embedding, or rotations of queries and keys
    rope_base: float = Field(10_000.0, gt=0)  # slowest RoPE wavelength / 2 pi
    activation: Activation = "gelu"  # of the MLP; relu2 is the square of relu
    qk_norm: bool = False  # norm of queries and keys over the head dimension, before RoPE
    embedding_norm: bool = False  # norm of the embedding, before the first block
    tied: bool = False  # whether the readout is the token embedding
    # Factor on attention logits: the rule's; 1/sqrt(d), 1/d whatever the rule (d: head dimension); a number.
    attention_scale: Annotated[str | float, _named_or_positive("rule", "sqrt_d", "d")] = "rule"
    embedding_std: float = Field(1.0, gt=0)  # init std of token and position embeddings, at the base width
    residual_init: Literal["depth", "plain"] = "depth"  # residual projections' std / sqrt(2 depth), or not
    zero_query_init: bool = False  # whether queries start at zero
    # Init std of the readout, a rule's multiplier included: the rule's; 1/sqrt(n), 1/n whatever the rule (n:
    # width); zero; a number.
    readout_init: Annotated[str | float, _named_or_positive("rule", "sqrt_n", "n", "zero")] = "rule"


class ModelConfig(ModelShape):
    """Shape of the decoder. A run's id leaves out what has its default: a default may never change."""

    width: int = Field(128, gt=0, le=1 << 53)  # residual stream, the scale n

    @model_validator(mode="before")
    @classmethod
    def _heads_or_head_dim(cls, data: Any) -> Any:
        return with_defaults(data, _ALTERNATIVES)

    @model_validator(mode="after")
    def _possible(self) -> ModelConfig:
        self._check_heads()
        if self.hidden < 1:
            raise ValueError(
                f"mlp_ratio x width >= 1 must hold, but got {precise(self.mlp_ratio)} x {self.width}"
            )
        if "norm" in self.biases and self.norm == "rmsnorm":
            raise ValueError("biases of norms must go with norm: layernorm, but got norm='rmsnorm'")
        if len(set(self.biases)) < len(self.biases):
            raise ValueError(f"every place of biases must be given once, but got {list(self.biases)}")
        if self.tied and self.readout_init != "rule":
            raise ValueError(
                f"readout_init must be 'rule' where tied is true (embedding_std counts), but got "
                f"{self.readout_init!r}"
            )
        return self

    def _check_heads(self) -> None:
        for name in ("head_dim", "heads"):
            value = getattr(self, name)
            if value is not None and self.width % value:
                raise ValueError(
                    f"{name} must divide width, but got width={self.width}, {name}={value}; "
                    f"valid: {_divisors(self.width)}"
                )
        if self.query_heads % self.key_heads:
            raise ValueError(
                f"kv_heads must divide the number of heads, but got kv_heads={self.key_heads}, "
                f"heads={self.query_heads}; valid: {_divisors(self.query_heads)}"
            )
        if self.positions == "rope" and self.d_head % 2:
            raise ValueError(f"the head dimension must be even with positions: rope, but it is {self.d_head}")

    @property
    def query_heads(self) -> int:
        """Attention heads at this width."""
        return self.width // self.head_dim if self.head_dim is not None else self.heads or 1

    @property
    def key_heads(self) -> int:
        """Heads of keys and of values at this width."""
        return self.query_heads if self.kv_heads is None else self.kv_heads

    @property
    def d_head(self) -> int:
        """Dimension of one attention head at this width."""
        return self.head_dim if self.head_dim is not None else self.width // self.query_heads

    @property
    def hidden(self) -> int:
        """Hidden dimension of the MLP."""
        return int(self.mlp_ratio * self.width)

    def structure(self) -> ModelConfig:
        """The same with what enters training as numbers (initial weights, attention scale) at its default.

        Models of one structure train in one stack and share a compiled step.
        """
        numbers = ("attention_scale", "embedding_std", "residual_init", "zero_query_init", "readout_init")
        defaults = {name: type(self).model_fields[name].default for name in numbers}
        return self.model_copy(update=defaults)


def _divisors(number: int) -> str:
    return ", ".join(str(d) for d in range(1, number + 1) if number % d == 0)
