"""Verification inside transformers.Trainer and Lightning, through their hooks."""

from __future__ import annotations

from typing import Any

from torch import nn

from hptransfer.errors import MissingExtraError, RuleError
from hptransfer.parametrization.scaling import Scaling


def trainer_callback(scaling: Scaling, *, every: int = 1) -> Any:
    """A `transformers.TrainerCallback` that verifies at the start and after every `every` steps.

    Give the trainer the optimizer: `Trainer(optimizers=(AdamW(scaling.param_groups(...)), None))`; one that
    it builds by itself has one LR for all tensors, and this callback says so.

    Raises:
        MissingExtraError: transformers is not installed.
        RuleError: `every` is not positive.
        VerifyError: from inside the training loop, where the optimizer or model is off.
    """
    _check(every)
    try:
        from transformers import TrainerCallback
    except ImportError:
        raise MissingExtraError("hf", "a Trainer callback") from None

    class VerifyCallback(TrainerCallback):  # type: ignore[misc]
        """Verifies the live optimizer against the scaling's rule."""

        def on_train_begin(self, _args: Any, _state: Any, _control: Any, **kwargs: Any) -> None:
            scaling.verify(kwargs["model"], kwargs["optimizer"])

        def on_step_end(self, _args: Any, state: Any, _control: Any, **kwargs: Any) -> None:
            if state.global_step % every == 0:
                scaling.verify(kwargs["model"], kwargs["optimizer"])

    return VerifyCallback()


def lightning_callback(scaling: Scaling, model: nn.Module, *, every: int = 1) -> Any:
    """A `lightning.pytorch.Callback` that verifies at the start and after every `every` batches.

    `model` is the module that was scaled, wherever the LightningModule keeps it.

    Raises:
        MissingExtraError: lightning is not installed.
        RuleError: `every` is not positive.
        VerifyError: from inside the training loop, where the optimizer or model is off.
    """
    _check(every)
    try:
        from lightning.pytorch import Callback
    except ImportError:
        raise MissingExtraError("lightning", "a Lightning callback") from None

    class VerifyCallback(Callback):  # type: ignore[misc]
        """Verifies the live optimizer against the scaling's rule."""

        def on_train_start(self, trainer: Any, _module: Any) -> None:
            scaling.verify(model, trainer.optimizers)

        def on_train_batch_end(self, trainer: Any, *given: Any) -> None:
            batch_index = given[3]  # after module, outputs and batch
            if (batch_index + 1) % every == 0:
                scaling.verify(model, trainer.optimizers)

    return VerifyCallback()


def _check(every: int) -> None:
    if every < 1:
        raise RuleError(f"every must be at least 1, but got {every}")
