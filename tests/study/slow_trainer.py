"""The fake trainer for workers that inherit no environment of ours: slow, endless, or at fault, by name."""

from __future__ import annotations

import os
import time
from typing import Any

import fake_trainer

from hptransfer.errors import DataError
from hptransfer.runs.config import RunRecord


def train(runs: Any, **more: Any) -> list[RunRecord]:
    os.environ["FAKE_STEP_S"] = "0.08"
    return fake_trainer.train(runs, **more)


def forever(runs: Any, **more: Any) -> list[RunRecord]:
    time.sleep(600)
    return []


def fail(runs: Any, **more: Any) -> list[RunRecord]:
    raise RuntimeError("a fault\non purpose")


def refuse(runs: Any, **more: Any) -> list[RunRecord]:
    raise DataError("there must be text, but there is none")
