import copy
import math

import numpy as np
import pytest
import torch
from small_models import CONTEXT, VOCAB, build
from torch import Tensor, nn
from torch.nn import functional as F

import hptransfer as hpt
from hptransfer.dynamics.probes import quarters
from hptransfer.errors import DynamicsError
from hptransfer.runs.probe_names import DEFAULT, PROBES

TOKENS = torch.randint(0, VOCAB, (4, CONTEXT + 1), generator=torch.Generator().manual_seed(0))
EPS, BETAS = 1e-6, (0.9, 0.95)


def loss_of(logits: Tensor) -> Tensor:
    return F.cross_entropy(logits.flatten(0, 1), TOKENS[:, 1:].flatten())


def trained(steps: int, watch: bool = True, **settings) -> tuple[nn.Module, hpt.Recorder, list[dict]]:
    """A run with a recorder, and its weights and gradients around every update."""
    torch.manual_seed(0)
    model = build(16)
    scaling = hpt.parametrize(model, base=build(8), rule="sp+embd")
    optimizer = torch.optim.AdamW(
        scaling.param_groups(model, lr=0.01, weight_decay=0.1, eps=EPS), betas=BETAS
    )
    recorder = hpt.probe(model, optimizer, scaling, **settings)
    if watch:
        recorder.attach()
    states = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss_of(model(TOKENS[:, :-1])).backward()
        state = {
            "before": copy.deepcopy(model),
            "grads": {n: p.grad.clone() for n, p in model.named_parameters()},
        }
        optimizer.step()
        state["after"] = copy.deepcopy(model)
        state["second"] = {n: optimizer.state[p]["exp_avg_sq"].clone() for n, p in model.named_parameters()}
        states.append(state)
    recorder.detach()
    return model, recorder, states


def value(recorder: hpt.Recorder, step: int, layer: str, name: str) -> float:
    (found,) = recorder.table.select(step=step, layer=layer, name=name).value
    return float(found)


def test_tensor_probes_are_what_they_say() -> None:
    _, recorder, states = trained(3, every=2)
    assert recorder.log.steps == (0, 2)
    state = states[2]
    for name, w in state["before"].named_parameters():
        layer, w = name.removesuffix(".weight"), w.detach().numpy()
        delta = dict(state["after"].named_parameters())[name].detach().numpy() - w
        g, v = state["grads"][name].numpy(), state["second"][name].numpy() / (1 - BETAS[1] ** 3)
        assert value(recorder, 2, layer, "weight_rms") == pytest.approx(np.sqrt(np.mean(w**2)), rel=1e-5)
        assert value(recorder, 2, layer, "update_rms") == pytest.approx(np.sqrt(np.mean(delta**2)), rel=1e-4)
        assert value(recorder, 2, layer, "grad_rms") == pytest.approx(np.sqrt(np.mean(g**2)), rel=1e-5)
        assert value(recorder, 2, layer, "grad_over_eps") == pytest.approx(np.sqrt(v.mean()) / EPS, rel=1e-4)
        assert value(recorder, 2, layer, "relative_update") == pytest.approx(
            np.linalg.norm(delta) / np.linalg.norm(w), rel=1e-4
        )
    norm = math.sqrt(sum(float(g.square().sum()) for g in state["grads"].values()))
    assert value(recorder, 2, "", "grad_norm") == pytest.approx(norm, rel=1e-5)
    assert value(recorder, 2, "", "lr") == pytest.approx(0.01)


def seen(model: nn.Module, layer: str) -> tuple[Tensor, Tensor]:
    """A layer's input and output on the batch."""
    found = []
    handle = model.get_submodule(layer).register_forward_hook(
        lambda _m, args, out: found.append((args[0], out))
    )
    with torch.no_grad():
        model(TOKENS[:, :-1])
    handle.remove()
    return found[0]


@pytest.mark.parametrize("layer", ["blocks.0.attn.qkv", "blocks.1.down", "readout"])
def test_layer_probes_of_a_linear_layer(layer: str) -> None:
    _, recorder, states = trained(1)
    x, y = seen(states[0]["before"], layer)
    w, after = (states[0][k].get_submodule(layer).weight.detach() for k in ("before", "after"))
    delta = after - w
    change, kept = (x @ delta.T).norm(), (x @ w.T).norm()
    update, weight = change / (delta.norm() * x.norm()), kept / (w.norm() * x.norm())
    want = {
        "activation_rms": y.square().mean().sqrt(),
        "relative_change": change / kept,
        "update_alignment": update,
        "weight_alignment": weight,
        "alignment_ratio": update / weight,
        "log_alignment": torch.log(
            (x @ delta.T).square().mean().sqrt() / delta.square().mean().sqrt() / x.square().mean().sqrt()
        )
        / math.log(w.shape[1]),
    }
    for name, direct in want.items():
        assert value(recorder, 0, layer, name) == pytest.approx(float(direct), rel=1e-4), name
    relative = value(recorder, 0, layer, "relative_update")
    assert value(recorder, 0, layer, "relative_change") == pytest.approx(
        relative * value(recorder, 0, layer, "alignment_ratio"), rel=1e-4
    )


def test_attention_and_readout_probes() -> None:
    _, recorder, states = trained(1)
    before = states[0]["before"].requires_grad_(False)
    layer = before.blocks[0].attn
    x, _ = seen(before, "blocks.0.attn")
    q, k, _ = (p.unflatten(-1, (2, -1)).transpose(1, 2) for p in layer.qkv(x).chunk(3, -1))
    logits = q @ k.transpose(-1, -2) * layer.scaling
    mask = torch.ones(CONTEXT, CONTEXT).tril().bool()
    weights = logits.masked_fill(~mask, -math.inf).softmax(-1)
    entropy = torch.special.entr(weights).sum(-1).mean()
    assert value(recorder, 0, "blocks.0.attn", "attention_logit_max") == pytest.approx(
        float(logits[..., mask].max()), rel=1e-4
    )
    assert value(recorder, 0, "blocks.0.attn", "attention_entropy") == pytest.approx(float(entropy), rel=1e-4)
    with torch.no_grad():
        z = before(TOKENS[:, :-1]).logsumexp(-1).mean()
    assert value(recorder, 0, "readout", "log_z") == pytest.approx(float(z), rel=1e-5)


