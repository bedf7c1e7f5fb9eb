"""Runs and their records decoded from plain data, those of the user's own code included."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Literal

from pydantic import TypeAdapter

from hptransfer.runs.base import Config, Pairs
from hptransfer.runs.config import RunRecord, RunSpec


class Code(Config):
    """What is called to train a run of the user's own code; part of the run's identity.

    Edits inside the called file are not seen: give the command a new flag, or the study a new folder.
    """

    kind: Literal["function", "command"]  # of what is called
    call: tuple[str, ...]  # the command's words, placeholders and all, or `module:function` alone
    environment: Pairs = ()  # set for the call


class UserCodeRun(RunSpec):
    """A run that the user's own code trains; the sections hold the values that its placeholders take."""

    code: Code  # what is called


def run_from(data: Mapping[str, Any]) -> RunSpec:
    """A run from its plain data.

    Raises:
        pydantic.ValidationError: it is no run of this version.
    """
    return UserCodeRun.model_validate(data) if "code" in data else RunSpec.model_validate(data)


def record_from(data: Mapping[str, Any]) -> RunRecord:
    """A record from its plain data, with tuples where JSON has lists.

    Raises:
        pydantic.ValidationError: it is no record of this version.
    """
    record: RunRecord = _records().validate_python(data)
    return record


@lru_cache(maxsize=1)
def _records() -> TypeAdapter[RunRecord]:
    return TypeAdapter(RunRecord)
