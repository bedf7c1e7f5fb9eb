"""base_width= against base= for many families' configs, and the roles of their unusual tensors."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch
from torch import nn

import hptransfer as hpt
from hptransfer.errors import RuleError
from hptransfer.parametrization.hf_models import build_at_width
from hptransfer.parametrization.roles import find_roles

transformers = pytest.importorskip("transformers")

NONE = {"bos_token_id": None, "eos_token_id": None, "pad_token_id": None}
ZERO = dict.fromkeys(NONE, 0)


def plain(n: int, **more: Any) -> dict[str, Any]:
    """A decoder whose heads have eight channels and grow in number."""
    sizes = {
        "hidden_size": n,
        "intermediate_size": 4 * n,
        "num_hidden_layers": 2,
        "num_attention_heads": n // 8,
    }
    return {
        "vocab_size": 97,
        **sizes,
        "num_key_value_heads": n // 8,
        "max_position_embeddings": 32,
        **NONE,
        **more,
    }


def towers(n: int, **more: Any) -> dict[str, Any]:
    """An encoder and a decoder."""
    sides = ("encoder", "decoder")
    sizes = {f"{side}_{key}": value for side in sides for key, value in side_of(n).items()}
    return {"vocab_size": 97, "d_model": n, **sizes, "decoder_start_token_id": 0, **ZERO, **more}


def side_of(n: int) -> dict[str, int]:
    return {"layers": 1, "attention_heads": n // 8, "ffn_dim": 4 * n}


def experts(n: int, **more: Any) -> dict[str, Any]:
    return plain(n, head_dim=8, moe_intermediate_size=n, num_experts=4, num_experts_per_tok=2, **more)


def tower(n: int, **more: Any) -> dict[str, Any]:
    sizes = {"intermediate_size": 4 * n, "num_hidden_layers": 1, "num_attention_heads": n // 8}
    return {"hidden_size": n, **sizes, **more}


def clip(n: int, **more: Any) -> dict[str, Any]:
    text = tower(n, vocab_size=97, max_position_embeddings=16, eos_token_id=1, bos_token_id=0, **more)
    return {"text_config": text, "vision_config": tower(n, image_size=16, patch_size=8)}


def mamba2(n: int, **more: Any) -> dict[str, Any]:
    return plain(n, mamba_n_heads=n // 8, mamba_d_head=16, mamba_d_state=4, **more)


# Model and config class, the config of a width, and tensors whose roles are not those of a plain decoder.
FAMILIES: dict[str, tuple[str, str, Any, str]] = {
    "falcon": (
        "FalconForCausalLM",
        "FalconConfig",
        lambda n: {
            **{"vocab_size": 97, "hidden_size": n, "num_hidden_layers": 2, "num_attention_heads": n // 8},
            **{"new_decoder_architecture": True, "num_kv_heads": n // 8, **NONE},
        },
        "H h.*.mlp.dense_4h_to_h.weight, H h.*.self_attention.query_key_value.weight",
    ),
    "gptj": (
        "GPTJForCausalLM",
        "GPTJConfig",
        lambda n: {"vocab_size": 97, "n_embd": n, "n_layer": 1, "n_head": n // 8, "rotary_dim": 4, **NONE},
        "S lm_head.bias, R lm_head.weight",
    ),
    "opt": (
        "OPTForCausalLM",
        "OPTConfig",
        lambda n: plain(n, word_embed_proj_dim=n, ffn_dim=4 * n, **ZERO),
        "E embed_positions.weight, H layers.*.fc1.weight",
    ),
    "bloom": (
        "BloomForCausalLM",
        "BloomConfig",
        lambda n: {"vocab_size": 97, "hidden_size": n, "n_layer": 1, "n_head": n // 8},
        "V word_embeddings_layernorm.weight",
    ),
    "phi": ("PhiForCausalLM", "PhiConfig", plain, "S lm_head.bias"),
    "deepseek": (
        "DeepseekV3ForCausalLM",
        "DeepseekV3Config",
        lambda n: plain(
            n,
            **{"moe_intermediate_size": n, "n_routed_experts": 4, "num_experts_per_tok": 2, "n_group": 2},
            **{"topk_group": 1, "first_k_dense_replace": 1, "kv_lora_rank": 8, "q_lora_rank": 8},
            **{"qk_nope_head_dim": 8, "qk_rope_head_dim": 8, "v_head_dim": 8},
        ),
        "R mlp.gate.weight, H self_attn.kv_a_proj_with_mqa.weight, E self_attn.kv_b_proj.weight",
    ),
    "qwen3 moe": (
        "Qwen3MoeForCausalLM",
        "Qwen3MoeConfig",
        experts,
        "R mlp.gate.weight, H mlp.experts.down_proj",
    ),
    "qwen2 moe": (
        "Qwen2MoeForCausalLM",
        "Qwen2MoeConfig",
        lambda n: experts(n, shared_expert_intermediate_size=2 * n),
        "R mlp.shared_expert_gate.weight, H mlp.shared_expert.down_proj.weight",
    ),
    "qwen3 next": (
        "Qwen3NextForCausalLM",
        "Qwen3NextConfig",
        lambda n: experts(
            n,
            **{"shared_expert_intermediate_size": n, "layer_types": ["linear_attention", "full_attention"]},
            **{"linear_num_key_heads": n // 16, "linear_num_value_heads": n // 8},
            **{"linear_key_head_dim": 8, "linear_value_head_dim": 8},
        ),
        "V linear_attn.A_log, V linear_attn.conv1d.weight, H linear_attn.in_proj_ba.weight",
    ),
    "gemma2": ("Gemma2ForCausalLM", "Gemma2Config", lambda n: plain(n, head_dim=8, **ZERO), ""),
    "llama4": (
        "Llama4ForCausalLM",
        "Llama4TextConfig",
        lambda n: plain(n, head_dim=8, intermediate_size_mlp=4 * n, num_local_experts=4),
        "R feed_forward.router.weight, H feed_forward.experts.gate_up_proj",
    ),
    "gpt-oss": (
        "GptOssForCausalLM",
        "GptOssConfig",
        lambda n: plain(n, head_dim=8, num_local_experts=4, num_experts_per_tok=2),
        "V self_attn.sinks, R mlp.router.weight, V mlp.experts.gate_up_proj_bias",
    ),
    "rwkv": (
        "RwkvForCausalLM",
        "RwkvConfig",
        lambda n: {
            **{"vocab_size": 97, "hidden_size": n, "attention_hidden_size": n, "intermediate_size": 4 * n},
            **{"num_hidden_layers": 1, **NONE},
        },
        "V attention.time_decay, V attention.time_mix_key, H attention.receptance.weight",
    ),
    "jamba": (
        "JambaForCausalLM",
        "JambaConfig",
        lambda n: plain(
            n,
            **{"num_experts": 4, "mamba_d_state": 4, "mamba_dt_rank": -(-n // 16), "attn_layer_period": 2},
            **{"attn_layer_offset": 1},
        ),
        "V mamba.A_log, V mamba.conv1d.weight, H mamba.x_proj.weight, H mamba.dt_proj.weight",
    ),
    "bamba": ("BambaForCausalLM", "BambaConfig", lambda n: mamba2(n, attn_layer_indices=[1]), "V mamba.D"),
    "falcon h1": (
        "FalconH1ForCausalLM",
        "FalconH1Config",
        lambda n: mamba2(n, mamba_d_ssm=2 * n),
        "V mamba.D",
    ),
    "whisper": (
        "WhisperForConditionalGeneration",
        "WhisperConfig",
        lambda n: towers(n, num_mel_bins=8, max_source_positions=16, max_target_positions=16),
        "E encoder.conv1.weight, H encoder.conv2.weight, E encoder.embed_positions.weight",
    ),
    "clip": ("CLIPModel", "CLIPConfig", clip, "R visual_projection.weight, S logit_scale"),
    "siglip": (
        "SiglipModel",
        "SiglipConfig",
        lambda n: clip(n, projection_size=n),
        "V vision_model.head.probe, H text_model.head.weight",
    ),
    "modernbert": (
        "ModernBertForMaskedLM",
        "ModernBertConfig",
        lambda n: plain(n, cls_token_id=0, sep_token_id=0, **ZERO),
        "H attn.Wqkv.weight",
    ),
    "cohere": (
        "CohereForCausalLM",
        "CohereConfig",
        lambda n: plain(n, use_qk_norm=True, **ZERO),
        "V self_attn.q_norm.weight",
    ),
    "recurrent gemma": (
        "RecurrentGemmaForCausalLM",
        "RecurrentGemmaConfig",
        lambda n: plain(n, lru_width=n, head_dim=8, **ZERO),
        "V rg_lru.input_gate_weight, V temporal_block.conv_1d.weight",
    ),
    "electra": (
        "ElectraForPreTraining",
        "ElectraConfig",
        lambda n: tower(n, embedding_size=n // 2, vocab_size=97, pad_token_id=0),
        "R discriminator_predictions.dense_prediction.weight, H embeddings_project.weight",
    ),
    "segformer": (
        "SegformerForSemanticSegmentation",
        "SegformerConfig",
        lambda n: {
            **{"hidden_sizes": [n // 2, n], "depths": [1, 1], "num_attention_heads": [n // 16, n // 8]},
            **{"decoder_hidden_size": n, "num_encoder_blocks": 2, "sr_ratios": [2, 1], "patch_sizes": [7, 3]},
            **{"strides": [4, 2], "mlp_ratios": [4, 4]},
        },
        "V mlp.dwconv.dwconv.weight, R decode_head.classifier.weight",
    ),
    "decision transformer": (
        "DecisionTransformerModel",
        "DecisionTransformerConfig",
        lambda n: {"hidden_size": n, "n_layer": 1, "n_head": n // 8, "state_dim": 5, "act_dim": 3, **NONE},
        "E embed_return.weight, R predict_return.weight",
    ),
    "reward model": (
        "LlamaForSequenceClassification",
        "LlamaConfig",
        lambda n: plain(n, num_labels=1, **ZERO),
        "R score.weight",
    ),
    "distilbert": (
        "DistilBertForMaskedLM",
        "DistilBertConfig",
        lambda n: {"vocab_size": 97, "dim": n, "hidden_dim": 4 * n, "n_layers": 1, "n_heads": n // 8},
        "H attention.q_lin.weight, H ffn.lin2.weight",
    ),
}


def make(name: str, width: int, **change: Any) -> nn.Module:
    model, config, sizes, _ = FAMILIES[name]
    return getattr(transformers, model)(getattr(transformers, config)(**{**sizes(width), **change}))


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.filterwarnings("ignore")
def test_a_config_is_scaled_to_the_model_that_it_says_and_roles_are_right(name: str) -> None:
    width, base_width = 64, 32
    with torch.device("meta"):
        model, base = make(name, width), make(name, base_width)
        scaled = build_at_width(model, base_width // 2 if name == "segformer" else base_width, None, "grow")
    assert {n: p.shape for n, p in scaled.named_parameters()} == {
        n: p.shape for n, p in base.named_parameters()
    }
    found = {tensor.name: tensor.role[0].upper() for tensor in find_roles(model, base)}
    for line in filter(None, FAMILIES[name][3].split(", ")):
        role, _, pattern = line.partition(" ")
        ending = re.compile(re.escape(pattern).replace(r"\*", r"\d+") + "$")
        assert {found[n] for n in found if ending.search(n)} == {role}, line


def scale_of(model: str, config: str, sizes: Any) -> dict[str, float]:
    kinds = getattr(transformers, model), getattr(transformers, config)
    big, small = (kinds[0](kinds[1](**sizes(n))) for n in (64, 16))
    scaling = hpt.parametrize(big, base=small, rule="mup")
    return {factor.module: factor.on_input * factor.on_output for factor in scaling.factors}


@pytest.mark.filterwarnings("ignore")
def test_embeddings_that_a_model_multiplies_by_sqrt_of_the_width_are_divided_by_it() -> None:
    xglm = lambda n: {"vocab_size": 97, "d_model": n, "ffn_dim": 4 * n, "num_layers": 1, "attention_heads": 2}  # noqa: E731
    assert (
        scale_of("XGLMForCausalLM", "XGLMConfig", lambda n: {**xglm(n), **ZERO})["model.embed_tokens"] == 0.5
    )
    pegasus = scale_of(
        "PegasusForConditionalGeneration", "PegasusConfig", lambda n: towers(n, scale_embedding=True)
    )
    assert pegasus["model.encoder.embed_tokens"] == pegasus["model.decoder.embed_tokens"] == 0.5
    unscaled = scale_of(
        "PegasusForConditionalGeneration", "PegasusConfig", lambda n: towers(n, scale_embedding=False)
    )
    assert unscaled == {"lm_head": 0.25}


@pytest.mark.filterwarnings("ignore")
def test_a_width_that_is_not_known_is_named_and_one_key_head_stays() -> None:
    with torch.device("meta"):
        model = make("reward model", 64, num_key_value_heads=1)
        assert build_at_width(model, 32, None, "grow").config.num_key_value_heads == 1
        model.config.own_width = 256
        with pytest.raises(
            RuleError, match="every width of the config, but own_width=256 is 4 times the width"
        ):
            build_at_width(model, 64, None, "grow")
