"""Which study a command is about: a YAML file, or a preset at a scale."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hptransfer.errors import SpecError

if TYPE_CHECKING:
    from hptransfer.study.spec import StudySpec

Spec = Annotated[
    str,
    typer.Argument(metavar="SPEC", help="YAML file, or a preset: kalra2026-step, kalra2026-tpp, lingle2024."),
]
Scale = Annotated[str | None, typer.Option(metavar="tiny|small|paper", help="Of a preset.  [default: tiny]")]
Ablation = Annotated[
    str | None, typer.Option(metavar="NAME", help="Of lingle2024: sp-attention, gains-vector, lion, ...")
]
Out = Annotated[Path | None, typer.Option(metavar="DIR", help="Folder of the study.  [default: runs/NAME]")]


Override = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="A key of the spec given anew; repeatable."),
]


def read_spec(
    name: str, scale: str | None = None, ablation: str | None = None, changes: Iterable[str] = ()
) -> StudySpec:
    """The study that a user means by a name, with keys given anew.

    Raises:
        SpecError: there is no such file or preset, or it is malformed.
    """
    from hptransfer.study.presets import PRESETS, preset
    from hptransfer.study.spec import load_study

    if name in PRESETS and not Path(name).is_file():
        return preset(name, scale or "tiny", ablation or "baseline", changes)
    if scale is not None or ablation is not None:
        flag = "--scale" if scale is not None else "--ablation"
        raise SpecError(f"{flag} goes with a preset ({', '.join(PRESETS)}), but got {name}")
    if not Path(name).exists():
        raise SpecError(f"a spec must be a YAML file or a preset ({', '.join(PRESETS)}), but got {name}")
    return load_study(name, changes)
