"""Forward multipliers a rule asks for, as factors on modules; an error where a model has no place for one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

from torch import nn

from hptransfer.errors import RuleError
from hptransfer.parametrization.hooks import Factor, takes_factor
from hptransfer.parametrization.pairing import Pairing
from hptransfer.parametrization.parameters import modules, unwrapped
from hptransfer.parametrization.plan import TensorPlan
from hptransfer.parametrization.roles import TensorRole
from hptransfer.parametrization.rule import Rule

# The last modules of residual branches, by Hugging Face model type.
_LLAMA = ("*.self_attn.o_proj", "*.mlp.down_proj")
RESIDUAL_ENDS: Mapping[str, tuple[str, ...]] = {
    "gpt2": ("*.attn.c_proj", "*.mlp.c_proj"),
    "gpt_neox": ("*.attention.dense", "*.mlp.dense_4h_to_h"),
    "llama": _LLAMA,
    "qwen2": _LLAMA,
    "gemma": _LLAMA,
    "olmo": _LLAMA,
    "mixtral": ("*.self_attn.o_proj", "*.mlp"),
    "mamba": ("*.mixer.out_proj",),
    "vit": ("*.attention.o_proj", "*.mlp.fc2"),
    "t5": ("*.SelfAttention.o", "*.EncDecAttention.o", "*.DenseReluDense.wo"),
}


def module_factors(
    model: nn.Module,
    base: nn.Module,
    pairing: Pairing,
    plans: Sequence[TensorPlan],
    rule: Rule,
    residual: Sequence[str],
) -> tuple[Factor, ...]:
    """Every factor that differs from one.

    A tensor's multiplier sits on the module that applies it; what the architecture multiplies by itself
    (Gemma's embedding by sqrt(width), T5's tied logits by 1/sqrt(width)) is taken off it. Tied logits get the
    embedding's multiplier times m**tied. A residual branch gets (depth ratio)**residual on its last module.

    Args:
        model: at the width in question.
        base: the same at the base width.
        pairing: of their tensors and modules.
        plans: of the model's tensors.
        rule: whose multipliers count.
        residual: patterns of the last modules of residual branches; none: by the model's type.

    Raises:
        RuleError: a multiplier is needed where no module can carry it.
    """
    found: dict[str, tuple[float, float, str]] = {}
    here, at_base = modules(model), modules(base)
    for plan in plans:
        tensor, wanted = plan.tensor, plan.factors.multiplier
        for owner in _appliers(tensor, here):
            native = 1.0
            if not rule.keeps_native_multipliers:
                native = _native_embedding(here[owner], at_base, pairing, owner)
            if wanted / native != 1.0:
                _add(found, here, owner, wanted / native, f"multiplier on {tensor.name}", rule)
        if tensor.role == "embedding" and rule.tied is not None:
            for logits in tied_readouts(tensor, here):
                factor = wanted * tensor.ratio ** (rule.tied - _native_logits(model))
                _add(found, here, logits, factor, f"factor on the logits of the tied {tensor.name}", rule)
    if rule.residual and pairing.depth_ratio != 1.0:
        factor = pairing.depth_ratio**rule.residual
        for end in _residual_ends(model, here, residual, rule):
            on_input, on_output, why = found.get(end, (1.0, 1.0, "residual branch"))
            found[end] = (on_input, on_output * factor, why)
    return tuple(Factor(name, *values) for name, values in found.items() if values[:2] != (1.0, 1.0))


def _add(
    found: dict[str, tuple[float, float, str]],
    here: Mapping[str, nn.Module],
    name: str,
    factor: float,
    why: str,
    rule: Rule,
) -> None:
    place = takes_factor(here[name], here.get(name.rpartition(".")[0]))
    if place is None:
        raise RuleError(
            f"{rule.name} needs a {why} of {factor:.6g} in the forward pass, but {type(here[name]).__name__} "
            f"{name or '(the model)'} is no layer that can carry it: use the same rule with its multipliers "
            "in init and LR, rule=hpt.without_multipliers(rule)"
        )
    on_input, on_output, _ = found.get(name, (1.0, 1.0, why))
    found[name] = (
        (on_input * factor, on_output, why) if place == "input" else (on_input, on_output * factor, why)
    )


def _appliers(tensor: TensorRole, here: Mapping[str, nn.Module]) -> list[str]:
    """Modules that apply a tensor in its own role: its owner, and every further table that looks it up."""
    owner, *others = (name.rpartition(".")[0] for name in (tensor.name, *tensor.aliases))
    return [owner, *(other for other in others if isinstance(here[other], nn.Embedding))]


def tied_readouts(tensor: TensorRole, here: Mapping[str, nn.Module]) -> list[str]:
    """Modules that apply an embedding's tensor as a readout."""
    owners = [alias.rpartition(".")[0] for alias in tensor.aliases]
    return [owner for owner in owners if not isinstance(here[owner], nn.Embedding)]


def _native_embedding(
    module: nn.Module, at_base: Mapping[str, nn.Module], pairing: Pairing, name: str
) -> float:
    """How much more than the base's an embedding multiplies its output by itself (Gemma: sqrt(m))."""
    twin = at_base.get(pairing.modules_of_base.get(name, name))
    here, there = (getattr(m, "scalar_embed_scale", None) for m in (module, twin))
    if not isinstance(module, nn.Embedding) or not isinstance(here, float) or not isinstance(there, float):
        return 1.0
    return here / there


def _native_logits(model: nn.Module) -> float:
    """Exponent of width in what an architecture multiplies tied logits by (T5: width**-1/2)."""
    config = getattr(unwrapped(model), "config", None)
    return -0.5 if getattr(config, "scale_decoder_outputs", False) else 0.0


def _residual_ends(
    model: nn.Module, here: Mapping[str, nn.Module], given: Sequence[str], rule: Rule
) -> list[str]:
    """The last module of every residual branch, by pattern."""
    kind = getattr(getattr(unwrapped(model), "config", None), "model_type", None)
    patterns = tuple(given) or RESIDUAL_ENDS.get(str(kind), ())
    for pattern in patterns:
        if given and not any(fnmatchcase(name, pattern) for name in here):
            raise RuleError(f"a residual pattern must match a module, but {pattern!r} matches none")
    if not patterns:
        raise RuleError(
            f"{rule.name} scales residual branches by depth, but the last modules of this model's branches "
            "are not known: give residual=[patterns], such as ['blocks.*.attn.out', 'blocks.*.mlp.down']"
        )
    return [name for name in here if any(fnmatchcase(name, pattern) for pattern in patterns)]
