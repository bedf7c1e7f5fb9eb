"""What a run's rule gives every tensor of the decoder: values by hand at four times the base width."""

from __future__ import annotations

from typing import Any

import pytest

from hptransfer.errors import RuleError
from hptransfer.lm.rule import decoder_rule, decoder_settings, forward_scales, init_stds
from hptransfer.runs.config import ModelConfig, RunSpec, TrainConfig


def run_of(rule: str, *, width: int = 32, optimizer: str = "adamw", **model: Any) -> RunSpec:
    shape = {"width": width, "depth": 2, "heads": 4, "context": 8, "vocab": 300} | model
    return RunSpec(
        model=ModelConfig.model_validate(shape),
        train=TrainConfig(optimizer=optimizer),
        rule=rule,
        base_width=8,
        lr=0.01,
    )


def test_at_the_base_width_all_rules_are_one() -> None:
    wanted = {group: found.lr for group, found in decoder_settings(run_of("sp", width=8)).items()}
    for rule in ("mup", "ntk", "mup-tp5-table8"):
        found = decoder_settings(run_of(rule, width=8))
        assert {group: settings.lr for group, settings in found.items()} == pytest.approx(wanted)
        assert init_stds(run_of(rule, width=8)) == pytest.approx(init_stds(run_of("sp", width=8)))


@pytest.mark.parametrize(
    ("optimizer", "factors"), [("adamw", (4, 1, 1)), ("sgd", (4, 1, 0.25)), ("muon", (4, 2, 1))]
)
def test_how_mups_lrs_go_with_width_in_sp_coordinates(optimizer: str, factors: tuple[float, ...]) -> None:
    found, base = (decoder_settings(run_of("mup", width=n, optimizer=optimizer)) for n in (32, 8))
    groups = ("embedding", "blocks.hidden", "readout")
    assert tuple(found[group].lr / base[group].lr for group in groups) == pytest.approx(factors)


def test_stds_golden() -> None:
    sp, mup = init_stds(run_of("sp")), init_stds(run_of("mup"))
    assert sp["blocks.0.qkv.weight"] == pytest.approx(32**-0.5)
    assert mup["blocks.0.qkv.weight"] == pytest.approx(32**-0.5)  # 8**-0.5 / sqrt(4)
    assert mup["readout.weight"] / sp["readout.weight"] == pytest.approx(0.5)
    assert mup["token_embedding.weight"] == sp["token_embedding.weight"]
    assert sp["norm.weight"] == 0


@pytest.mark.parametrize(("chosen", "std"), [("sqrt_n", 32**-0.5), ("n", 1 / 32), ("zero", 0.0), (0.7, 0.7)])
def test_the_readouts_own_init_is_of_what_acts(chosen: str | float, std: float) -> None:
    for rule in ("sp", "mup", "mup-tp5-table8"):
        run = run_of(rule, readout_init=chosen)
        acting = init_stds(run)["readout.weight"] * decoder_settings(run)["readout"].multiplier
        assert acting == pytest.approx(std)


def test_tied_logits_are_scaled_as_the_rule_says() -> None:
    assert forward_scales(run_of("sp")).logits == 1
    assert forward_scales(run_of("mup", tied=True)).logits == pytest.approx(0.25)


def test_under_muon_hidden_matrices_have_no_multiplier() -> None:
    hidden = decoder_rule("ntk").roles["hidden"], decoder_rule("ntk", "muon").roles["hidden"]
    assert [(role.multiplier, role.init) for role in hidden] == [(-0.5, 0), (0, -0.5)]
    with pytest.raises(RuleError):
        decoder_rule("no-such-rule")


def test_constants_by_role_are_on_the_lr_at_every_width() -> None:
    for width in (8, 32):
        plain = run_of("mup", width=width)
        train = TrainConfig.model_validate({"lr_factors": {"embedding": 10.0}})
        tuned = plain.model_copy(update={"train": train})
        before, after = decoder_settings(plain), decoder_settings(tuned)
        ratios = {group: after[group].lr / before[group].lr for group in before}
        assert ratios == {group: 10.0 if group.endswith("embedding") else 1.0 for group in before}
