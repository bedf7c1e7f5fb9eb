"""Budgets: how many steps a run takes, from a number of steps or of tokens per parameter. No torch here."""

from __future__ import annotations

import math

from hptransfer.runs.decoder_tensors import counted_parameters
from hptransfer.runs.model_config import ModelConfig
from hptransfer.runs.train_config import TrainConfig


def budget_steps(model: ModelConfig, train: TrainConfig) -> int:
    """Optimizer steps of a run.

    With `tokens_per_param` the tokens are that many times the parameters counted (`params_counted`), rounded
    up to whole steps. So they grow with the model, as the steps do.
    """
    if train.steps is not None:
        return train.steps
    assert train.tokens_per_param is not None  # the config holds one of the two
    tokens = train.tokens_per_param * counted_parameters(model, train.params_counted)
    return max(1, math.ceil(tokens / (train.batch_size * model.context)))
