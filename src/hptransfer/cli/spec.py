"""Which study a command is about: a YAML file, or a preset at a size."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from hptransfer.cli.options import argument, option
from hptransfer.errors import SpecError

if TYPE_CHECKING:
    from hptransfer.study.spec import StudySpec

Spec = Annotated[
    str, argument("SPEC", "A YAML file, or a preset: kalra2026-step, kalra2026-tpp, lingle2024.")
]
Size = Annotated[str | None, option("tiny|small|paper", "Size of a preset.  [default: tiny]")]
Ablation = Annotated[str | None, option("NAME", "Ablation of the preset lingle2024: sp-attention, lion, ...")]
Out = Annotated[Path | None, option("DIR", "Folder of the study.  [default: runs/NAME]")]
Override = Annotated[
    list[str] | None, option("KEY=VALUE", "Set a key of the spec; may be repeated.", "--set")
]


def read_spec(
    name: str, size: str | None = None, ablation: str | None = None, overrides: Iterable[str] = ()
) -> StudySpec:
    """The study of a YAML file or of a preset.

    Raises:
        SpecError: there is no such file or preset, or it is malformed.
    """
    from hptransfer.study.presets import PRESETS, preset
    from hptransfer.study.spec import load_study

    if name in PRESETS and not Path(name).is_file():
        return preset(name, size or "tiny", ablation or "baseline", overrides)
    if size is not None or ablation is not None:
        flag = "--size" if size is not None else "--ablation"
        raise SpecError(f"{flag} must go with a preset ({', '.join(PRESETS)}), but got {name}")
    if not Path(name).is_file():
        raise SpecError(_no_spec(name, PRESETS))
    return load_study(name, overrides)


def _no_spec(name: str, presets: Iterable[str]) -> str:
    """Why a name is no spec: a study's folder, a file that is not there, or a preset that there is not."""
    path = Path(name)
    if path.is_dir():
        held = (path / "study.sqlite").is_file()
        report = f"; `hptransfer report {name}` reports the study in it" if held else ""
        return f"a spec must be a YAML file, but {name} is a folder{report}"
    if len(path.parts) > 1 or path.suffix in (".yaml", ".yml"):
        close = get_close_matches(path.name, [found.name for found in path.parent.glob("*.y*ml")], n=1)
        nearest = f"; is it {path.with_name(close[0])}?" if close else ""
        return f"the spec must be a file, but there is no {name}{nearest}"
    close = get_close_matches(name, list(presets), n=1)
    nearest = f"; is it {close[0]}?" if close else ""
    valid = f"a YAML file or a preset ({', '.join(presets)})"
    return f"a spec must be {valid}, but got {name}, which is neither a file nor a preset{nearest}"
