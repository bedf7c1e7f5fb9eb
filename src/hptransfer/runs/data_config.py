"""Where tokens come from, as plain, validated data. No torch here."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from hptransfer.runs.base import Config

Source = Literal["python-stdlib", "text", "bin", "hub", "synthetic"]

# Fields that belong to some sources alone.
_BELONG = {
    "files": ("text", "bin", "hub"),
    "validation_files": ("bin",),
    "dataset": ("hub",),
    "subset": ("hub",),
    "split": ("hub",),
    "column": ("hub",),
    "revision": ("hub",),
    "tokenizer": ("python-stdlib", "text", "hub"),
    "tokens": ("hub", "synthetic"),
    "order": ("synthetic",),
    "classes": ("synthetic",),
    "zipf": ("synthetic",),
    "seed": ("synthetic",),
}
_NEEDED = {"text": "files", "bin": "files", "hub": "dataset"}
_CONTEXTS = 1 << 20  # most contexts of a synthetic source


class DataConfig(Config):
    """Where the tokens come from. A run's id leaves out what has its default: a default may never change."""

    source: Source = "python-stdlib"  # the interpreter's own source files, or what the other fields name
    files: str | None = None  # glob: text files (text), token files (bin), data files (hub, local formats)
    validation_files: str | None = None  # bin: glob of held-out token files; default: the end of `files`
    dataset: str | None = None  # hub: name, folder of save_to_disk, or format of `files` (json, parquet, ...)
    subset: str | None = None  # hub: configuration of the dataset
    split: str = "train"  # hub: split to read; validation is held out of it
    column: str = "text"  # hub: column of the text
    revision: str | None = None  # hub: commit, tag or branch of the dataset
    tokenizer: str | None = None  # tokenizer.json, its folder, or a Hub name; default: a BPE of model.vocab
    # hub: stop after so many (default: at the end); synthetic: so many (default: 2**22). Validation included.
    tokens: int | None = Field(None, gt=0)
    order: int = Field(1, ge=1, le=8)  # synthetic: tokens that the next one depends on
    classes: int = Field(64, ge=1)  # synthetic: classes (token mod this) by which it depends on each of them
    zipf: float = Field(1.2, ge=0, le=10)  # synthetic: exponent of the next token's rank law
    seed: int = Field(0, ge=0)  # synthetic: of the source
    validation_fraction: float = Field(0.05, gt=0, lt=1)  # share held out: of files, documents or tokens
    validation_tokens: int = Field(16384, gt=0)  # held-out tokens that a final loss is measured on

    @model_validator(mode="after")
    def _belong(self) -> DataConfig:
        needed = _NEEDED.get(self.source)
        if needed and getattr(self, needed) is None:
            raise ValueError(f"`{needed}` must be given with source {self.source!r}, but it is not")
        for name, sources in _BELONG.items():
            if self.source not in sources and getattr(self, name) != type(self).model_fields[name].default:
                raise ValueError(
                    f"`{name}` must be given only with source {' or '.join(sources)}, but got "
                    f"source={self.source!r}, {name}={getattr(self, name)!r}"
                )
        if self.classes**self.order > _CONTEXTS:
            raise ValueError(
                f"classes ** order <= {_CONTEXTS} must hold, but got {self.classes} ** {self.order}"
            )
        return self
