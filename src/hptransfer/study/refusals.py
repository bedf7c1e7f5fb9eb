"""What would keep a study from starting, found without training: `plan` refuses what `run` refuses."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from hptransfer.errors import StoreError
from hptransfer.study.corpus import corpus_of
from hptransfer.study.spec import StudySpec

SMALL_TEXT = 1 << 22  # bytes of text that are quick to tokenise, and so can be checked to the end
_PACKAGES = {"ray": ("ray", "ray"), "slurm": ("submitit", "slurm")}  # executor -> its package and its extra


def check_startable(spec: StudySpec, folder: Path) -> list[str]:
    """Refuses a study that could start on no machine; returns what only this machine lacks, as sentences.

    Text that takes long to tokenise is looked for and not read to its end, and a dataset of the Hugging Face
    Hub is not looked up.

    Raises:
        DataError: the text or the tokens cannot be found, or do not suit the model.
        StoreError: the study's folder is a file.
    """
    if folder.exists() and not folder.is_dir():
        raise StoreError(
            f"the study's folder must be a folder, but {folder} is a file; name another with --out"
        )
    if spec.trial.kind == "builtin":
        _check_text(spec)
    lacks = []
    if spec.trial.kind == "builtin" and importlib.util.find_spec("torch") is None:
        lacks.append("lm")
    package, extra = _PACKAGES.get(spec.executor.kind, (None, ""))
    if package is not None and importlib.util.find_spec(package) is None:
        lacks.append(extra)
    return [f"to run it, this machine needs the `{extra}` extra" for extra in lacks]


def _check_text(spec: StudySpec) -> None:
    from hptransfer.lm.data import source_files

    source = spec.data.source
    if source == "text" and sum(path.stat().st_size for path in source_files(spec.data)) > SMALL_TEXT:
        return
    needs = {"text": "tokenizers", "bin": "numpy", "synthetic": "numpy"}.get(source)
    if needs is not None and importlib.util.find_spec(needs) is not None:
        corpus_of(spec)
