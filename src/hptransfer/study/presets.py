"""The experiments of two papers as studies, at three sizes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib.resources import files
from typing import Any

from hptransfer.errors import SpecError, one_of
from hptransfer.study.overrides import apply_overrides
from hptransfer.study.paper_presets import ABLATIONS, MODELS, TRAINS, Ablation
from hptransfer.study.spec import StudySpec, parse_study

SIZES = ("tiny", "small", "paper")
PRESETS: Mapping[str, str] = {
    "kalra2026-step": "kalra2026",
    "kalra2026-tpp": "kalra2026",
    "lingle2024": "lingle2024",
}  # name of the study -> the paper whose model and training it uses


def preset(
    name: str, size: str = "tiny", ablation: str = "baseline", overrides: Iterable[str] = ()
) -> StudySpec:
    """A paper's experiment as a study.

    At size `paper` the model and its training are the paper's (`hptransfer.study.paper_presets`); the
    smaller ones change sizes, steps and text, never the kind of model. The preset's YAML file says what
    the paper leaves open and is chosen here.

    Args:
        name: of `PRESETS`.
        size: `tiny` (two CPU cores, minutes), `small` (one GPU, hours) or `paper`.
        ablation: of `hptransfer.study.paper_presets.ABLATIONS`; what it changes and the size sets, too,
            is lost.
        overrides: `KEY=VALUE`, keys to change (see `hptransfer.study.overrides`).

    Raises:
        SpecError: a name is unknown.
    """
    one_of(size, SIZES, "--size", SpecError)
    paper = PRESETS[one_of(name, PRESETS, "a preset", SpecError)]
    change = ABLATIONS[paper][one_of(ablation, ABLATIONS[paper], f"an ablation of {paper}", SpecError)]
    data = _sections(name)[size]
    parts = [name, *([] if ablation == "baseline" else [ablation]), size]
    study = _merged(paper, change, data) | {"name": "-".join(parts)}
    return parse_study(apply_overrides(study, overrides), where=f"preset {name}")


def _merged(family: str, change: Ablation, data: Mapping[str, Any]) -> dict[str, Any]:
    """The paper's settings, the ablation's changes to them, then the size's."""
    model = {**MODELS[family], **change.model}
    if not {"head_dim", "heads"}.isdisjoint(data.get("model", {})):
        model = {k: v for k, v in model.items() if k not in ("heads", "head_dim")}
    train = {**TRAINS[family], **change.train, **data.get("train", {})}
    decay = train.pop("weight_decay", None)
    train = {k: v for k, v in train.items() if v is not None}
    out: dict[str, Any] = {**data, "model": model | data.get("model", {}), "train": train}
    if decay is not None:
        out["weight_decays"] = [decay]
    if change.rule != "mup":
        out["variants"] = [change.rule]
    return out


def _sections(name: str) -> dict[str, Any]:
    import yaml

    text = (files("hptransfer.study") / "preset_specs" / f"{name}.yaml").read_text(encoding="utf-8")
    return dict(yaml.safe_load(text))
