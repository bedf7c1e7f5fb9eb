"""The models and training of two papers, and their ablations, as changes to the options. No torch here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Changes = Mapping[str, Any]

# arXiv:2605.21486. The number of heads is our choice: the paper's rule for head dimension was not at hand.
KALRA_MODEL: Changes = {"depth": 12, "heads": 8, "context": 1024, "vocab": 50_304}
KALRA_TRAIN: Changes = {
    "steps": 10_000,
    "warmup_steps": 2_000,
    "decay_steps": 2_000,
    "batch_size": 256,
    "accumulation": 16,
}
# arXiv:2404.05728, from its text and the authors' code (github.com/lucaslingle/mu_transformer).
LINGLE_MODEL: Changes = {
    "depth": 24,
    "head_dim": 128,
    "context": 256,
    "vocab": 32_100,
    "norm": "rmsnorm",
    "gains": "none",
    "positions": "rope",
    "activation": "relu",
    "attention_scale": "d",
    "residual_init": "plain",
    "readout_init": "n",
}
LINGLE_TRAIN: Changes = {
    "steps": 125_000,
    "warmup_steps": 10_000,
    "schedule": "linear",
    "final_lr": 1e-4,
    "batch_size": 1024,
    "clip": 1.0,
}


@dataclass(frozen=True)
class Ablation:
    """What differs from a preset's baseline."""

    model: Changes = field(default_factory=dict)  # changes to the model's options
    train: Changes = field(default_factory=dict)  # changes to the training's
    rule: str = "mup"  # of the catalogue


_SP = {"attention_scale": "sqrt_d", "readout_init": "sqrt_n"}
_SMALL_EPS = {"betas": (0.9, 0.98), "eps": 1e-9}
_LION = {"optimizer": "lion", "betas": (0.95, 0.98)}

# Names as in the tables of arXiv:2404.05728, settings as in its authors' scripts.
LINGLE_ABLATIONS: Mapping[str, Ablation] = {
    "baseline": Ablation(),
    "biases": Ablation({"biases": ("hidden", "readout")}),
    "gains-vector": Ablation({"gains": "vector"}),
    "gains-scalar": Ablation({"gains": "scalar"}),
    "zero-query": Ablation({"zero_query_init": True}),
    "sp-attention": Ablation({"attention_scale": "sqrt_d"}),
    "sp-readout": Ablation({"readout_init": "sqrt_n"}),
    "cosine": Ablation(train={"schedule": "cosine"}),
    "decay-coupled": Ablation(train={"weight_decay": 0.1}),
    "decay-independent": Ablation(train={"weight_decay": 1e-4, "decay_kind": "independent"}),
    "embedding-norm": Ablation({"embedding_norm": True}),
    "multi-query": Ablation({"kv_heads": 1, "mlp_ratio": 5}),
    "swiglu": Ablation({"activation": "swiglu", "mlp_ratio": 2.67}),
    "relu2": Ablation({"activation": "relu2"}),
    "lion": Ablation(train=_LION),
    "batch-x4": Ablation(train={**_SMALL_EPS, "batch_size": 4096, "steps": 31_250, "warmup_steps": 2_500}),
    "batch-div4": Ablation(train={**_SMALL_EPS, "batch_size": 256, "steps": 500_000, "warmup_steps": 40_000}),
    "sp": Ablation(_SP, rule="sp"),
    "sp-gpt": Ablation({**_SP, "biases": ("hidden", "readout"), "gains": "vector"}, rule="sp"),
    "large-scale": Ablation(
        {"depth": 12, "zero_query_init": True, "activation": "relu2"},
        {
            **_LION,
            "batch_size": 8192,
            "steps": 90_000,
            "warmup_steps": 7_000,
            "weight_decay": 1e-4,
            "decay_kind": "independent",
        },
    ),
}

MODELS: Mapping[str, Changes] = {"kalra2026": KALRA_MODEL, "lingle2024": LINGLE_MODEL}
TRAINS: Mapping[str, Changes] = {"kalra2026": KALRA_TRAIN, "lingle2024": LINGLE_TRAIN}
ABLATIONS: Mapping[str, Mapping[str, Ablation]] = {
    "kalra2026": {"baseline": Ablation()},
    "lingle2024": LINGLE_ABLATIONS,
}