def test_embedding_probes() -> None:
    counts = torch.arange(VOCAB).flip(0)
    _, recorder, states = trained(1, token_counts=counts)
    ids = TOKENS[:, :-1]
    w, after = (states[0][k].tokens.weight.detach() for k in ("before", "after"))
    assert value(recorder, 0, "tokens", "rows_touched") == pytest.approx(len(ids.unique()) / VOCAB)
    assert value(recorder, 0, "tokens", "relative_change") == pytest.approx(
        float((after - w)[ids].norm() / w[ids].norm()), rel=1e-4
    )
    quarter = quarters(counts)
    assert quarter.tolist() == sorted(quarter.tolist())  # here the most frequent token is token 0
    for i in range(4):
        rows = w[quarter == i].square().mean(1).sqrt().mean()
        assert value(recorder, 0, "tokens", f"row_rms_q{i + 1}") == pytest.approx(float(rows), rel=1e-5)


def test_every_default_probe_is_measured_and_has_a_role() -> None:
    _, recorder, _ = trained(1, token_counts=torch.arange(VOCAB))
    table = recorder.table
    assert set(table.name) == set(DEFAULT)
    assert np.isfinite(table.value).all()
    assert set(table.select(name="relative_update").role) == {"embedding", "hidden", "readout", "vector"}


def test_probing_changes_nothing() -> None:
    plain, _, _ = trained(4, watch=False)
    probed, recorder, _ = trained(4, every=1, names=["all"], loss=loss_of)
    assert len(recorder.log.steps) == 4
    for a, b in zip(plain.parameters(), probed.parameters(), strict=True):
        assert torch.equal(a, b)
    assert not probed._forward_hooks
    assert not probed._forward_pre_hooks


def test_the_critical_lr_is_where_the_loss_rises() -> None:
    _, recorder, states = trained(1, names=["critical_lr", "critical_sharpness"], loss=loss_of)
    edge = value(recorder, 0, "", "critical_lr")
    assert value(recorder, 0, "", "critical_sharpness") == pytest.approx(2 / edge)

    def loss_at(rate: float) -> float:
        model = copy.deepcopy(states[0]["before"])
        with torch.no_grad():
            for p, q in zip(model.parameters(), states[0]["after"].parameters(), strict=True):
                p.add_((q - p) * (rate / 0.01))
            return float(loss_of(model(TOKENS[:, :-1])))

    assert loss_at(edge * 0.93) <= loss_at(0.0) < loss_at(edge * 1.07)


def test_accumulation_evaluation_and_several_optimizers() -> None:
    model = build(16)
    first = torch.optim.SGD(model.blocks.parameters(), lr=0.1)
    rest = [p for n, p in model.named_parameters() if not n.startswith("blocks.")]
    second = torch.optim.AdamW(rest, lr=0.01)
    with hpt.probe(model, [first, second], every=1) as recorder:
        for _ in range(2):
            for _ in range(3):
                loss_of(model(TOKENS[:, :-1])).backward()
            model.eval()
            model(TOKENS[:1, :-1])
            model.train()
            first.step()
            second.step()
    assert recorder.log.steps == (0, 1)
    touched = value(recorder, 0, "tokens", "rows_touched")
    assert touched == pytest.approx(len(TOKENS[:, :-1].unique()) / VOCAB)  # of the batch, not the evaluation
    assert set(recorder.table.select(name="grad_over_eps").layer) == {
        n.removesuffix(".weight") for n, _ in model.named_parameters() if not n.startswith("blocks.")
    }


def test_a_tied_readout_shares_the_embedding_s_tensor() -> None:
    model = build(16, tied=True)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    with hpt.probe(model, optimizer) as recorder:
        loss_of(model(TOKENS[:, :-1])).backward()
        optimizer.step()
    assert recorder.table.select(layer="readout", name="log_z").value.size == 1
    assert recorder.table.select(layer="readout").role.tolist()[0] == "embedding"


def test_a_loss_that_cannot_be_had_is_told() -> None:
    model = build(16)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with hpt.probe(model, optimizer, names=["critical_lr"]):
        loss_of(model(TOKENS[:, :-1])).backward()
        with pytest.raises(DynamicsError, match="give loss=function"):
            optimizer.step()


def test_every_probe_is_defined() -> None:
    assert all(probe.definition and probe.of in ("tensor", "layer", "run") for probe in PROBES.values())


def test_a_closure_is_looked_into() -> None:
    """As Lightning and L-BFGS step: the forward pass is inside the optimizer's step."""
    plain, closed = build(16), build(16)
    closed.load_state_dict(plain.state_dict())
    tables = []
    for model in (plain, closed):
        optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)

        def closure(model=model, optimizer=optimizer) -> Tensor:
            optimizer.zero_grad()
            loss = loss_of(model(TOKENS[:, :-1]))
            loss.backward()
            return loss

        with hpt.probe(model, optimizer, every=2) as recorder:
            for _ in range(3):
                if model is plain:
                    closure()
                optimizer.step(closure if model is closed else None)
        tables.append(recorder.table.to_frame())
    assert len(tables[0]) > 100
    assert tables[0].equals(tables[1])
