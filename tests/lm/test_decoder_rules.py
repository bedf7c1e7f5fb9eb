"""The decoder under every rule of the catalogue, against `hpt.parametrize` in an ordinary loop."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tests.lm.reference import random_tokens, trained
from torch import Tensor, nn
from torch.nn import functional as F

import hptransfer as hpt
from hptransfer.errors import RuleError
from hptransfer.lm.model import Decoder
from hptransfer.lm.rule import decoder_rule, decoder_settings, forward_scales
from hptransfer.lm.run_tensors import multiplied
from hptransfer.lm.stack import initial_weights
from hptransfer.parametrization.catalogue import CATALOGUE, RULES
from hptransfer.parametrization.optimizers import family
from hptransfer.parametrization.tensor_settings import step_decay
from hptransfer.runs.config import ModelConfig, RunSpec, TrainConfig
from hptransfer.runs.decoder_tensors import at_width, tensor_layout

SHAPE = {"width": 16, "heads": 2, "depth": 4, "vocab": 260, "context": 6}
BASE_WIDTH, BASE_DEPTH, STEPS = 8, 2, 6


def run_of(rule: str, *, model: dict[str, Any] | None = None, deep: bool = False, **train: Any) -> RunSpec:
    fixed = {"dtype": "float64", "batch_size": 4, "steps": STEPS, "warmup": 0.0, "schedule": "constant"}
    return RunSpec(
        model=ModelConfig.model_validate(SHAPE | (model or {})),
        train=TrainConfig.model_validate(fixed | train),
        rule=rule,
        base_width=BASE_WIDTH,
        base_depth=BASE_DEPTH if deep else None,
        lr=0.01,
    )


class Scalable(Decoder):
    """The decoder with a scale of attention logits and layers that `hpt.parametrize` can find."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.head_dim, self.scaling = config.d_head, config.d_head**-0.5

    def forward(self, tokens_BT: Tensor) -> Tensor:  # type: ignore[override]
        return super().forward(tokens_BT, torch.tensor(self.scaling, dtype=torch.float64))

    def embed(self, tokens_BT: Tensor) -> Tensor:
        x_BTD: Tensor = self.token_embedding(tokens_BT)
        if self.position_embedding is None:
            return x_BTD
        return x_BTD + self.position_embedding(torch.arange(self.position_embedding.num_embeddings))


def built(run: RunSpec) -> tuple[Scalable, Scalable]:
    """The model with the run's initial weights, and the base."""
    model = Scalable(run.model).double()
    model.load_state_dict(initial_weights(run), strict=not run.model.tied)
    depth = {"depth": run.base_depth or run.model.depth}
    return model, Scalable(at_width(run.model, run.base_width).model_copy(update=depth)).double()


def scaled_loop(run: RunSpec) -> list[float]:
    """Losses of the run with init, multipliers and optimizer groups by `hpt.parametrize`."""
    model, base = built(run)
    kind = "sgd" if run.train.optimizer == "sgd" else "adam"
    scaling = hpt.parametrize(
        model,
        base=base,
        rule=decoder_rule(run.rule, run.train.optimizer),
        optimizer=kind,  # type: ignore[arg-type]
        attention={"": "scaling"},
        residual=["blocks.*.projection", "blocks.*.mlp_out"],
    )
    scaling.apply_(model)
    groups = scaling.param_groups(
        model,
        lr=run.lr,
        weight_decay=run.train.weight_decay,
        eps=run.train.eps,
        decay=run.train.decay_kind,
        eps_rule=run.train.eps_rule,
    )
    optimizer: torch.optim.Optimizer
    if kind == "sgd":
        optimizer = torch.optim.SGD(groups, momentum=run.train.momentum_rate)
    else:
        optimizer = torch.optim.AdamW(groups, betas=run.train.betas)
    scaling.verify(model, optimizer)
    return [step(model, optimizer, random_tokens(run.model, 4, number)) for number in range(STEPS)]


