"""Probes of a stack: against a direct computation, against single runs, and without a trace in training."""

import math

import numpy as np
import pytest
import torch
from torch.func import functional_call
from torch.nn import functional as F

from hptransfer.dynamics.probe_table import ProbeLog
from hptransfer.lm.data import batch, load_corpus
from hptransfer.lm.run_tensors import stack_settings, stack_step_settings
from hptransfer.lm.stack import initial_state, initial_weights, template
from hptransfer.lm.step import run_gradient, run_update
from hptransfer.lm.train import train_stack
from hptransfer.runs.config import ProbeConfig, RunRecord, RunSpec, TrainConfig
from hptransfer.runs.probe_names import DEFAULT, PROBES

ALL = ProbeConfig(every=4, names=("all",))


def changed(run: RunSpec, **changes: object) -> RunSpec:
    train = {**run.train.model_dump(exclude_defaults=True), **changes.pop("train", {})}
    return run.model_copy(update={"train": TrainConfig(**train), **changes})


def log(record: RunRecord) -> ProbeLog:
    assert record.probes is not None
    return ProbeLog.from_data(record.probes)


def value(record: RunRecord, step: int, layer: str, name: str) -> float:
    found = log(record)
    (column,) = [i for i, row in enumerate(found.rows) if (row[0], row[2]) == (layer, name)]
    return float(found.values[found.steps.index(step), column])


@pytest.fixture(scope="module")
def stack(tiny_module: RunSpec) -> list[RunSpec]:
    rules = (("sp", 0.01), ("sp+embd", 0.02), ("mup", 0.005))
    return [changed(tiny_module, rule=rule, lr=lr, seed=i, probes=ALL) for i, (rule, lr) in enumerate(rules)]


@pytest.fixture(scope="module")
def tiny_module(text_files: str) -> RunSpec:
    from hptransfer.runs.config import DataConfig, ModelConfig

    return RunSpec(
        model=ModelConfig(width=16, depth=2, heads=2, context=12, vocab=280),
        data=DataConfig(source="text", files=text_files, validation_fraction=0.3, validation_tokens=96),
        train=TrainConfig(steps=6, batch_size=3, dtype="float64", weight_decay=0.1),
        base_width=8,
        lr=0.01,
    )


@pytest.fixture(scope="module")
def records(stack: list[RunSpec]) -> list[RunRecord]:
    return train_stack(stack, compiled=False)


def test_probing_changes_no_number_and_no_id(stack: list[RunSpec], records: list[RunRecord]) -> None:
    plain = [run.model_copy(update={"probes": None}) for run in stack]
    without = train_stack(plain, compiled=False)
    for a, b in zip(without, records, strict=True):
        assert a.probes is None
        assert (a.run_id, a.loss, a.curve) == (b.run_id, b.loss, b.curve)


def test_stacked_equals_single(stack: list[RunSpec], records: list[RunRecord]) -> None:
    for run, record in zip(stack, records, strict=True):
        (single,) = train_stack([run], compiled=False)
        assert log(single).rows == log(record).rows
        np.testing.assert_allclose(log(single).values, log(record).values, rtol=1e-6)


def around(run: RunSpec, step: int) -> tuple[dict, dict, dict, dict, torch.Tensor]:
    """Weights before and after a step, its gradients, last moments and tokens, by the step's own parts."""
    corpus = load_corpus(run.data, run.model)
    shape, state = initial_state([run])
    settings = stack_settings([run])
    one = lambda tree: torch.utils._pytree.tree_map(lambda t: t[0], tree)  # noqa: E731
    state, settings = one(state), one(settings)
    gradient, update = run_gradient(template(shape), shape), run_update(shape)
    for number in range(step + 1):
        size = run.train.batch_size
        tokens = torch.from_numpy(batch(corpus, run.model, size, run.data_seed, number))
        before = {name: w.clone() for name, w in state.weights.items()}
        grads, loss = gradient(state.weights, settings, tokens)
        state = update(state, settings, one(stack_step_settings([run], number)), grads, loss)
    return before, state.weights, grads, {n: m[-1] for n, m in state.moments.items()}, tokens


