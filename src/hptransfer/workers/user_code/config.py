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
# `{name}`, and what would be one in Python's format language: `{lr:.3f}`, `{lr!r}`, `{ lr }`.
_PLACEHOLDER = re.compile(r"\{\{|\}\}|\{\s*([A-Za-z_][A-Za-z0-9_]*)\s*(?:[:!.\[][^{}]*)?\}")
_SHELLS = {"sh", "bash", "dash", "zsh", "ksh", "fish", "busybox"}
_INTERPRETERS = ("python", "perl", "ruby", "node")
_REREAD = {"ssh", "su", "runuser", "eval", "parallel", "watch"}  # give their arguments to a shell
_CODE = re.compile(r"[\s;|&$`()<>'\"]")  # a word with one of these may be code
_HARMLESS = re.compile(r"[A-Za-z0-9_.,:=@%/+-]*")
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
    timeout: float | None = Field(None, gt=0, le=1e8)  # seconds that a call may take
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
        texts = (*(self.command or ()), *(part for pair in self.environment for part in pair), self.cwd or "")
        if any("\0" in text for text in texts):
            raise ValueError("a command and its environment must be without NUL characters")
        if bad := [name for name, _ in self.environment if not name or "=" in name]:
            raise ValueError(
                f"the name of an environment variable must be a word without =, but got {bad[0]!r}"
            )
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

    A value never becomes more than one word. Where a word is a script for a shell or another interpreter, a
    value is put into it only if no language could read it as code; the environment has every value too.

    Raises:
        SpecError: a placeholder is unknown or has a format, or a value could be read as code.
    """
    scripts = _scripts(words)

    def value(match: re.Match[str], script: bool) -> str:
        if match.group(0) in ("{{", "}}"):
            return match.group(0)[0]
        name = match.group(1)
        if match.group(0) != f"{{{name}}}" or name not in known:
            raise SpecError(
                f"`trial.command`: placeholders must be known and plain, but got {match.group(0):.50}; "
                f"valid: "
                f"{', '.join(sorted(known))}; braces of another meaning are written twice"
            )
        text = repr(found) if isinstance(found := known[name], float) else str(found)
        if script and not _HARMLESS.fullmatch(text):
            raise SpecError(
                f"`trial.command`: a value in a script must be without blanks and quotes, but {{{name}}} "
                f"is {text!r:.80}: use the environment variable {variable(name)}, or name another folder"
            )
        return text

    return [_PLACEHOLDER.sub(partial(value, script=at in scripts), word) for at, word in enumerate(words)]


def variable(name: str) -> str:
    """The environment variable that holds a value in a call: `HPTRANSFER_LR` for `lr`."""
    return f"HPTRANSFER_{name.upper()}"


def check(trial: TrialConfig, run: RunSpec) -> None:
    """Refuse a template that cannot be filled for a run.

    Raises:
        SpecError: a placeholder is unknown.
    """
    if trial.command is not None:
        fill(trial.command, {**values(run), **dict.fromkeys(AT_CALL, "")})


def _scripts(words: Sequence[str]) -> set[int]:
    """Places of the words that something may read as code."""
    found = {at for at, word in enumerate(words) if _CODE.search(_PLACEHOLDER.sub("", word))}
    for place, word in enumerate(words):
        program = os.path.basename(word)
        if program in _REREAD:
            found.update(range(place + 1, len(words)))
        if program in _SHELLS or program.startswith(_INTERPRETERS):
            after = range(place + 1, len(words))
            flag = next((at for at in after if re.fullmatch(r"-[A-Za-z]*[ce][A-Za-z]*", words[at])), None)
            rest = range(len(words) if flag is None else flag + 1, len(words))
            found.update([at for at in rest if not words[at].startswith(("-", "+"))][:1])
    return found
