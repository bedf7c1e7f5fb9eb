"""The spec of a study: read from YAML, validated, and turned into runs."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from fractions import Fraction
from itertools import product
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, ValidationInfo, field_validator, model_validator

from hptransfer.design.goal import AdaptiveConfig, CostConfig, Goal
from hptransfer.errors import QuantifyError, RuleError, SpecError
from hptransfer.files import read_regular
from hptransfer.lm.rule import decoder_rule
from hptransfer.parametrization.coordinates import Coordinates, convert_lr
from hptransfer.parametrization.optimizers import OptimizerName, family
from hptransfer.plain_yaml import check_plain, read_yaml
from hptransfer.runs.base import Config, spec_hash
from hptransfer.runs.config import DataConfig, ModelConfig, ProbeConfig, RunSpec, TrainConfig
from hptransfer.runs.decode import UserCodeRun
from hptransfer.runs.model_config import DEFAULT_HEADS, ModelShape
from hptransfer.runs.train_config import TrainSettings
from hptransfer.study.lr_grid import LRGrid, Number
from hptransfer.study.overrides import apply_overrides
from hptransfer.study.scale import ScaleConfig, Size, check_axes, law_axes, sizes_of
from hptransfer.study.target import Target
from hptransfer.study.validation_errors import describe_error
from hptransfer.words import count
from hptransfer.workers.local import LocalConfig
from hptransfer.workers.registry import AnyExecutorConfig
from hptransfer.workers.user_code.config import TrialConfig, check

MAX_BYTES = 1 << 20  # a spec is a page of text
MAX_SEEDS, MAX_LIST = 10_000, 1000  # seeds; values of every other list
MAX_RUNS = 200_000  # of a grid; to plan so many takes half a minute
SET_ELSEWHERE = {
    "model.width": "widths",
    "depth": "scale.depth",
    "tokens": "scale.tokens",
    "batch_size": "scale.batch_size",
    "train.weight_decay": "weight_decays",
    "train.lr": "lr",
}
_VARIANT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+=@:-]*")


class StudySpec(Config):
    """A study: variants x sizes x LRs x seeds, and how each run is trained."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=100)  # also the name of its folder
    variants: tuple[str, ...] = Field(min_length=1, max_length=MAX_LIST)  # rules, by catalogue name
    widths: tuple[int, ...] = Field((), max_length=MAX_LIST)  # the scales
    scale: ScaleConfig | None = None  # instead of widths: places over width, depth, tokens and batch size
    base_width: int | None = Field(None, gt=0)  # where every rule is the same; default: the smallest width
    lr: LRGrid  # the grid
    seeds: tuple[int, ...] = Field(
        (0,), min_length=1, max_length=MAX_SEEDS
    )  # each seeds a run's weights and its batches
    weight_decays: tuple[Number, ...] | None = Field(
        None, min_length=1, max_length=MAX_LIST
    )  # each makes a variant of its own
    model: ModelShape = ModelShape()  # shape, width apart
    data: DataConfig = DataConfig.model_validate({})  # text
    train: TrainSettings = TrainSettings()  # optimizer, schedule, budget, decay apart
    # Widths to predict; over several axes a place each, {width: 4096, tokens: 200x}.
    targets: tuple[Target, ...] = Field((), max_length=MAX_LIST)
    tolerance: float | None = Field(None, gt=0, allow_inf_nan=False)  # cost that counts as none, nats; 0.01
    stack: int = Field(16, ge=1, le=1024)  # most runs trained together; runs of your own code go alone
    mix_variants: bool = False  # whether variants share a stack: a GPU wants few large ones, cores want many
    workers: int | None = Field(None, ge=1, le=100_000)  # stacks trained at a time; default: as many as fit
    executor: AnyExecutorConfig = LocalConfig()  # where they are trained
    trial: TrialConfig = TrialConfig.model_validate({})  # what trains a run
    adaptive: AdaptiveConfig | None = None  # instead of the whole grid, the most informative runs per FLOP
    cost: CostConfig = CostConfig.model_validate({})  # what a plan is priced with
    compile: Literal["auto", "always", "never"] = "auto"  # auto: where a width's base plan repays it
    probes: ProbeConfig | None = None  # what is measured inside the runs; no run's numbers or id depend on it

    @field_validator("variants", "widths", "seeds", "weight_decays", "targets")
    @classmethod
    def _check_values(cls, values: tuple[Any, ...] | None, info: ValidationInfo) -> tuple[Any, ...] | None:
        seen: set[Any] = set()
        for value in values or ():
            if value in seen:
                raise ValueError(f"every value must be given once, but {value!r} is given twice")
            seen.add(value)
            if info.field_name in ("widths", "targets") and isinstance(value, int) and value <= 0:
                raise ValueError(f"every width must be positive, but got {value}")
            if info.field_name in ("seeds", "weight_decays") and not (value >= 0 and math.isfinite(value)):
                raise ValueError(f"every value must be 0 or more, but got {value}")
            if info.field_name == "variants" and not _VARIANT.fullmatch(value):
                raise ValueError(
                    f"a variant must be a word that does not begin with a dash, but got {value!r}"
                )
        return values

    @model_validator(mode="before")
    @classmethod
    def _default_heads(cls, data: Any) -> Any:
        """Code of the user's own has no heads unless it says so, and widths of its own choice."""
        match data:
            case {"trial": {"kind": str(kind)}} if kind != "builtin":
                model = data.get("model", {})
                return {**data, "model": {"heads": 1, **model}} if isinstance(model, Mapping) else data
        return data

    @model_validator(mode="after")
    def _check_scale(self) -> StudySpec:
        if bool(self.widths) == (self.scale is not None):
            found = "both are" if self.widths else "neither is"
            raise ValueError(f"`widths` must be given, or `scale` for several axes, but {found}")
        if self.scale is None:
            if by_axis := [target for target in self.targets if isinstance(target, str)]:
                raise ValueError(f"`targets`: a target by axis needs `scale`, but got {by_axis[0]}")
            return self
        names = {**self.train.model_dump(include={"steps", "tokens_per_param"}, exclude_none=True)}
        tokens = {"tokens", "tokens_per_param"} & self.sizes[0].given.keys()
        if names and tokens:
            raise ValueError(f"`train.{next(iter(names))}` must not be given beside `scale.{tokens.pop()}`")
        try:
            _ = self.places
        except QuantifyError as error:
            raise ValueError(f"`targets`: {error}") from None
        if self.adaptive is not None and self.adaptive.goal == "verdict":
            raise ValueError(
                "`adaptive.goal` must be prediction, law or optimum over several axes, not verdict"
            )
        return self

    @model_validator(mode="after")
    def _check_extent(self) -> StudySpec:
        runs = len(self.variants_with_decay()) * len(self.sizes)
        runs *= len(self.seeds) * self.lr.count
        if runs > MAX_RUNS:
            raise ValueError(
                f"a grid may have at most {count(MAX_RUNS)} runs, but this one has {count(runs)}"
            )
        return self

    @model_validator(mode="after")
    def _check_rules(self) -> StudySpec:
        """The reference model knows the catalogue's rules; code of the user's own knows its own variants."""
        for value in self.variants if self.trial.kind == "builtin" else ():
            try:
                for name in self.train.optimizers:
                    decoder_rule(value, name)
            except RuleError as error:
                raise ValueError(f"`variants`: {error}") from None
        if self.adaptive is not None and self.adaptive.goal == "prediction" and not self.targets:
            raise ValueError("`adaptive.goal` prediction needs `targets`: the widths to predict")
        if self.adaptive is not None and len({family(name) for name in self.train.optimizers}) > 1:
            raise ValueError(
                "an adaptive study must list optimizers with one kind of muP coordinates, sgd alone or those "
                f"without it, but got {', '.join(self.train.optimizers)}"
            )
        return self

    @model_validator(mode="after")
    def _check_heads(self) -> StudySpec:
        if self.model.head_dim is not None:
            return self  # the number of heads goes with the width; `parse_study` builds every width's config
        heads = self.model.heads or DEFAULT_HEADS
        widths = {size.width for size in self.sizes} | {self.base}
        if bad := sorted(w for w in widths if w % heads):
            common = math.gcd(*widths)
            valid = ", ".join(str(d) for d in range(1, common + 1) if common % d == 0)
            raise ValueError(
                f"`model.heads` must divide every width and base_width, but got heads={heads} and "
                f"width {bad[0]}; valid heads for these widths: {valid}"
            )
        return self

    @property
    def base(self) -> int:
        """Width at which every rule is the same."""
        return min(size.width for size in self.sizes) if self.base_width is None else self.base_width

    @property
    def sizes(self) -> tuple[Size, ...]:
        """The scales: every run has one of these sizes."""
        if self.scale is None:
            return tuple(map(Size, self.widths))
        return sizes_of(self.scale, self.model.context, self.train.batch_size)

    @property
    def axes(self) -> tuple[str, ...]:
        """Columns of the runs table that the law is over, where there are several; else none."""
        return () if self.scale is None else law_axes(self.scale)

    @property
    def places(self) -> tuple[dict[str, float], ...]:
        """The targets over several axes, as numbers by axis; none over widths.

        Raises:
            QuantifyError: one leaves an axis out, or is malformed.
        """
        from hptransfer.quantify.axes.targets import read_targets  # late, for numpy

        return read_targets(self.targets, self.axes) if self.axes else ()

    @property
    def largest_target(self) -> int | None:
        """Of widths; None where there is none, and over several axes."""
        return max((target for target in self.targets if isinstance(target, int)), default=None)

    @property
    def goal(self) -> Goal:
        """What the study is for; a grid is judged by the prediction."""
        return "prediction" if self.adaptive is None else self.adaptive.goal

    @property
    def stack_size(self) -> int:
        """Most runs of one stack: code of the user's own trains one at a time."""
        return self.stack if self.trial.kind == "builtin" else 1

    @property
    def spec_hash(self) -> str:
        """Hash of all that decides a run or a plan; executor, workers, targets and tolerance do not."""
        apart = {"workers", "targets", "tolerance", "name", "executor", "trial", "cost", "probes"}
        apart |= {"scale"} if self.scale is None else set()  # so that hashes stay what they were before it
        return spec_hash({**self.model_dump(mode="json", exclude=apart), **self.trial.identity})

    def variants_with_decay(self) -> dict[str, tuple[str, float]]:
        """Rule and weight decay of each variant, by name.

        A name is `sp`, or `sp lion wd=0.01` where optimizers and decays are listed.
        """
        return {name: (rule, decay) for name, (rule, _, decay) in self._combinations().items()}

    def optimizers(self) -> dict[str, OptimizerName]:
        """That trains the runs of each variant, by the variant's name."""
        return {name: optimizer for name, (_, optimizer, _) in self._combinations().items()}

    def _combinations(self) -> dict[str, tuple[str, OptimizerName, float]]:
        listed = isinstance(self.train.optimizer, tuple)
        found = {}
        for rule, optimizer in product(self.variants, self.train.optimizers):
            name = f"{rule} {optimizer}" if listed else rule
            for decay in self.weight_decays or (None,):
                full = name if decay is None else f"{name} wd={decay:.12g}"
                found[full] = (rule, optimizer, decay or 0.0)
        return found

    def run(self, variant: str, size: Size | int, index: int, seed: int) -> RunSpec:
        """The run at a place of the grid (see `lr_at`); the seed is that of the weights and of the batches.

        A width by itself is a size. Depth rules that compare with a base depth take the scale's.

        Raises:
            pydantic.ValidationError: the run's own config refuses; `load_study` has checked every size.
        """
        size = Size(size) if isinstance(size, int) else size
        rule, optimizer, weight_decay = self._combinations()[variant]
        code = self.trial.code
        kind = RunSpec if code is None else UserCodeRun
        more: dict[str, Any] = {} if code is None else {"code": code}
        model, train = self.model.model_dump(), self.train.of_optimizer(optimizer)
        if size.depth is not None:
            assert self.scale is not None
            model["depth"] = size.depth
            more["base_depth"] = self.scale.base_depth or min(s.depth or 0 for s in self.sizes)
        if size.batch_size is not None:
            train["batch_size"] = size.batch_size
        if size.tokens_per_param is not None:
            train["tokens_per_param"] = size.tokens_per_param
        if size.tokens is not None:
            train["steps"] = size.tokens // (train["batch_size"] * self.model.context)
        return kind(
            **more,
            model=ModelConfig(width=size.width, **model),
            data=self.data,
            train=TrainConfig(weight_decay=weight_decay, **train),
            rule=rule,
            base_width=self.base,
            lr=self.lr_at(index, size.width, "sp", optimizer),
            seed=seed,
            data_seed=seed,
            probes=self.probes,
        )

    def example_run(self, size: Size | int) -> RunSpec:
        """A run of a size, where any will do: for its shape, its FLOPs or its data."""
        return self.run(next(iter(self.variants_with_decay())), size, 0, self.seeds[0])

    def lr_at(
        self, index: int, width: int, coordinates: Coordinates, optimizer: OptimizerName | None = None
    ) -> float:
        """The LR at a place of the grid, in these coordinates: 0 is `low`; places continue beyond both ends.

        Coordinates go by the optimizer; without one, by the first of the study.
        Exact arithmetic, rounded once, so that a run's identity is the same on every machine.
        """
        value = Fraction(self.lr.low) * Fraction(self.lr.factor) ** index
        ratio = Fraction(width, self.base)
        kind = family(optimizer or self.train.optimizers[0])
        return float(convert_lr(value, ratio, self.lr.coordinates, coordinates, kind))


