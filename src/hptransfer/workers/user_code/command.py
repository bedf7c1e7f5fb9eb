"""One call of the user's own training code, and the run's record that it gives."""

from __future__ import annotations

import json
import math
import os
import platform
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from hptransfer.errors import SpecError
from hptransfer.files import printable, read_regular, strict_json
from hptransfer.runs.config import RunRecord, RunSpec
from hptransfer.version import __version__
from hptransfer.words import precise
from hptransfer.workers.user_code import function_runner, process_guard
from hptransfer.workers.user_code.config import TrialConfig, fill, values, variable

LOG_CAP = 8 << 20  # bytes of each stream that are kept on disk; what comes after is dropped
TAIL = 1 << 20  # bytes of each stream's end that are searched for a result
RESULT_CAP = 64 << 20  # bytes of a result file
CURVE = 1_000_000  # most points of a curve
EXTRA, EXTRA_TEXT = 100, 1000  # further keys that are kept, and characters of one's name or text
_GRACE = 15.0  # seconds for a guard to end what it guards
_SAID = 1000  # characters of a failed call's own words that are kept
_SHOWN = 200  # characters of a command's last line that an error shows


Size = Annotated[int, Field(ge=0, lt=2**63)]  # what the store can hold
Positive = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Result(BaseModel):
    """What a call gives as JSON; some plain keys beyond these are kept with the run.

    Every field is bounded here, where it enters, so that no result can harm the store or the other runs.
    """

    model_config = ConfigDict(extra="allow")

    loss: float | None = None  # final, nats per token (or whatever is compared); null, NaN: diverged
    status: Literal["done", "diverged", "failed"] | None = None  # decided by the loss where it is missing
    loss_se: Positive | None = None  # standard error of the loss
    initial_loss: float | None = None  # before the first step; a run that ends above it is diverged
    curve: tuple[tuple[Size, float | None], ...] = Field((), max_length=CURVE)  # (step, training loss)
    diverged_step: Size | None = None  # from which on the run has diverged; default: as the curve says
    tokens: Size | None = None  # of training
    params: Size = 0  # trainable
    flops: Positive | None = None  # of training
    error: str | None = None  # where failed

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth_for_a_number(cls, value: Any) -> Any:
        if _holds_truth(value):
            raise ValueError("a truth value is no number")
        return value


@dataclass(frozen=True)
class CompletedCall:
    """A call that is over."""

    code: int  # exit code
    late: bool  # whether it was ended for taking too long
    out: bytes  # end of its stdout
    err: bytes  # end of its stderr
    seconds: float  # it took


class OwnCodeError(Exception):
    """A call gave no result; its text says why, in one line."""


def run_user_code(run: RunSpec, trial: TrialConfig, folder: Path) -> RunRecord:
    """Call the code for one run.

    Args:
        run: what to train.
        trial: how.
        folder: for the result and what is printed, emptied of an earlier try's result.

    Returns:
        The run's record; of status `failed`, with a reason of one line, where the code gave none.

    Raises:
        SpecError: the program, or the working directory, is not there.
    """
    folder = _scratch(folder)
    started = time.monotonic()
    try:
        result = _result(_called(run, trial, folder), trial, folder)
        return _record(run, result, time.monotonic() - started)
    except OwnCodeError as error:
        return RunRecord(
            run_id=run.run_id,
            status="failed",
            loss=math.nan,
            tokens=run.tokens,
            wall_s=time.monotonic() - started,
            error=f"{error}; its output is in {folder}",
        )


def _called(run: RunSpec, trial: TrialConfig, folder: Path) -> CompletedCall:
    result = folder / "result.json"
    with suppress(IsADirectoryError):  # which is then found, and refused
        result.unlink(missing_ok=True)
    known = {**values(run), "result": str(result), "folder": str(folder)}
    if trial.command is not None:
        words = fill(trial.command, known)
    else:
        runner = [sys.executable, "-P", str(function_runner.__file__)]
        words = [*runner, str(trial.function), str(result), json.dumps(known)]
    given = {variable(name): str(value) for name, value in known.items()}
    environment = {**os.environ, **given, **dict(trial.environment)}
    ended = _run(words, environment, trial, folder)
    if ended.code == 127 and not ended.out:
        raise SpecError(f"`trial.command` must start with a program, but {_last(ended.err)}")
    return ended


def _run(words: list[str], environment: dict[str, str], trial: TrialConfig, folder: Path) -> CompletedCall:
    """Run a command to its end, or to the end of its time; whatever it prints is drained and capped."""
    started = time.monotonic()
    try:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(process_guard.__file__), *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=trial.cwd,
            env=environment,
            process_group=0,
        )
    except OSError as error:
        raise SpecError(f"`trial.cwd` must be a folder, but {trial.cwd}: {error.strerror}") from None
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    out = CappedReader(process.stdout, folder / "stdout.log")
    err = CappedReader(process.stderr, folder / "stderr.log")
    late = False
    try:
        process.wait(trial.timeout)
    except subprocess.TimeoutExpired:
        late = True
    finally:
        process.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE)
        if process.poll() in (None, -signal.SIGKILL):  # a guard that cannot do its work
            with suppress(OSError):
                os.killpg(process.pid, signal.SIGKILL)
    return CompletedCall(process.wait(), late, out.end(), err.end(), time.monotonic() - started)


