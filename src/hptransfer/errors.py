"""The exception tree: one root, so that a caller (or the command line) can catch every user-facing fault."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path


class HPTransferError(Exception):
    """Root of every error that hptransfer raises on purpose; its text is one line for the user.

    The text states what must hold, what was found, and what is valid. The command line prints it
    and exits with code 2; anything else that escapes is a bug.
    """


class SweepError(HPTransferError):
    """A table of runs cannot be read as a sweep table."""


class QuantifyError(HPTransferError):
    """A quantity was asked for that the sweep table cannot support, or a setting is out of range."""


class RuleError(HPTransferError):
    """A parametrization rule is unknown or does not fit the model."""


class VerifyError(RuleError):
    """A live optimizer or model is not as its rule asks; the text is a table, `faults` its rows."""

    def __init__(self, text: str, faults: tuple[object, ...] = ()) -> None:
        super().__init__(text)
        self.faults = faults


class DynamicsError(HPTransferError):
    """A check of what happens inside a run cannot be made as asked."""


class SpecError(HPTransferError):
    """A study's spec is malformed."""


class DataError(HPTransferError):
    """Training text or tokens cannot be found, read or used."""


class StoreError(HPTransferError):
    """A study's store cannot be opened, or was made by another version."""


class ExecutorError(HPTransferError):
    """The executor that trains a study's stacks cannot be started or reached."""


class CheckpointError(HPTransferError):
    """A checkpoint cannot be written."""


class MissingExtraError(HPTransferError):
    """An optional dependency is needed that is not installed; the text says how to install it."""

    def __init__(self, extra: str, purpose: str) -> None:
        super().__init__(f"{purpose} needs the `{extra}` extra: {install_command(extra)}")


def install_command(extra: str) -> str:
    """What adds an extra to this installation, wherever it came from.

    pip takes an installed package's extras from its own metadata, so that the name alone also works for one
    that was installed from a clone and is on no index. Code that runs from a clone without having been
    installed has no metadata: there the clone is named.
    """
    from importlib.metadata import PackageNotFoundError, distribution

    try:
        distribution("hptransfer")
    except PackageNotFoundError:
        return f"pip install -e '{Path(__file__).resolve().parents[2]}[{extra}]'"
    return f"pip install 'hptransfer[{extra}]'"


def one_of(value: str, valid: Iterable[str], what: str, error: type[HPTransferError]) -> str:
    """The value, where it is one of the valid ones.

    Args:
        value: to check.
        valid: values.
        what: the value is, as the user knows it: `--optimizer`.
        error: to raise, with the valid values in its text.
    """
    found = tuple(valid)
    if value not in found:
        raise error(f"{what} must be one of {', '.join(found)}, but got {value!r}")
    return value