def step(model: nn.Module, optimizer: torch.optim.Optimizer, tokens: Tensor) -> float:
    loss = F.cross_entropy(model(tokens[:, :-1]).flatten(0, 1), tokens[:, 1:].flatten())
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


@pytest.mark.parametrize(("rule", "family"), CATALOGUE)
def test_every_rule_trains_as_parametrize_has_it(rule: str, family: str) -> None:
    optimizer = "sgd" if family == "sgd" else "adamw"
    run = run_of(rule, optimizer=optimizer, deep=CATALOGUE[rule, family].scales_depth, weight_decay=0.1)  # type: ignore[index]
    losses, _ = trained([run], STEPS)
    torch.testing.assert_close(losses[:, 0].tolist(), scaled_loop(run), rtol=0, atol=1e-9)


@pytest.mark.parametrize("rule", ["u-mup", "completep", "depth-mup"])
def test_decay_in_mup_convention_under_depth_rules(rule: str) -> None:
    run = run_of(rule, deep=True, weight_decay=0.1, decay_kind="mup")
    losses, _ = trained([run], STEPS)
    torch.testing.assert_close(losses[:, 0].tolist(), scaled_loop(run), rtol=0, atol=1e-9)


VARIETIES: dict[str, dict[str, Any]] = {
    "tied": {"model": {"tied": True, "embedding_std": 0.2}},
    "biases": {"model": {"biases": ("hidden", "norm", "readout"), "gains": "scalar"}},
    "fixed-head-dim": {"model": {"heads": None, "head_dim": 4, "qk_norm": True, "positions": "rope"}},
    "decay-mup": {"weight_decay": 0.1, "decay_kind": "mup"},
    "decay-independent": {"weight_decay": 0.1, "decay_kind": "independent"},
    "sgd-decay-independent": {"optimizer": "sgd", "weight_decay": 0.01, "decay_kind": "independent"},
    "sgd-decay-mup": {"optimizer": "sgd", "weight_decay": 0.1, "decay_kind": "mup"},
    "eps-scaled": {"eps_rule": "scaled", "eps": 1e-3},
    "eps-rule": {"eps": 1e-3},
}


@pytest.mark.parametrize(
    ("rule", "name"),
    [
        (rule, name)
        for rule in ("sp", "mup", "mup-tp5-table9", "u-mup", "completep")
        for name, options in VARIETIES.items()
        if (rule, family(options.get("optimizer", "adamw"))) in CATALOGUE
    ],
)
def test_options_of_rules_train_as_parametrize_has_them(rule: str, name: str) -> None:
    run = run_of(rule, **VARIETIES[name])
    losses, _ = trained([run], STEPS)
    torch.testing.assert_close(losses[:, 0].tolist(), scaled_loop(run), rtol=0, atol=1e-9)


def test_all_rules_share_a_stack() -> None:
    """Multipliers on in one member leave the others as they were, to the last digit but one."""
    runs = [run_of(rule, deep=RULES[rule].scales_depth) for rule in RULES]
    together, _ = trained(runs, 3)
    for index in (0, 3, len(runs) - 2):
        alone, _ = trained([runs[index]], 3)
        torch.testing.assert_close(together[:, index], alone[:, 0], rtol=0, atol=1e-11)


def test_the_three_tables_of_tensor_programs_v_train_alike() -> None:
    for optimizer in ("adamw", "sgd"):
        tables = [
            run_of(
                f"mup-tp5-table{i}",
                optimizer=optimizer,
                weight_decay=0.1 if optimizer == "adamw" else 0.0,
                decay_kind="mup" if optimizer == "adamw" else "coupled",
                eps_rule="scaled",
            )
            for i in (3, 8, 9)
        ]
        losses, _ = trained(tables, STEPS)
        torch.testing.assert_close(losses[:, 1], losses[:, 0], rtol=0, atol=1e-9)
        torch.testing.assert_close(losses[:, 2], losses[:, 0], rtol=0, atol=1e-9)


