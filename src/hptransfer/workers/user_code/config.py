"""How a study calls training code of the user's own, as plain data in its spec."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from hptransfer.errors import SpecError
from hptransfer.parametrization.coordinates import convert_lr
from hptransfer.parametrization.optimizers import family
from hptransfer.runs.base import Config, Pairs
from hptransfer.runs.config import RunSpec
from hptransfer.runs.decode import Code

Value = str | int | float | bool
AT_CALL = ("result", "folder")  # placeholders that are known when the code is called
_PLACEHOLDER = re.compile(r"\{\{|\}\}|\{([A-Za-z_][A-Za-z0-9_]*)\}")
_SHELLS = {"sh", "bash", "dash", "zsh", "ksh", "fish"}
_OWN = ("timeout", "environment", "cwd")


def _words(value: object) -> object:
    """A command's words; a text is split as a shell would, and nothing in it is expanded."""
    if isinstance(value, str):
        try:
            return shlex.split(value)
        except ValueError as error:
            raise ValueError(f"a command must be splittable into words, but {error}: {value!r}") from None
    return value


class TrialConfig(Config):
    """What trains a run, and what is done when it fails."""

    kind: Literal["builtin", "function", "command"] = "builtin"  # the reference model, or code of yours
    command: Annotated[tuple[str, ...] | None, BeforeValidator(_words)] = Field(None, min_length=1)
    function: str | None = Field(None, pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")  # `module:function`
    timeout: float | None = Field(None, gt=0)  # seconds that a call may take; None: as long as it wants
    retries: int = Field(2, ge=0, le=100)  # times a failed run is tried again in a session
    backoff: float = Field(1.0, ge=0, le=3600)  # seconds before the first retry; doubled before each next
    environment: Pairs = ()  # set for a call, on top of the worker's
    cwd: str | None = None  # working directory of a call; default: where hptransfer was started

    @model_validator(mode="after")
    def _fits(self) -> TrialConfig:
        for name in ("command", "function"):
            if (getattr(self, name) is not None) != (self.kind == name):
                raise ValueError(
                    f"`{name}` must be given with kind {name} and only then, but got kind={self.kind!r}, "
                    f"{name}={getattr(self, name)!r}"
                )
        given = [name for name in _OWN if getattr(self, name) not in (None, ())]
        if self.kind == "builtin" and given:
            raise ValueError(f"`{given[0]}` must be given for kinds function and command only")
        texts = (*(self.command or ()), *(part for pair in self.environment for part in pair))
        if any("\0" in text for text in texts):
            raise ValueError("a command and its environment must be without NUL characters")
        return self

    @property
    def code(self) -> Code | None:
        """What decides a run's numbers, for its identity; None for the built-in model."""
        if self.kind == "builtin":
            return None
        call = self.command if self.command is not None else (str(self.function),)
        return Code(kind=self.kind, call=call, environment=self.environment)

    @property
    def identity(self) -> dict[str, object]:
        """The part of this config that decides a run's numbers."""
        return {} if self.code is None else self.code.model_dump(mode="json")


def values(run: RunSpec) -> dict[str, Value]:
    """The values of a run that a call can be given, by the name of their placeholder.

    `lr` is in SP coordinates, `lr_mup` in muP coordinates (lr x width / base width; under SGD the same as
    `lr`); every plain setting of the spec's `model` and `train` sections is there under its own name.
    """
    sections = {**run.model.model_dump(), **run.train.model_dump()}
    return {
        **{name: value for name, value in sections.items() if isinstance(value, str | int | float)},
        "variant": run.rule,
        "base_width": run.base_width,
        "lr": run.lr,
        "lr_mup": convert_lr(run.lr, run.width_ratio, "sp", "mup", family(run.train.optimizer)),
        "seed": run.seed,
        "data_seed": run.data_seed,
        "tokens": run.tokens,
        "run_id": run.run_id,
    }


def fill(words: Sequence[str], known: Mapping[str, Value]) -> list[str]:
    """A command's words with every `{name}` replaced by its value; `{{` and `}}` stand for braces.

    A value never becomes more than one word. Where a word is a script for a shell (`bash -c ...`), values
    in it are quoted for that shell.

    Raises:
        SpecError: a placeholder is unknown.
    """
    script = _script(words)

    def value(match: re.Match[str], quoted: bool) -> str:
        name = match.group(1)
        if name is None:
            return match.group(0)[0]
        if name not in known:
            raise SpecError(
                f"`trial.command`: every placeholder must be known, but got {{{name}}}; valid: "
                + ", ".join(sorted(known))
            )
        text = repr(found) if isinstance(found := known[name], float) else str(found)
        return shlex.quote(text) if quoted else text

    plain, quoting = partial(value, quoted=False), partial(value, quoted=True)
    return [_PLACEHOLDER.sub(quoting if at == script else plain, word) for at, word in enumerate(words)]


def check(trial: TrialConfig, run: RunSpec) -> None:
    """Refuse a template that cannot be filled for a run.

    Raises:
        SpecError: a placeholder is unknown.
    """
    if trial.command is not None:
        fill(trial.command, {**values(run), **dict.fromkeys(AT_CALL, "")})


def _script(words: Sequence[str]) -> int | None:
    """Place of the word that a shell will read as a script; None where there is none."""
    for place, word in enumerate(words[:-2]):
        if os.path.basename(word) in _SHELLS:
            for after in range(place + 1, len(words) - 1):
                if re.fullmatch(r"-[a-z]*c", words[after]):
                    return after + 1
    return None
