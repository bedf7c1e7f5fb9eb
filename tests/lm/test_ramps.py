"""Learning rates that move in the course of training: by a spec, by a rule, in a loop of one's own."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

import hptransfer as hpt
from hptransfer.errors import RuleError
from hptransfer.lm.run_tensors import ramp_factors, stack_settings, stack_step_settings
from hptransfer.lm.train import train_stack
from hptransfer.parametrization.rule import Ramp
from hptransfer.runs.config import RunSpec, TrainConfig

DOWN = {"embedding": {"exponent": -1.0}}


def ramped(run: RunSpec, **train: object) -> RunSpec:
    return run.model_copy(
        update={
            "train": TrainConfig(**{**run.train.model_dump(exclude_defaults=True), "lr_ramps": DOWN, **train})
        }
    )


def test_a_ramp_goes_from_the_rule_s_lr_to_another_power_of_m() -> None:
    ramp = Ramp(-1.0, begin=0.25, end=0.75)
    assert [ramp.factor(4.0, share) for share in (0.0, 0.25, 0.5, 0.75, 1.0)] == [1.0, 1.0, 0.5, 0.25, 0.25]
    assert ramp.factor(1.0, 0.9) == 1.0  # at the base width every rule is the same


def test_the_embedding_s_lr_falls_from_m_to_one(tiny: RunSpec) -> None:
    run = ramped(tiny).model_copy(update={"rule": "sp+embd"})
    m, last = run.width_ratio, run.steps - 1
    assert ramp_factors(run, 0) == {"embedding": 1.0, "blocks.embedding": 1.0}
    assert ramp_factors(run, last)["embedding"] == pytest.approx(1 / m)
    peak = stack_settings([run]).lr["embedding"]
    assert float(peak * stack_step_settings([run], last).ramp["embedding"]) == pytest.approx(run.lr)
    assert stack_step_settings([tiny], 3).ramp == {}


def test_a_ramp_of_nothing_changes_nothing_and_one_of_the_embedding_does(tiny: RunSpec) -> None:
    still = ramped(tiny, lr_ramps={"embedding": {"exponent": 0.0}})
    plain, same, moved = (train_stack([run], compiled=False)[0] for run in (tiny, still, ramped(tiny)))
    assert same.loss == plain.loss
    assert moved.loss != plain.loss
    assert len({run.run_id for run in (tiny, still, ramped(tiny))}) == 3


def test_at_the_base_width_a_ramp_is_no_ramp(tiny: RunSpec) -> None:
    base = tiny.model_copy(update={"base_width": tiny.model.width})
    plain, moved = (train_stack([run], compiled=False)[0] for run in (base, ramped(base)))
    assert plain.loss == moved.loss


def test_members_of_a_stack_ramp_each_for_itself(tiny: RunSpec) -> None:
    together = train_stack([tiny, ramped(tiny)], compiled=False)
    alone = [train_stack([run], compiled=False)[0] for run in (tiny, ramped(tiny))]
    for a, b in zip(together, alone, strict=True):
        assert a.loss == pytest.approx(b.loss, rel=1e-9)


def test_coupled_decay_goes_with_the_ramp_and_independent_decay_does_not(tiny: RunSpec) -> None:
    last = tiny.steps - 1
    for kind, factor in (("coupled", 0.5), ("independent", 1.0)):
        run = ramped(tiny, weight_decay=0.1, decay_kind=kind)
        assert float(stack_step_settings([run], last).decay_ramp["embedding"]) == pytest.approx(factor)


def build(width: int) -> nn.Module:
    return nn.Sequential(nn.Embedding(11, width), nn.Linear(width, width), nn.Linear(width, 11))


def test_a_rule_s_ramp_reaches_a_loop_of_one_s_own() -> None:
    rule = hpt.rule_from({"like": "sp+embd", "name": "falling", "ramps": DOWN})
    model = build(32)
    scaling = hpt.parametrize(model, base=build(8), rule=rule)
    optimizer = torch.optim.AdamW(scaling.param_groups(model, lr=0.01))
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, scaling.lr_lambdas(optimizer, 5))
    found = []
    for step in range(5):
        rates = {name: group["lr"] for group in optimizer.param_groups for name in group["names"]}
        found.append(rates["0.weight"] / rates["1.weight"])
        scaling.verify(model, optimizer, share=step / 4)
        optimizer.step()
        scheduler.step()
    np.testing.assert_allclose(found, 4.0 ** np.linspace(1, 0, 5))
    with pytest.raises(RuleError):
        scaling.verify(model, optimizer, share=0.0)


def test_a_ramp_survives_a_copy() -> None:
    rule = hpt.rule_from({"like": "sp", "ramps": DOWN})
    assert copy.deepcopy(rule).ramps == {"embedding": Ramp(-1.0)}


@pytest.mark.parametrize(
    ("ramps", "message"),
    [
        ({"embeding": {"exponent": -1}}, "did you mean 'embedding'"),
        ({"embedding": {"exponent": "x"}}, "must be a finite number"),
        ({"embedding": {}}, "a mapping with `exponent`"),
        ({"embedding": {"exponent": -1, "begin": 0.8, "end": 0.2}}, "0 <= begin < end <= 1"),
    ],
)
def test_a_malformed_ramp_is_refused(ramps: dict, message: str) -> None:
    with pytest.raises(RuleError, match=message):
        hpt.rule_from({"like": "sp", "ramps": ramps})


def test_a_malformed_ramp_of_a_spec_is_refused() -> None:
    with pytest.raises(ValueError, match="begin < end must hold"):
        TrainConfig(lr_ramps={"embedding": {"exponent": -1, "begin": 0.8, "end": 0.2}})
