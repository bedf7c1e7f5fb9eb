"""Names of the probes, what each measures, in which unit. No torch here."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

from hptransfer.errors import DynamicsError


@dataclass(frozen=True)
class ProbeName:
    """One probe."""

    definition: str  # what it is, for one layer or tensor at one step
    of: str  # `tensor`, `layer` or `run`
    unit: str = ""  # empty where it is a pure number
    default: bool = True  # whether it is measured where no names are given
    linear: bool = False  # whether it may be negative or zero, so that it has no logarithm


PROBES: dict[str, ProbeName] = {
    "weight_rms": ProbeName("root mean square of the tensor before the update", "tensor"),
    "grad_rms": ProbeName("root mean square of its gradient, as the optimizer takes it", "tensor", "nats"),
    "update_rms": ProbeName("root mean square of what the step adds to it, decay included", "tensor"),
    "relative_update": ProbeName("|dW| / |W|, Frobenius norms (arXiv:2510.19093)", "tensor"),
    "grad_over_eps": ProbeName(
        "Adam's root mean square gradient, sqrt(mean of the corrected second moment), over its eps; where it "
        "nears 1, eps damps the step",
        "tensor",
    ),
    "activation_rms": ProbeName("root mean square of the layer's output, before the update", "layer"),
    "relative_change": ProbeName(
        "|dW x| / |W x|: the update's own change of the layer's output on the inputs x that it had "
        "(arXiv:2510.19093)",
        "layer",
    ),
    "update_alignment": ProbeName("|dW x| / (|dW| |x|) (arXiv:2510.19093)", "layer"),
    "weight_alignment": ProbeName("|W x| / (|W| |x|) (arXiv:2510.19093)", "layer"),
    "alignment_ratio": ProbeName(
        "update alignment / weight alignment; relative change = alignment ratio x relative update "
        "(arXiv:2510.19093)",
        "layer",
    ),
    "log_alignment": ProbeName(
        "log of RMS(dW x) / (RMS(dW) RMS(x)) to the base fan-in: 1/2 unaligned, 1 fully aligned "
        "(arXiv:2407.05872)",
        "layer",
        linear=True,
    ),
    "attention_logit_max": ProbeName("largest attention logit that is not masked", "layer", linear=True),
    "attention_entropy": ProbeName(
        "entropy of the attention weights, mean over queries and heads", "layer", "nats"
    ),
    "log_z": ProbeName(
        "log of the readout's partition function, mean over tokens", "layer", "nats", linear=True
    ),
    "rows_touched": ProbeName("share of the token embedding's rows that the batch holds", "tensor"),
    **{
        f"row_rms_q{i + 1}": ProbeName(
            f"root mean square of a token's row, mean over the {which} quarter of the vocabulary", "tensor"
        )
        for i, which in enumerate(("most frequent", "second", "third", "rarest"))
    },
    "grad_norm": ProbeName("norm of the whole gradient", "run", "nats"),
    "lr": ProbeName("scheduled learning rate eta of the step", "run"),
    "critical_lr": ProbeName(
        "smallest eta at which this step would raise the loss of its own batch (arXiv:2601.16979)",
        "run",
        default=False,
    ),
    "critical_sharpness": ProbeName("2 / critical LR (arXiv:2601.16979)", "run", default=False),
}
DEFAULT: tuple[str, ...] = tuple(name for name, probe in PROBES.items() if probe.default)


def check_names(names: Sequence[str] | None) -> tuple[str, ...]:
    """The names asked for, or the default ones; `all` stands for every one.

    Raises:
        DynamicsError: one is unknown; the text names the closest and all valid ones.
    """
    if names is None:
        return DEFAULT
    if list(names) == ["all"]:
        return tuple(PROBES)
    for name in names:
        if name not in PROBES:
            close = difflib.get_close_matches(name, PROBES, n=1, cutoff=0.0)[0]
            raise DynamicsError(
                f"every probe must be known, but got {name!r} (did you mean {close!r}?); valid: "
                f"{', '.join(PROBES)}"
            )
    return tuple(dict.fromkeys(names))