class CappedReader(threading.Thread):
    """Reads a stream to its end, keeps its start on disk and its end in memory, drops the rest."""

    def __init__(self, stream: IO[bytes], log: Path) -> None:
        super().__init__(daemon=True)
        self._stream = stream
        self._log = log
        self._tail = b""
        self.start()

    def run(self) -> None:
        """Read."""
        left = LOG_CAP
        with suppress(OSError, ValueError), open(self._log, "wb") as log:
            while chunk := os.read(self._stream.fileno(), 1 << 16):
                self._tail = (self._tail + chunk)[-TAIL:]
                if left > 0:
                    with suppress(OSError):  # a full disk costs the log, not the result
                        log.write(chunk[:left])
                        log.flush()
                    left -= len(chunk)

    def end(self) -> bytes:
        """The stream's end, once it is over."""
        self.join(_GRACE)
        if not self.is_alive():
            self._stream.close()
        return self._tail


def _result(ended: CompletedCall, trial: TrialConfig, folder: Path) -> dict[str, Any]:
    """The JSON object that a call left or printed.

    Raises:
        OwnCodeError: it took too long, ended with an error, or gave none.
    """
    if ended.late:
        raise OwnCodeError(f"the call must end within {precise(trial.timeout or 0.0)} s, but had to be ended")
    if ended.code:
        cause = f"signal {ended.code - 128}" if ended.code > 128 else f"exit code {ended.code}"
        raise OwnCodeError(f"the call must end with exit code 0, but ended with {cause}: {_last(ended.err)}")
    left = folder / "result.json"
    if os.path.lexists(left):
        try:
            found = _json(read_regular(left, RESULT_CAP))
        except (OSError, ValueError) as error:
            raise OwnCodeError(f"a result must be a file that can be read, but {left}: {error}") from None
        if found is None:
            raise OwnCodeError(f"a result file must hold one JSON object with `loss`, but {left} does not")
        return found
    for line in reversed(ended.out.splitlines()):
        if (found := _json(line)) is not None:
            return found
    raise OwnCodeError(
        "the call must leave a JSON object with `loss` in {result} or print one on a line of its own, but "
        + (f"printed {_last(ended.out)!r} last" if ended.out.strip() else "printed nothing")
    )


def _json(text: bytes) -> dict[str, Any] | None:
    """A JSON object with a loss or a status; None where it is anything else."""
    if b"{" not in text:
        return None
    try:
        found = json.loads(text.strip())
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict) or not ("loss" in found or "status" in found):
        return None
    try:
        return dict(strict_json(text.strip()))
    except ValueError as error:
        raise OwnCodeError(f"a result must say one thing: {error}") from None


def _record(run: RunSpec, found: dict[str, Any], seconds: float) -> RunRecord:
    from hptransfer.runs.divergence import divergence
    from hptransfer.runs.flops import run_flops

    try:
        result = Result.model_validate(found)
    except ValidationError as error:
        first = error.errors()[0]
        path = ".".join(str(part) for part in first["loc"])
        raise OwnCodeError(
            f"`{path}` of the result: {first['msg']}, but got {_short(first['input'])}"
        ) from None
    if result.status == "failed":
        said = " ".join(printable(result.error or "").split())
        raise OwnCodeError(
            f"the call says that it failed: {said[:_SAID]}" if said else "the call says that it failed"
        )
    loss = math.nan if result.loss is None else result.loss
    points = sorted(result.curve, key=lambda point: point[0])
    steps, curve = [step for step, _ in points], [math.nan if at is None else at for _, at in points]
    diverged, step = divergence(loss, result.initial_loss, curve, steps)
    done = not diverged and result.status != "diverged" and result.diverged_step is None
    more = dict([(k, v) for k, v in (result.model_extra or {}).items() if _is_small(k, v)][:EXTRA])
    return RunRecord(
        run_id=run.run_id,
        status="done" if done else "diverged",
        loss=loss if done else math.nan,
        loss_se=result.loss_se if done else None,
        initial_loss=result.initial_loss,
        curve=tuple(zip(steps, curve, strict=True)),
        diverged_step=step if result.diverged_step is None else result.diverged_step,
        tokens=run.tokens if result.tokens is None else result.tokens,
        params=result.params,
        flops=run_flops(run) if result.flops is None else result.flops,
        wall_s=seconds,
        engine={"stack": 1, "machine": platform.node(), **({"result": more} if more else {})},
        versions={"hptransfer": __version__, "python": platform.python_version()},
    )


def _holds_truth(value: object) -> bool:
    return isinstance(value, bool) or (isinstance(value, list) and any(map(_holds_truth, value)))


def _short(value: object) -> str:
    """A wrong value, cut before it is written out: an integer of a million digits takes long."""
    if isinstance(value, int) and value.bit_length() > 128:
        return f"a number of {value.bit_length()} bits"
    return printable(repr(value[:60] if isinstance(value, str | list) else value))[:60]


def _is_small(key: str, value: object) -> bool:
    """Whether a further key of a result can be kept as it is."""
    texts = (key, value) if isinstance(value, str) else (key,)
    if any(len(text) > EXTRA_TEXT or printable(text) != text for text in texts):
        return False
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, str) or (isinstance(value, int) and abs(value) < 2**63)


def _scratch(folder: Path) -> Path:
    """The run's folder; a temporary one on a machine that does not see the study's."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return Path(tempfile.mkdtemp(prefix="hptransfer-"))
    return folder


def _last(text: bytes) -> str:
    """The last line that says something, as one line of printable characters."""
    lines = [line for line in text.decode(errors="replace").splitlines() if line.strip()]
    shown = " ".join("".join(c if c.isprintable() else "?" for c in (lines or ["nothing"])[-1]).split())
    return shown if len(shown) <= _SHOWN else shown[: _SHOWN - 3] + "..."