def parse_study(data: Mapping[str, Any], where: str = "the spec") -> StudySpec:
    """A study from plain data.

    Raises:
        SpecError: one line: the key's path, the value found, what is valid.
    """
    try:
        check_plain(data)
        spec = StudySpec.model_validate(data)
        first = {name: variant for variant, name in reversed(spec.optimizers().items())}
        for size, variant in product(spec.sizes, first.values()):
            check(spec.trial, spec.run(variant, size, 0, spec.seeds[0]))
        check_axes([spec.example_run(size) for size in spec.sizes], spec.axes, spec.adaptive is not None)
    except ValidationError as error:
        raise SpecError(f"{where}: {describe_error(error, StudySpec, SET_ELSEWHERE)}") from None
    except (SpecError, ValueError) as error:
        raise SpecError(f"{where}: {error}") from None
    return spec


def load_study(path: str | Path, overrides: Iterable[str] = ()) -> StudySpec:
    """A study from a YAML file, with overrides `KEY=VALUE`; reading never runs code and reads no other file.

    Raises:
        SpecError: the file cannot be read, is no YAML mapping, or is malformed (see `parse_study`).
    """
    try:
        text = read_regular(path, MAX_BYTES)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise SpecError(f"the spec must be a readable file, but {path}: {reason}") from None
    try:
        data = read_yaml(text)
    except ValueError as error:
        raise SpecError(f"{path} must be plain YAML, but: {' '.join(str(error).split())}") from None
    if not isinstance(data, dict):
        raise SpecError(f"{path} must hold `key: value` lines, but got {' '.join(repr(data).split()):.60}")
    return parse_study(apply_overrides({str(k): v for k, v in data.items()}, overrides), where=str(path))