@pytest.mark.parametrize("member", [0, 1, 2])
def test_tensor_probes_are_those_of_a_direct_computation(
    stack: list[RunSpec], records: list[RunRecord], member: int
) -> None:
    run, record = stack[member], records[member]
    before, after, grads, second, _ = around(run, 4)
    for name, w in before.items():
        layer, delta = name.removesuffix(".weight"), after[name] - w
        want = {
            "weight_rms": w.square().mean().sqrt(),
            "update_rms": delta.square().mean().sqrt(),
            "relative_update": delta.norm() / w.norm(),
            "grad_rms": grads[name].square().mean().sqrt(),
            "grad_over_eps": (second[name] / (1 - 0.95**5)).mean().sqrt() / run.train.eps,
        }
        for probe, direct in want.items():
            assert value(record, 4, layer, probe) == pytest.approx(float(direct), rel=1e-5), (name, probe)
    norm = torch.cat([g.flatten() for g in grads.values()]).norm()
    assert value(record, 4, "", "grad_norm") == pytest.approx(float(norm), rel=1e-5)


def test_layer_probes_are_those_of_a_direct_computation(
    stack: list[RunSpec], records: list[RunRecord]
) -> None:
    run, record = stack[2], records[2]
    before, after, _, _, tokens = around(run, 4)
    shape, _ = initial_state([run])
    model, settings = template(shape), stack_settings([run])
    seen = {}
    for layer in ("blocks.1.mlp_in", "readout", "blocks.0.qkv"):
        model.get_submodule(layer).register_forward_hook(
            lambda _m, args, out, layer=layer: seen.update({layer: (args[0], out)})
        )
    some = tokens[: ALL.sequences, :-1]
    logits = functional_call(model, before, (some, settings.attention[0]))
    for layer, (x, y) in seen.items():
        w, delta = before[f"{layer}.weight"], after[f"{layer}.weight"] - before[f"{layer}.weight"]
        change = (x @ delta.T).norm() / (x @ w.T).norm()
        assert value(record, 4, layer, "relative_change") == pytest.approx(float(change), rel=1e-5)
        assert value(record, 4, layer, "activation_rms") == pytest.approx(
            float(y.square().mean().sqrt()), rel=1e-5
        )
        relative = float(delta.norm() / w.norm())
        assert value(record, 4, layer, "alignment_ratio") == pytest.approx(float(change) / relative, rel=1e-5)
    assert value(record, 4, "readout", "log_z") == pytest.approx(float(logits.logsumexp(-1).mean()), rel=1e-5)
    _, y = seen["blocks.0.qkv"]
    q, k, _ = (p.unflatten(-1, (2, -1)).transpose(1, 2) for p in y.chunk(3, -1))
    mask = torch.ones(12, 12).tril().bool()
    scores = (q @ k.transpose(-1, -2) * settings.attention[0]).masked_fill(~mask, -math.inf)
    entropy = torch.special.entr(scores.softmax(-1)).sum(-1).mean()
    assert value(record, 4, "blocks.0", "attention_logit_max") == pytest.approx(float(scores.max()), rel=1e-5)
    assert value(record, 4, "blocks.0", "attention_entropy") == pytest.approx(float(entropy), rel=1e-5)


def test_embedding_probes_are_those_of_a_direct_computation(
    stack: list[RunSpec], records: list[RunRecord]
) -> None:
    run = stack[0]
    before, _, _, _, tokens = around(run, 4)
    share = len(tokens[:, :-1].unique()) / run.model.vocab
    assert value(records[0], 4, "token_embedding", "rows_touched") == pytest.approx(share)
    corpus = load_corpus(run.data, run.model)
    order = np.argsort(-np.bincount(corpus.train, minlength=280), kind="stable")
    rows = before["token_embedding.weight"].square().mean(1).sqrt()
    for i in range(4):
        part = rows[torch.from_numpy(order[i * 70 : (i + 1) * 70].copy())].mean()
        assert value(records[0], 4, "token_embedding", f"row_rms_q{i + 1}") == pytest.approx(
            float(part), rel=1e-5
        )


