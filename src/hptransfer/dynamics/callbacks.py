"""Probes inside transformers.Trainer and Lightning, through their hooks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hptransfer.dynamics.recorder import Recorder
from hptransfer.dynamics.training_loop import probe
from hptransfer.errors import MissingExtraError
from hptransfer.parametrization.rule import Role

if TYPE_CHECKING:
    from torch import nn

    from hptransfer.parametrization.scaling import Scaling


class _Probing:
    """What both callbacks share."""

    recorder: Recorder | None = None

    def on_train_end(self, *_: Any, **_kwargs: Any) -> None:
        if self.recorder is not None:
            self.recorder.detach()


def trainer_probe(rule: Scaling | Mapping[str, Role | str] | None = None, **settings: Any) -> Any:
    """A `transformers.TrainerCallback` that probes; its `.recorder` holds the table after training.

    Args:
        rule: as for `hpt.probe`.
        **settings: further arguments of `hpt.probe`: every, names, run, loss, token_counts.

    Raises:
        MissingExtraError: transformers is not installed.
        DynamicsError: from inside the training loop, an argument is out of range.
    """
    try:
        from transformers import TrainerCallback
    except ImportError:
        raise MissingExtraError("hf", "a Trainer callback") from None

    class ProbeCallback(_Probing, TrainerCallback):  # type: ignore[misc]
        """Probes the Trainer's model."""

        def on_train_begin(self, _args: Any, _state: Any, _control: Any, **kwargs: Any) -> None:
            optimizer = kwargs["optimizer"]
            plain = getattr(optimizer, "optimizer", optimizer)  # inside accelerate's wrapper
            self.recorder = probe(kwargs["model"], plain, rule, **settings).attach()

    return ProbeCallback()


def lightning_probe(
    model: nn.Module, rule: Scaling | Mapping[str, Role | str] | None = None, **settings: Any
) -> Any:
    """A `lightning.pytorch.Callback` that probes; its `.recorder` holds the table after training.

    Args:
        model: the module to probe, wherever the LightningModule keeps it.
        rule: as for `hpt.probe`.
        **settings: as for `trainer_probe`.

    Raises:
        MissingExtraError: lightning is not installed.
        DynamicsError: from inside the training loop, an argument is out of range.
    """
    try:
        from lightning.pytorch import Callback
    except ImportError:
        raise MissingExtraError("lightning", "a Lightning callback") from None

    class ProbeCallback(_Probing, Callback):  # type: ignore[misc]
        """Probes the model."""

        def on_train_start(self, trainer: Any, _module: Any) -> None:
            self.recorder = probe(model, trainer.optimizers, rule, **settings).attach()

    return ProbeCallback()
