"""The sizes of a study: its widths, or places over several axes of scale."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from itertools import product
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from hptransfer.errors import SpecError
from hptransfer.runs.base import Config
from hptransfer.runs.config import RunSpec
from hptransfer.runs.decoder_tensors import counted_parameters
from hptransfer.sweep.values import number
from hptransfer.words import count, percent, precise, scale_text

MOST = 1000  # values of a list
MOST_PLACES = 10_000  # that lists may combine to
MOST_ROUNDED = 0.05  # share by which tokens may differ from whole steps
KEYS = ("width", "depth", "tokens", "tokens_per_param", "batch_size")  # what a place may say

LawAxis = Literal["width", "params", "depth", "tokens", "batch_size"]


def _count(value: object) -> object:
    """`64k`, `1.4e9` and `7B` as whole numbers; anything else is left to the usual reading of a number."""
    found = number(value) if isinstance(value, str) else None
    return int(found) if found is not None and math.isfinite(found) and found == int(found) else value


_AS_TEXT = {"anyOf": [{"type": "integer", "exclusiveMinimum": 0}, {"type": "string"}]}
Count = Annotated[int, BeforeValidator(_count), WithJsonSchema(_AS_TEXT)]


@dataclass(frozen=True)
class Size:
    """How large a run is; what is None is as the spec's `model` and `train` sections say."""

    width: int
    depth: int | None = None
    tokens: int | None = None  # trained on
    tokens_per_param: float | None = None
    batch_size: int | None = None  # sequences

    @property
    def given(self) -> dict[str, float]:
        """What it says beyond the spec, by name."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    def __str__(self) -> str:
        """`width 64`, or `width 64, tokens 128,000`."""
        given = self.given
        return f"width {self.width}" if len(given) == 1 else _written(given)


def _written(place: Mapping[str, float]) -> str:
    texts = {axis: (count if float(value).is_integer() else precise)(value) for axis, value in place.items()}
    return ", ".join(f"{axis.replace('_', ' ')} {text}" for axis, text in texts.items())


class PlaceConfig(Config):
    """One place of a scale, a value of every axis."""

    width: Count | None = Field(None, gt=0)  # of the residual stream
    depth: Count | None = Field(None, gt=0, le=10_000)  # blocks
    tokens: Count | None = Field(None, gt=0)  # of training
    tokens_per_param: float | None = Field(None, gt=0, le=1e9)  # tokens / parameters, instead
    batch_size: Count | None = Field(None, gt=0, le=1 << 30)  # sequences a step


class ScaleConfig(Config):
    """Places over two axes of scale or more: lists that a design combines, and further places by themselves.

    The learning rates are the grid's at every place, in the grid's coordinates, which go by the width.
    """

    width: tuple[Count, ...] | None = Field(None, min_length=1, max_length=MOST)  # one where it is no axis
    depth: tuple[Count, ...] | None = Field(None, min_length=1, max_length=MOST)  # blocks
    tokens: tuple[Count, ...] | None = Field(None, min_length=1, max_length=MOST)  # of training
    # Tokens / parameters, instead of tokens; the law is over tokens all the same.
    tokens_per_param: tuple[float, ...] | None = Field(None, min_length=1, max_length=MOST)
    batch_size: tuple[Count, ...] | None = Field(None, min_length=1, max_length=MOST)  # sequences a step
    # grid: every combination; star: one axis at a time, the others in their middle; diagonal: the first of
    # every list, the second, and so on.
    design: Literal["grid", "star", "diagonal"] = "grid"
    points: tuple[PlaceConfig, ...] = Field((), max_length=MOST)  # places beside those, or instead
    axes: tuple[LawAxis, ...] | None = Field(
        None, min_length=2, max_length=4
    )  # of the law; default: what varies
    base_depth: int | None = Field(None, gt=0)  # where depth rules are alike; default: the smallest depth

    @model_validator(mode="after")
    def _check(self) -> ScaleConfig:
        places = list(self.places())
        names = [name for name in KEYS if any(name in place for place in places)]
        if "width" not in names:
            raise ValueError("`width` must be given: a list, or one value where it is no axis")
        if {"tokens", "tokens_per_param"} <= set(names):
            raise ValueError("only one of tokens and tokens_per_param may be given, but both are")
        for place in places:
            if missing := [name for name in names if name not in place]:
                raise ValueError(
                    f"every place must say the same, but {_written(place)} leaves out {missing[0]}"
                )
            if any(value <= 0 for value in place.values()):
                raise ValueError(f"every value must be positive, but got {_written(place)}")
            if places.count(place) > 1:
                raise ValueError(f"every place must be given once, but {_written(place)} is given twice")
        self._check_axes(places, names)
        return self

    def _check_axes(self, places: list[dict[str, Any]], names: list[str]) -> None:
        varying = [name for name in names if len({place[name] for place in places}) > 1]
        if fixed := [name for name in names if name not in ("width", *varying)]:
            where = "model.depth" if fixed[0] == "depth" else f"train.{fixed[0]}"
            where = "train.steps or train.tokens_per_param" if fixed[0] == "tokens" else where
            raise ValueError(
                f"an axis must vary, but {fixed[0]} is {scale_text(places[0][fixed[0]])} at every place; "
                f"set {where} instead, or give it a second value"
            )
        if len(varying) < 2:
            only = f"only {varying[0]} does" if varying else "none does"
            raise ValueError(
                f"at least two of {', '.join(KEYS)} must vary, but {only}; for widths alone give `widths` "
                "instead of `scale`"
            )
        from hptransfer.quantify.axes.model import SPARE

        needed = len(self.axes or varying) + SPARE
        if len(places) < needed:
            raise ValueError(
                f"a law over {needed - SPARE} axes needs {needed} places or more, but there are {len(places)}"
            )

    def places(self) -> Iterator[dict[str, Any]]:
        """What every place says, by name of the axis."""
        lists = {name: values for name in KEYS if (values := getattr(self, name)) is not None}
        combined = math.prod(map(len, lists.values()))
        if self.design == "grid" and combined > MOST_PLACES:
            raise ValueError(
                f"a grid may have at most {count(MOST_PLACES)} places, but this one has {count(combined)}"
            )
        if lists:
            yield from _DESIGNS[self.design](lists)
        for point in self.points:
            yield {k: v for k, v in point.model_dump().items() if v is not None}


def _grid(lists: Mapping[str, tuple[Any, ...]]) -> list[dict[str, Any]]:
    return [dict(zip(lists, values, strict=True)) for values in product(*lists.values())]


def _star(lists: Mapping[str, tuple[Any, ...]]) -> list[dict[str, Any]]:
    middle = {name: sorted(values)[len(values) // 2] for name, values in lists.items()}
    arms = [{**middle, name: value} for name, values in lists.items() for value in values]
    return [middle, *(place for place in arms if place != middle)]


def _diagonal(lists: Mapping[str, tuple[Any, ...]]) -> list[dict[str, Any]]:
    longest = max(map(len, lists.values()))
    if uneven := {name: len(values) for name, values in lists.items() if len(values) not in (1, longest)}:
        name, found = next(iter(uneven.items()))
        raise ValueError(
            f"lists of a diagonal must be equally long, but {name} has {found} values of {longest}"
        )
    full = {name: values * longest if len(values) == 1 else values for name, values in lists.items()}
    return [dict(zip(full, values, strict=True)) for values in zip(*full.values(), strict=True)]


_DESIGNS = {"grid": _grid, "star": _star, "diagonal": _diagonal}


@lru_cache(maxsize=64)
def sizes_of(scale: ScaleConfig, context: int, batch_size: int) -> tuple[Size, ...]:
    """The sizes of a scale, each once; tokens are rounded to whole steps of every batch size.

    Args:
        scale: the places.
        context: tokens of a sequence.
        batch_size: sequences a step, where the scale does not say.

    Raises:
        ValueError: tokens are too few for that, or two sizes become one.
    """
    places = list(scale.places())
    unit = context * math.lcm(*(place.get("batch_size", batch_size) for place in places))
    found = tuple(Size(**{**place, **_rounded(place, unit)}) for place in places)
    if len(set(found)) < len(found):
        raise ValueError(
            f"`scale`: tokens are rounded to multiples of {count(unit)}, and two places become one"
        )
    return found


def _rounded(place: Mapping[str, Any], unit: int) -> dict[str, int]:
    """Tokens as whole steps; nothing where the place has none."""
    if "tokens" not in place:
        return {}
    tokens = max(round(place["tokens"] / unit), 1) * unit
    if abs(tokens / place["tokens"] - 1) > MOST_ROUNDED:
        raise ValueError(
            f"`scale`: tokens must be whole steps of every batch size (multiples of {count(unit)}), to "
            f"within {percent(MOST_ROUNDED)}, but got {count(place['tokens'])}; "
            f"the nearest is {count(tokens)}"
        )
    return {"tokens": tokens}


def law_axes(scale: ScaleConfig) -> tuple[LawAxis, ...]:
    """Names of the axes that a law is over: those named, else those that vary."""
    if scale.axes is not None:
        return scale.axes
    places = list(scale.places())
    varying = [name for name in KEYS if len({place.get(name) for place in places}) > 1]
    return tuple("tokens" if name == "tokens_per_param" else name for name in varying)  # type: ignore[misc]


def axis_value(run: RunSpec, axis: str) -> float:
    """The value of an axis that a run has, as the column of that name in the table of runs."""
    match axis:
        case "width" | "depth":
            return float(getattr(run.model, axis))
        case "params":
            return float(counted_parameters(run.model, "all"))
        case "tokens":
            return float(run.tokens)
        case _:
            return float(run.train.batch_size)


def check_axes(runs: Sequence[RunSpec], axes: Sequence[str], adaptive: bool) -> None:
    """Refuse axes that do not vary over runs of every size; in an adaptive study, those that grow together.

    Raises:
        SpecError: some do.
    """
    values = [[axis_value(run, axis) for axis in axes] for run in runs]
    for axis, column in zip(axes, zip(*values, strict=True), strict=False):
        if len(set(column)) == 1:
            raise SpecError(
                f"`scale.axes`: an axis must vary, but {axis} is {scale_text(column[0])} at every place"
            )
    if not axes or not adaptive:
        return
    import numpy as np

    from hptransfer.quantify.axes.design import Points, find_design

    design = find_design(Points(tuple(axes), np.array(values)))
    if tied := [axes[i] for i in design.tied]:
        raise SpecError(
            f"`adaptive`: sizes must tell the axes apart, but {tied[0]} always grows with "
            f"{' and '.join(design.names)}; add `scale.points` with one changed and the other kept"
        )
