"""Records probes inside a training loop, through hooks on the model and the optimizer."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn

from hptransfer.dynamics.activations import ForwardRecord, evaluating, record_forward
from hptransfer.dynamics.collect import Sites, Update, collect, sites
from hptransfer.dynamics.critical import critical_lr_along
from hptransfer.dynamics.probe_table import ProbeLog, ProbeTable, Row, table
from hptransfer.dynamics.probes import quarters
from hptransfer.errors import DynamicsError
from hptransfer.parametrization.parameters import NamedParameter, parameters, unwrapped
from hptransfer.parametrization.rule import Role
from hptransfer.runs.probe_names import check_names

TOKENS = 1024  # positions of a batch on which a layer's change is measured

LossOf = Callable[[Any], Tensor]


@dataclass(frozen=True)
class ProbePlan:
    """What a recorder measures, and when.

    Attributes:
        every: updates from one probed to the next; the first is probed.
        names: of the probes; default all but critical LR and sharpness, `["all"]` every one.
        run: name of the run in the table.
        loss: of the model's output, for the critical LR; default its `.loss`. The batch is the last one that
            the model was called with.
        token_counts: of every token in the training text, for row norms by frequency, shape [vocabulary].

    Raises:
        DynamicsError: a probe is unknown, or `every` is below 1.
    """

    every: int = 10
    names: Sequence[str] | None = None
    run: str = "run"
    loss: LossOf | None = None
    token_counts: Tensor | Sequence[int] | None = None

    def __post_init__(self) -> None:
        if self.every < 1:
            raise DynamicsError(f"every must be at least 1, but got {self.every}")
        object.__setattr__(self, "names", check_names(self.names))


class Recorder:
    """Probes of a live training run. Use as a context manager around the loop, or by `attach` and `detach`.

    Args:
        model: plain or wrapped.
        optimizers: that step in turn.
        roles: of every tensor, by its canonical name.
        lr_factors: learning rate of a tensor over eta, by its name; 1 where it is left out.
        plan: what is measured, and when.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizers: Sequence[torch.optim.Optimizer],
        roles: Mapping[str, Role],
        lr_factors: Mapping[str, float],
        plan: ProbePlan,
    ) -> None:
        self.plan = plan
        self._model, self._optimizers = unwrapped(model), optimizers
        self._lr_factors = lr_factors
        self._sites: Sites = sites(model, roles)
        counts = plan.token_counts
        self._quarter = None if counts is None else quarters(torch.as_tensor(counts))
        self._names = frozenset(plan.names or ())
        self._hooks = ExitStack()
        self._looking = ExitStack()  # open inside a forward pass that is to be seen
        self._forward = ForwardRecord()
        self._call: tuple[tuple[Any, ...], dict[str, Any]] | None = None  # of the model, to repeat it
        self._before: dict[str, Tensor] = {}
        self._grads: dict[str, Tensor] = {}
        self._stepped: set[int] = set()
        self._guess: Tensor | None = None
        self._step = 0
        self._steps: list[int] = []
        self._found: list[dict[Row, float]] = []

    def __enter__(self) -> Self:
        return self.attach()

    def __exit__(self, *_: object) -> None:
        self.detach()

    def attach(self) -> Self:
        """Hang the hooks on the model and the optimizers."""
        self.detach()
        hooks = [
            self._model.register_forward_pre_hook(self._entered, with_kwargs=True),
            self._model.register_forward_hook(self._left, always_call=True),
            *(o.register_step_pre_hook(self._before_step) for o in self._optimizers),
            *(o.register_step_post_hook(self._after_step) for o in self._optimizers),
        ]
        for hook in hooks:
            self._hooks.callback(hook.remove)
        return self

    def detach(self) -> None:
        """Take every hook off; what was measured stays."""
        self._looking.close()
        self._hooks.close()
        self._forget()

    @property
    def log(self) -> ProbeLog:
        """Everything measured so far."""
        rows = tuple(dict.fromkeys(row for found in self._found for row in found))
        values = np.array([[found.get(row, math.nan) for row in rows] for found in self._found])
        return ProbeLog(tuple(self._steps), rows, values.reshape(len(self._steps), len(rows)))

    @property
    def table(self) -> ProbeTable:
        """The same as one table: run, step, layer, role, name, value."""
        return table({self.plan.run: self.log})

    def _due(self) -> bool:
        return self._step % self.plan.every == 0

    def _entered(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Look at the forward passes of a probed step; those in evaluation mode are not training."""
        if module.training and self._due() and not self._before:
            self._forward = self._looking.enter_context(record_forward(module))
            self._call = (args, kwargs)

    def _left(self, *_: Any) -> None:
        self._looking.close()

    def _before_step(
        self, _optimizer: torch.optim.Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
        """Keep weights and gradients; where the step is given a closure, once that has been run."""
        if not self._due() or self._before:
            return None
        closure = kwargs.get("closure", args[1] if len(args) > 1 else None)
        if closure is None:
            self._keep()
            return None

        def closure_then_keep() -> Any:
            result = closure()
            if not self._before:
                self._keep()
            return result

        return args[:1], kwargs | {"closure": closure_then_keep}

    def _keep(self) -> None:
        for name, owned in self._live().items():
            self._before[name] = _unsharded(owned.parameter).detach().clone()
            if owned.parameter.grad is not None:
                self._grads[name] = _unsharded(owned.parameter.grad).detach().clone()

    def _after_step(self, optimizer: torch.optim.Optimizer, *_: Any) -> None:
        """Measure when every optimizer has stepped."""
        self._stepped.add(id(optimizer))
        if len(self._stepped) < len(self._optimizers):
            return
        self._stepped.clear()
        if self._before:
            with torch.no_grad():
                self._measure()
            self._forget()
        self._step += 1

    def _forget(self) -> None:
        self._forward.clear()
        self._before, self._grads, self._call = {}, {}, None

    def _live(self) -> dict[str, NamedParameter]:
        trained = {id(p) for o in self._optimizers for group in o.param_groups for p in group["params"]}
        return {n: o for n, o in parameters(self._model).items() if id(o.parameter) in trained}

    def _measure(self) -> None:
        live = self._live()
        after = {name: _unsharded(owned.parameter).detach() for name, owned in live.items()}
        second, eps, lr = self._states(live)
        tokens = self._forward.inputs.get(self._sites.tokens or "")
        update = Update(self._before, after, self._grads, second, eps)
        quarter = None if self._quarter is None or tokens is None else self._quarter.to(tokens.device)
        forward = _first_positions(self._forward)
        values = collect(self._sites, self._names, update, forward, tokens, quarter)
        found = {row: float(value) for row, value in values.items()}
        if "lr" in self._names:
            found["", "", "lr"] = lr
        if self._names & {"critical_lr", "critical_sharpness"}:
            found |= self._critical(live, lr)
        self._steps.append(self._step)
        self._found.append(found)

    def _states(
        self, live: Mapping[str, NamedParameter]
    ) -> tuple[dict[str, Tensor], dict[str, float], float]:
        """Adam's corrected second moments and eps where there are any, and eta."""
        groups = {id(p): (o, g) for o in self._optimizers for g in o.param_groups for p in g["params"]}
        second, eps, rates = {}, {}, []
        for name, owned in live.items():
            optimizer, group = groups[id(owned.parameter)]
            rates.append(float(group["lr"]) / self._lr_factors.get(name, 1.0))
            state = optimizer.state.get(owned.parameter, {})
            if "exp_avg_sq" in state and "betas" in group:
                correction = 1 - float(group["betas"][1]) ** float(state["step"])
                second[name] = _unsharded(state["exp_avg_sq"]) / correction
                eps[name] = float(group.get("eps", group.get("epsilon", 0.0)))  # Dion spells it out
        return second, eps, rates[0]

    def _critical(self, live: Mapping[str, NamedParameter], lr: float) -> dict[Row, float]:
        """Critical LR of the update just taken, by the batch's forward pass."""
        assert self._call is not None
        args, kwargs = self._call

        def loss() -> Tensor:
            return (self.plan.loss or _loss_of_output)(self._model(*args, **kwargs))

        weights = {name: owned.parameter for name, owned in live.items()}
        with evaluating(self._model):
            found = critical_lr_along(loss, weights, self._before, lr, self._guess)
        self._guess = found.lr if bool(torch.isfinite(found.lr)) else None
        values = {"critical_lr": float(found.lr), "critical_sharpness": float(found.sharpness)}
        return {("", "", name): value for name, value in values.items() if name in self._names}


def _first_positions(forward: ForwardRecord) -> ForwardRecord:
    """The first positions of every layer's inputs: a layer's change needs no more."""
    inputs = {
        name: (x.flatten(0, -2) if x.is_floating_point() else x.flatten())[:TOKENS]
        for name, x in forward.inputs.items()
        if x.ndim > 1
    }
    return ForwardRecord(inputs, forward.outputs, forward.logits)


def _unsharded(value: Tensor) -> Tensor:
    """The whole of a sharded tensor; every rank must ask at once."""
    full = getattr(value, "full_tensor", None)
    return value if full is None else full()


def _loss_of_output(output: Any) -> Tensor:
    found = output.get("loss") if isinstance(output, Mapping) else getattr(output, "loss", None)
    if not isinstance(found, Tensor):
        raise DynamicsError(
            f"the critical LR must have a loss, but {type(output).__name__} has no `.loss`: give "
            "loss=function(output)"
        )
    return found
