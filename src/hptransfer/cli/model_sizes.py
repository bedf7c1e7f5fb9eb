"""The sizes of a small model, width apart, as `table` and `coord-check` take them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, TypeVar

from hptransfer.errors import HPTransferError, RuleError

if TYPE_CHECKING:
    from hptransfer.runs.config import ModelConfig

Number = TypeVar("Number", int, float)


@dataclass(frozen=True)
class ModelSizes:
    """All of a model's sizes but its width."""

    depth: int  # blocks
    heads: int  # of attention, at every width
    context: int  # tokens
    vocab: int  # tokens

    def as_arguments(self) -> dict[str, int]:
        """The sizes by the names that model builders take."""
        return asdict(self)

    def decoder_config(self, width: int) -> ModelConfig:
        """The reference decoder of a width.

        Raises:
            RuleError: the sizes do not fit together.
        """
        from pydantic import ValidationError

        from hptransfer.runs.config import ModelConfig

        try:
            return ModelConfig.model_validate({"width": width, **asdict(self)})
        except ValidationError as error:
            found = error.errors()[0]
            place = ".".join(map(str, found["loc"])) or "model"
            raise RuleError(f"{place}: {found['msg'].removeprefix('Value error, ')}") from None


def comma_separated(text: str, option: str, kind: type[Number], error: type[HPTransferError]) -> list[Number]:
    """The numbers of an option such as `64,128`; raises `error` where it is other text."""
    try:
        return [kind(part) for part in text.split(",")]
    except ValueError:
        what = "whole numbers" if kind is int else "numbers"
        raise error(f"{option} must be {what}, comma-separated, but got {text!r}") from None