def test_every_rule_is_the_same_run_at_the_base() -> None:
    same = [run_of(rule).model_copy(update={"base_width": 16, "base_depth": 4}) for rule in RULES]
    losses, _ = trained(same, 4)
    torch.testing.assert_close(losses, losses[:, :1].expand_as(losses), rtol=0, atol=1e-12)
    assert multiplied(same) == frozenset()


def test_completep_golden() -> None:
    """arXiv:2505.01618, Table 1 at alpha = 1, in muP coordinates: m = 2, mL = 2, eta = 0.02."""
    run = run_of("completep", deep=True, weight_decay=0.1, eps=1e-6)
    found = decoder_settings(run)
    assert forward_scales(run).residual == 1 / 2
    assert found["blocks.hidden"].lr == pytest.approx(0.01)
    assert step_decay(found["blocks.hidden"]) == pytest.approx(0.01 * 0.1 * 2)
    assert found["blocks.hidden"].eps == found["blocks.vector"].eps == pytest.approx(1e-6 / 4)
    assert found["embedding"].lr == found["vector"].lr == found["readout"].lr == pytest.approx(0.02)
    assert found["embedding"].eps == found["readout"].eps == pytest.approx(1e-6 / 2)
    assert found["readout"].multiplier == 1 / 2
    deep, shallow = initial_weights(run), initial_weights(run_of("completep", model={"depth": 2}))
    for name in ("projection", "mlp_out"):  # as at the base depth, so that the residual factor alone acts
        pair = (x[f"blocks.1.{name}.weight"].std().item() for x in (deep, shallow))
        assert next(pair) == pytest.approx(next(pair), rel=0.15)


def test_muon_takes_the_hidden_matrices_and_no_exponents_of_theirs() -> None:
    for adjust, factor in (("original", 1.0), ("match_rms_adamw", 2**-0.5)):
        for rule in ("sp", "mup", "mup-tp5-table8", "ntk", "everett-ntk-full-alignment"):
            run = run_of(rule, optimizer="muon", muon_adjust=adjust, adamw_lr=0.3)
            found, adamw = decoder_settings(run), decoder_settings(run_of(rule))
            assert found["blocks.hidden"].lr == pytest.approx(0.02 * factor)  # eta in muP coordinates is 0.02
            assert found["blocks.hidden"].multiplier == 1.0
            assert found["blocks.hidden"].init == pytest.approx(2**-0.5)  # multiplier and init of the rule
            for group in ("embedding", "readout", "blocks.vector"):
                assert found[group].lr == pytest.approx(0.3 * adamw[group].lr)


def test_muon_groups_agree_with_parametrize() -> None:
    run = run_of("depth-mup", optimizer="muon", weight_decay=0.1, deep=True)
    model, base = built(run)
    residual = ["blocks.*.projection", "blocks.*.mlp_out"]
    scaling = hpt.parametrize(
        model, base=base, rule="depth-mup", coordinates="mup", attention={"": "scaling"}, residual=residual
    )
    eta = run.lr * 2
    muon = scaling.muon_groups(model, lr=eta, weight_decay=0.1, adjust="match_rms_adamw")
    rest = scaling.param_groups(model, lr=eta, weight_decay=0.1, matrices=False)
    settings, layout = decoder_settings(run), {t.name: t for t in tensor_layout(run.model)}
    for group in (*muon, *rest):
        for name in group["names"]:
            found = settings[layout[name].group]
            assert found.lr == pytest.approx(group["lr"])
            assert step_decay(found) == pytest.approx(group["lr"] * group["weight_decay"])


def test_a_rule_that_says_nothing_of_sgd_is_refused() -> None:
    with pytest.raises(RuleError, match="says nothing about sgd; valid for sgd: mup-tp5-table3"):
        decoder_rule("completep", "sgd")
