"""Presets: the experiments of two papers as studies, at three scales."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib.resources import files
from typing import Any, Literal, cast, get_args

from hptransfer.errors import SpecError
from hptransfer.study.overrides import apply_overrides
from hptransfer.study.paper_presets import ABLATIONS, MODELS, TRAINS, Ablation
from hptransfer.study.spec import StudySpec, parse_study

Scale = Literal["tiny", "small", "paper"]
SCALES: tuple[Scale, ...] = get_args(Scale)
PRESETS: Mapping[str, str] = {
    "kalra2026-step": "kalra2026",
    "kalra2026-tpp": "kalra2026",
    "lingle2024": "lingle2024",
}  # name of the study, and whose model and training it is of


def preset(
    name: str, scale: str = "tiny", ablation: str = "baseline", changes: Iterable[str] = ()
) -> StudySpec:
    """A paper's experiment as a study.

    At `paper` scale the model and its training are the paper's (`hptransfer.study.paper_presets`); the
    smaller scales change sizes, steps and text, never the kind of model. The preset's YAML file says what
    is ours.

    Arguments:
        name: of `PRESETS`.
        scale: `tiny` (two CPU cores, minutes), `small` (one GPU, hours) or `paper`.
        ablation: of `hptransfer.study.paper_presets.ABLATIONS`; what it changes of a size that the scale
            sets is lost.
        changes: `KEY=VALUE`, keys given anew (see `hptransfer.study.overrides`).

    Raises:
        SpecError: a name is unknown.
    """
    scale = cast(Scale, _one_of(scale, SCALES, "--scale"))
    family = PRESETS[_one_of(name, PRESETS, "a preset")]
    change = ABLATIONS[family][_one_of(ablation, ABLATIONS[family], f"an ablation of {family}")]
    data = _sections(name)[scale]
    parts = [name, *([] if ablation == "baseline" else [ablation]), scale]
    study = _merged(family, change, data) | {"name": "-".join(parts)}
    return parse_study(apply_overrides(study, changes), where=f"preset {name}")


def _merged(family: str, change: Ablation, data: Mapping[str, Any]) -> dict[str, Any]:
    """The paper's settings, the ablation's changes to them, then the scale's."""
    model = {**MODELS[family], **change.model, **data.get("model", {})}
    train = {**TRAINS[family], **change.train, **data.get("train", {})}
    if "head_dim" in data.get("model", {}) or "heads" in data.get("model", {}):
        model = {k: v for k, v in model.items() if k not in ("heads", "head_dim")} | data["model"]
    out: dict[str, Any] = {**data, "model": model, "train": {k: v for k, v in train.items() if v is not None}}
    if (decay := train.pop("weight_decay", None)) is not None:
        out["weight_decays"] = [decay]
        out["train"].pop("weight_decay", None)
    if change.rule != "mup":
        out["variants"] = [change.rule]
    return out


def _sections(name: str) -> dict[str, Any]:
    import yaml

    text = (files("hptransfer.study") / "preset_specs" / f"{name}.yaml").read_text(encoding="utf-8")
    return dict(yaml.safe_load(text))


def _one_of(value: str, valid: Mapping[str, Any] | tuple[str, ...], what: str) -> str:
    if value not in valid:
        raise SpecError(f"{what} must be one of {', '.join(valid)}, but got {value!r}")
    return value