def test_the_critical_lr_is_where_the_step_would_raise_the_loss(
    stack: list[RunSpec], records: list[RunRecord]
) -> None:
    for run, record in zip(stack, records, strict=True):
        before, after, _, _, tokens = around(run, 4)
        shape, _ = initial_state([run])
        model, scale = template(shape), stack_settings([run]).attention[0]
        eta, edge = value(record, 4, "", "lr"), value(record, 4, "", "critical_lr")

        def loss_at(
            rate: float, model=model, scale=scale, before=before, after=after, eta=eta, tokens=tokens
        ):
            moved = {n: torch.lerp(w, after[n], rate / eta) for n, w in before.items()}
            logits = functional_call(model, moved, (tokens[:, :-1], scale))
            return float(F.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten()))

        assert loss_at(edge * 0.93) <= loss_at(0.0) < loss_at(edge * 1.07)
        assert value(record, 4, "", "critical_sharpness") == pytest.approx(2 / edge, rel=1e-5)


def test_every_probe_has_its_row(records: list[RunRecord]) -> None:
    assert {row[2] for row in log(records[0]).rows} == set(PROBES)
    assert log(records[0]).steps == (0, 4)


@pytest.mark.parametrize(
    "train",
    [
        {"optimizer": "sgd", "weight_decay": 0.0},
        {"optimizer": "lion"},
        {"optimizer": "muon"},
        {"optimizer": "adam", "weight_decay": 0.0},
        {"accumulation": 3},
    ],
    ids=str,
)
def test_the_gradient_is_read_off_any_optimizer_s_moments(tiny_module: RunSpec, train: dict) -> None:
    run = changed(tiny_module, train=train, probes=ProbeConfig(every=4, names=("grad_rms",)))
    (record,) = train_stack([run], compiled=False)
    _, _, grads, *_ = around(run, 4)
    for name, grad in grads.items():
        direct = float(grad.square().mean().sqrt())
        assert value(record, 4, name.removesuffix(".weight"), "grad_rms") == pytest.approx(direct, rel=1e-5)


def test_options_of_the_model_are_probed_too(tiny_module: RunSpec) -> None:
    from hptransfer.runs.config import ModelConfig

    model = ModelConfig(
        width=16, depth=1, heads=4, kv_heads=2, context=12, vocab=280, norm="rmsnorm", gains="none",
        positions="rope", activation="swiglu", tied=True, qk_norm=True,
    )  # fmt: skip
    run = changed(tiny_module, model=model, probes=ProbeConfig(every=5))
    (record,) = train_stack([run], compiled=False)
    names = {row[2] for row in log(record).rows}
    assert names == set(DEFAULT)
    assert ("readout", "embedding", "relative_change") in log(record).rows


def test_a_member_that_diverged_is_unknown_and_disturbs_nobody(tiny_module: RunSpec) -> None:
    good = changed(tiny_module, probes=ALL)
    bad = changed(good, lr=1e30)
    fine, diverged = train_stack([good, bad], compiled=False)
    (alone,) = train_stack([good], compiled=False)
    np.testing.assert_allclose(log(fine).values, log(alone).values, rtol=1e-6)
    assert diverged.status == "diverged"
    assert np.isnan(log(diverged).values[-1]).all()


def test_how_often_goes_with_the_length_of_a_run() -> None:
    assert ProbeConfig().interval(300) == 30
    assert ProbeConfig().interval(10_000) == 250
    assert ProbeConfig(every=7).interval(10_000) == 7


def test_an_unknown_probe_is_refused() -> None:
    with pytest.raises(ValueError, match="did you mean 'grad_rms'"):
        ProbeConfig(names=("gradrms",))


def test_a_record_holds_the_spikes_of_every_step(records: list[RunRecord]) -> None:
    assert all(record.spikes == () for record in records)


def test_initial_weights_are_probed_first(stack: list[RunSpec], records: list[RunRecord]) -> None:
    w = initial_weights(stack[0])["readout.weight"]
    assert value(records[0], 0, "readout", "weight_rms") == pytest.approx(float(w.square().mean().sqrt()))
