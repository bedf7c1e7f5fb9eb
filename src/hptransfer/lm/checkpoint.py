"""Checkpoints: a stack in the middle of its training, in one safetensors file."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils._pytree import keystr, tree_flatten_with_path, tree_unflatten

from hptransfer.errors import CheckpointError, MissingExtraError

_FORMAT = 1  # raise when a file comes to mean something else
_KEY = "hptransfer"  # of our JSON in the file's own header
_STATE = "state"  # prefix of the state's tensors


@dataclass(frozen=True)
class Progress:
    """What of a stack's training is not in its tensors.

    Attributes:
        run_ids: of the runs, in order: whose training this is.
        corpus: sha256 of what they train on.
        step: steps done.
        wall_s: time spent so far, seconds.
        probes: what they have measured so far, as plain data; None where there are none.
    """

    run_ids: tuple[str, ...]
    corpus: str
    step: int
    wall_s: float
    probes: Mapping[str, Any] | None = None


Checkpoint = tuple[Any, dict[str, NDArray[np.float64]], Progress]  # state, what else is of numbers, the rest


def write_checkpoint(
    path: Path, state: Any, arrays: Mapping[str, NDArray[np.float64]], progress: Progress
) -> None:
    """Put a stack's training in a file, whole or not at all: a file that was there stays until then.

    Args:
        path: of the file; its folder is made.
        state: nested tuples and dicts of tensors.
        arrays: what else is of numbers (losses so far).
        progress: the rest.

    Raises:
        CheckpointError: the file cannot be written; an earlier one is untouched.
    """
    save = _safetensors().torch.save_file
    leaves, _ = tree_flatten_with_path(state)
    tensors = {_STATE + keystr(key): leaf.detach().cpu().contiguous() for key, leaf in leaves}
    tensors |= {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in arrays.items()}
    about = {"format": _FORMAT, "progress": asdict(progress)}
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save(tensors, part, metadata={_KEY: json.dumps(about)})
        _sync(part)
        part.replace(path)
        _sync(path.parent)
    except Exception as error:  # the library has its own for a full disk
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        if not isinstance(error, OSError | _safetensors().SafetensorError):
            raise
        kept = "the one before is kept" if path.is_file() else "there is none before it"
        raise CheckpointError(
            f"the checkpoint {path} must be writable, but: {' '.join(str(error).split())}; {kept}"
        ) from error


def read_checkpoint(path: Path, state: Any, run_ids: Sequence[str], corpus: str) -> Checkpoint | None:
    """A stack's training from its file.

    Args:
        path: of the file.
        state: of the same stack; says which tensors there must be, and where they belong.
        run_ids: of the stack's runs.
        corpus: sha256 of what they train on.

    Returns:
        State, arrays and progress as they were written; None where there is no file, or it is damaged, or is
        not of these runs: then training begins at the first step.
    """
    found = _read(path)
    if found is None:
        return None
    tensors, progress = found
    if progress.run_ids != tuple(run_ids) or progress.corpus != corpus:
        return None
    leaves, structure = tree_flatten_with_path(state)
    restored = []
    for key, leaf in leaves:
        tensor = tensors.pop(_STATE + keystr(key), None)
        if tensor is None or tensor.shape != leaf.shape or tensor.dtype != leaf.dtype:
            return None
        restored.append(tensor.to(leaf.device))
    arrays = {name: tensor.numpy() for name, tensor in tensors.items()}
    return tree_unflatten(restored, structure), arrays, progress


def _read(path: Path) -> tuple[dict[str, Tensor], Progress] | None:
    library = _safetensors()
    try:
        with library.safe_open(path, framework="pt") as file:
            about = json.loads((file.metadata() or {})[_KEY])
            if about["format"] != _FORMAT:
                return None
            fields = about["progress"]
            progress = Progress(**{**fields, "run_ids": tuple(fields["run_ids"])})
            return {name: file.get_tensor(name) for name in file.keys()}, progress  # noqa: SIM118
    except (OSError, ValueError, KeyError, TypeError, library.SafetensorError):
        return None


def _safetensors() -> Any:
    try:
        import safetensors.torch
    except ImportError as error:
        raise MissingExtraError("lm", "writing checkpoints") from error
    return safetensors


def _sync(path: Path) -> None:
    """To the disk itself, so that a power cut after the rename cannot leave an empty file under its name."""
    if os.name != "posix" and path.is_dir():
        return  # folders cannot be synced there
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
