"""Every option of the model against a hand-written reference, and what it leaves alone."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from tests.lm.reference import random_tokens, reference_logits, reference_loss, trained, trained_alone

from hptransfer.lm.rule import forward_scales
from hptransfer.lm.run_tensors import stack_settings
from hptransfer.lm.stack import initial_state, initial_weights, template
from hptransfer.lm.step import run_gradient, run_logits, sequence_losses
from hptransfer.runs.config import ModelConfig, RunSpec, TrainConfig
from hptransfer.runs.decoder_tensors import parameter_count, tensor_layout

WIDTH, HEADS, DEPTH, VOCAB, CONTEXT = 16, 4, 2, 260, 6
# Every option with what it adds to the baseline's parameters.
N, D = WIDTH, WIDTH // HEADS
OPTIONS: dict[str, tuple[dict[str, Any], int]] = {
    "baseline": ({}, 0),
    "head-dim": ({"heads": None, "head_dim": 8}, 0),
    "rmsnorm": ({"norm": "rmsnorm"}, 0),
    "no-gains": ({"gains": "none"}, -(2 * DEPTH + 1) * N),
    "scalar-gains": ({"gains": "scalar"}, (2 * DEPTH + 1) * (1 - N)),
    "rmsnorm-scalar-gains": ({"norm": "rmsnorm", "gains": "scalar"}, (2 * DEPTH + 1) * (1 - N)),
    "scalar-gains-norm-biases": (
        {"gains": "scalar", "biases": ("norm",)},
        (2 * DEPTH + 1) * (1 - N) + (2 * DEPTH + 1) * N,
    ),
    "hidden-biases": ({"biases": ("hidden",)}, DEPTH * (3 * N + N + 4 * N + N)),
    "norm-biases": ({"biases": ("norm",)}, (2 * DEPTH + 1) * N),
    "readout-bias": ({"biases": ("readout",)}, VOCAB),
    "rope": ({"positions": "rope"}, -CONTEXT * N),
    "rope-base": ({"positions": "rope", "rope_base": 100.0}, -CONTEXT * N),
    "relu": ({"activation": "relu"}, 0),
    "relu2": ({"activation": "relu2"}, 0),
    "swiglu": ({"activation": "swiglu"}, DEPTH * 4 * N * N),
    "swiglu-8/3": ({"activation": "swiglu", "mlp_ratio": 2.67}, DEPTH * N * (3 * 42 - 2 * 4 * N)),
    "grouped-query": ({"kv_heads": 2}, -DEPTH * 2 * (HEADS - 2) * D * N),
    "multi-query": ({"kv_heads": 1}, -DEPTH * 2 * (HEADS - 1) * D * N),
    "qk-norm": ({"qk_norm": True}, DEPTH * 2 * D),
    "qk-norm-rope-grouped": (
        {"qk_norm": True, "positions": "rope", "kv_heads": 2},
        DEPTH * 2 * D - CONTEXT * N - DEPTH * 2 * (HEADS - 2) * D * N,
    ),
    "embedding-norm": ({"embedding_norm": True}, N),
    "tied": ({"tied": True, "embedding_std": 0.1}, -VOCAB * N),
    "tied-bias": ({"tied": True, "biases": ("readout",)}, -VOCAB * N + VOCAB),
    "attention-1/sqrt(d)": ({"attention_scale": "sqrt_d"}, 0),
    "attention-1/d": ({"attention_scale": "d"}, 0),
    "attention-free": ({"attention_scale": 0.3}, 0),
    "zero-query": ({"zero_query_init": True}, 0),
    "readout-1/n": ({"readout_init": "n"}, 0),
    "readout-zero": ({"readout_init": "zero"}, 0),
    "plain-residual": ({"residual_init": "plain"}, 0),
}


def run_of(*, rule: str = "sp", train: dict[str, Any] | None = None, **options: Any) -> RunSpec:
    shape = {"width": WIDTH, "heads": HEADS, "depth": DEPTH, "vocab": VOCAB, "context": CONTEXT}
    return RunSpec(
        model=ModelConfig.model_validate(shape | options),
        train=TrainConfig.model_validate({"dtype": "float64", "batch_size": 3, "steps": 10} | (train or {})),
        rule=rule,
        base_width=8,
        lr=0.01,
    )


@pytest.mark.parametrize("name", OPTIONS)
def test_logits_and_gradient_are_those_of_the_reference(name: str) -> None:
    run = run_of(**OPTIONS[name][0])
    shape, _ = initial_state([run])
    settings = torch.utils._pytree.tree_map(lambda x: x[0], stack_settings([run]))
    # Away from the init, where gains, biases and queries have values of their own.
    generator = torch.Generator().manual_seed(1)
    weights = {
        n: w + 0.3 * torch.randn(w.shape, generator=generator, dtype=w.dtype)
        for n, w in initial_weights(run).items()
    }
    tokens, scale = random_tokens(run.model, 3, 0), forward_scales(run).attention
    logits = run_logits(template(shape), shape, weights, settings, tokens)
    wanted = reference_logits(run.model, weights, tokens[:, :-1], scale)
    torch.testing.assert_close(logits, wanted, rtol=0, atol=1e-10)
    grads, loss = run_gradient(template(shape), shape)(weights, settings, tokens)
    for weight in weights.values():
        weight.requires_grad_()
    reference = reference_loss(run.model, weights, tokens, scale)
    by_hand = torch.autograd.grad(reference, list(weights.values()))
    assert loss.item() == pytest.approx(reference.item(), abs=1e-11)
    for grad, wanted in zip(grads.values(), by_hand, strict=True):
        torch.testing.assert_close(grad, wanted, rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", OPTIONS)
def test_parameters_are_the_hand_computed_number_more(name: str) -> None:
    options, more = OPTIONS[name]
    baseline = (VOCAB + CONTEXT) * N + DEPTH * (12 * N * N + 2 * N) + N + VOCAB * N
    assert parameter_count(run_of(**options).model) == baseline + more


@pytest.mark.parametrize("name", OPTIONS)
def test_layout_is_the_module(name: str) -> None:
    model = run_of(**OPTIONS[name][0]).model
    shape, _ = initial_state([run_of(**OPTIONS[name][0])])
    found = {n: tuple(p.shape) for n, p in template(shape).named_parameters()}
    assert found == {t.name: t.shape for t in tensor_layout(model)}


@pytest.mark.parametrize("name", OPTIONS)
def test_an_option_leaves_other_initial_weights_alone(name: str) -> None:
    before, after = initial_weights(run_of()), initial_weights(run_of(**OPTIONS[name][0]))
    touched = {
        "zero-query": (".qkv.weight",),
        "readout-1/n": ("readout.weight",),
        "readout-zero": ("readout.weight",),
        "plain-residual": (".projection.weight", ".mlp_out.weight"),
        "tied": ("embedding.weight",),
    }.get(name, ())
    moves_draws = any(key in name for key in ("rope", "swiglu", "query"))  # other shapes, or one tensor fewer
    for tensor in before.keys() & after.keys():
        if tensor.endswith(touched) if touched else before[tensor].shape != after[tensor].shape:
            assert not torch.equal(before[tensor], after[tensor])
        elif not moves_draws or name == "zero-query":
            assert torch.equal(before[tensor], after[tensor])


def test_zero_query_init_zeroes_queries_alone() -> None:
    before, after = initial_weights(run_of()), initial_weights(run_of(zero_query_init=True))
    name = "blocks.1.qkv.weight"
    assert (after[name][:WIDTH] == 0).all()
    assert torch.equal(before[name][WIDTH:], after[name][WIDTH:])


def test_initial_losses() -> None:
    def initial_loss(**options: Any) -> float:
        run = run_of(**options)
        shape, state = initial_state([run])
        weights = {n: w[0] for n, w in state.weights.items()}
        settings = torch.utils._pytree.tree_map(lambda x: x[0], stack_settings([run]))
        tokens = random_tokens(run.model, 64, 0)
        return (
            sequence_losses(run_logits(template(shape), shape, weights, settings, tokens), tokens)
            .mean()
            .item()
        )

    assert initial_loss(readout_init="zero") == pytest.approx(math.log(VOCAB), abs=1e-12)
    # Logits of variance s^2 cost s^2 / 2 above ln V; normed activations times 1/sqrt(n) rows have s = 1.
    assert initial_loss() == pytest.approx(math.log(VOCAB) + 0.5, abs=0.1)
    assert initial_loss(readout_init="n") == pytest.approx(math.log(VOCAB) + 0.5 / WIDTH, abs=0.03)
    assert initial_loss(readout_init=0.5) == pytest.approx(math.log(VOCAB) + 0.25 * WIDTH / 2, abs=0.6)


def test_readout_init_is_of_what_acts_whatever_the_rule() -> None:
    for rule in ("sp", "mup", "mup-tp5-table8", "mup-tp5-table9", "ntk"):
        run = run_of(rule=rule, readout_init="n")
        _, state = initial_state([run])
        multiplier = stack_settings([run]).multiplier["readout"][0]
        acting = (state.weights["readout.weight"][0] * multiplier).std().item()
        assert acting == pytest.approx(1 / WIDTH, rel=0.05)


@pytest.mark.parametrize(
    "name", ["rope", "rmsnorm", "swiglu", "qk-norm-rope-grouped", "tied", "hidden-biases"]
)
def test_training_follows_an_ordinary_loop(name: str) -> None:
    run = run_of(**OPTIONS[name][0], train={"warmup": 0.0, "schedule": "constant"})
    losses, weights = trained([run], 5)
    alone, wanted = trained_alone(
        run,
        5,
        forward_scales(run).attention,
        lambda w: [torch.optim.AdamW(w.values(), lr=run.lr, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.0)],
    )
    torch.testing.assert_close(losses[:, 0].tolist(), alone, rtol=0, atol=1e-9)
    for tensor, value in wanted.items():
        torch.testing.assert_close(weights[tensor][0], value, rtol=0, atol=1e-9)


def test_attention_scales() -> None:
    def scale(rule: str, **options: Any) -> float:
        return forward_scales(run_of(rule=rule, **options)).attention

    assert scale("sp") == pytest.approx(D**-0.5)
    assert scale("mup") == pytest.approx(math.sqrt(2) / D)  # equal at the base, where d = 2
    for rule in ("sp", "mup"):
        assert scale(rule, attention_scale="sqrt_d") == pytest.approx(D**-0.5)
        assert scale(rule, attention_scale="d") == pytest.approx(1 / D)
        assert scale(rule, attention_scale=0.25) == 0.25
        assert scale(rule, heads=None, head_dim=4) == pytest.approx(4**-0.5)  # d stays: nothing to scale


def test_llama_is_one_of_the_decoders() -> None:
    transformers = pytest.importorskip("transformers")
    run = run_of(norm="rmsnorm", positions="rope", activation="swiglu", kv_heads=2, mlp_ratio=2.67, rule="sp")
    config = transformers.LlamaConfig(
        vocab_size=VOCAB,
        hidden_size=WIDTH,
        intermediate_size=run.model.hidden,
        num_hidden_layers=DEPTH,
        num_attention_heads=HEADS,
        num_key_value_heads=2,
        max_position_embeddings=CONTEXT,
        rms_norm_eps=1e-5,
        tie_word_embeddings=False,
        bos_token_id=None,
        eos_token_id=None,
    )
    llama = transformers.LlamaForCausalLM(config).double()
    weights = initial_weights(run)
    llama.load_state_dict(as_llama(weights, run.model))
    shape, _ = initial_state([run])
    settings = torch.utils._pytree.tree_map(lambda x: x[0], stack_settings([run]))
    tokens = random_tokens(run.model, 3, 0)
    logits = run_logits(template(shape), shape, weights, settings, tokens)
    # Its rotations are in float32.
    torch.testing.assert_close(logits, llama(tokens[:, :-1]).logits, rtol=0, atol=1e-5)


def as_llama(weights: dict[str, torch.Tensor], model: ModelConfig) -> dict[str, torch.Tensor]:
    """Names and cuts of transformers' Llama."""
    names = {
        "token_embedding.weight": "model.embed_tokens.weight",
        "norm.weight": "model.norm.weight",
        "readout.weight": "lm_head.weight",
    }
    found = {theirs: weights[ours] for ours, theirs in names.items()}
    keys = model.key_heads * model.d_head
    for block in range(model.depth):
        ours, theirs = f"blocks.{block}", f"model.layers.{block}"
        parts = weights[f"{ours}.qkv.weight"].split([model.width, keys, keys])
        for name, part in zip("qkv", parts, strict=True):
            found[f"{theirs}.self_attn.{name}_proj.weight"] = part
        gate, up = weights[f"{ours}.mlp_in.weight"].chunk(2)
        found |= {
            f"{theirs}.self_attn.o_proj.weight": weights[f"{ours}.projection.weight"],
            f"{theirs}.mlp.gate_proj.weight": gate,
            f"{theirs}.mlp.up_proj.weight": up,
            f"{theirs}.mlp.down_proj.weight": weights[f"{ours}.mlp_out.weight"],
            f"{theirs}.input_layernorm.weight": weights[f"{ours}.attention_norm.weight"],
            f"{theirs}.post_attention_layernorm.weight": weights[f"{ours}.mlp_norm.weight"],
        }
    return found
