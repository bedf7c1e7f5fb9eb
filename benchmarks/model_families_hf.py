"""Small models of transformers, heads fixed, built from their configs: `HF[name](n)` has width n."""

import torch

V, CTX, LAYERS = 96, 16, 2
IDS = torch.randint(3, V, (2, 8), generator=torch.Generator().manual_seed(0))
_NO = {"bos_token_id": None, "eos_token_id": None, "pad_token_id": None}


def _plain(n, **more):
    """A config's usual fields at width n; heads are fixed, so that the attention scale counts."""
    return {
        **{"vocab_size": V, "hidden_size": n, "num_hidden_layers": LAYERS, "num_attention_heads": 4},
        **{"intermediate_size": 2 * n, "max_position_embeddings": CTX},
        **_NO,
        **more,
    }


def llama(n, **more):
    return _plain(n, num_key_value_heads=4, head_dim=n // 4, **more)


def _hf(config, model=None, head="ForCausalLM"):
    def make(fields):
        def build(n):
            import transformers

            kind = getattr(transformers, (model or config) + head)
            return kind(getattr(transformers, f"{config}Config")(**fields(n)))

        return build

    return make


def _moe(n, **more):
    return llama(n, moe_intermediate_size=n, num_experts_per_tok=2, **more)


HF = {
    "gpt2": _hf("GPT2", head="LMHeadModel")(
        lambda n: dict(n_embd=n, n_layer=LAYERS, n_head=4, vocab_size=V, n_positions=CTX, **_NO)
    ),
    "gpt_neox": _hf("GPTNeoX")(lambda n: _plain(n)),
    "llama": _hf("Llama")(lambda n: llama(n)),
    "qwen2": _hf("Qwen2")(lambda n: llama(n)),
    "gemma": _hf("Gemma")(lambda n: llama(n, pad_token_id=0)),
    "olmo": _hf("Olmo")(lambda n: llama(n)),
    "mixtral": _hf("Mixtral")(lambda n: llama(n, num_local_experts=4)),
    "mamba": _hf("Mamba")(
        lambda n: dict(vocab_size=V, hidden_size=n, num_hidden_layers=LAYERS, state_size=4, **_NO)
    ),
    "bert": _hf("Bert", head="ForMaskedLM")(lambda n: _plain(n, pad_token_id=0)),
    "t5": _hf("T5", head="ForConditionalGeneration")(
        lambda n: dict(
            d_model=n,
            num_layers=LAYERS,
            vocab_size=V,
            num_heads=4,
            d_ff=2 * n,
            d_kv=n // 4,
            pad_token_id=0,
            eos_token_id=None,
            decoder_start_token_id=0,
        )
    ),
    "vit": _hf("ViT", head="ForImageClassification")(
        lambda n: dict(
            hidden_size=n,
            num_hidden_layers=LAYERS,
            num_attention_heads=4,
            intermediate_size=2 * n,
            image_size=16,
            patch_size=8,
            num_labels=5,
        )
    ),
    "falcon": _hf("Falcon")(lambda n: _plain(n, new_decoder_architecture=True, num_kv_heads=4)),
    "gptj": _hf("GPTJ")(
        lambda n: dict(n_embd=n, n_layer=LAYERS, n_head=4, rotary_dim=4, vocab_size=V, n_positions=CTX, **_NO)
    ),
    "opt": _hf("OPT")(lambda n: _plain(n, ffn_dim=2 * n, word_embed_proj_dim=n, pad_token_id=0)),
    "bloom": _hf("Bloom")(lambda n: dict(hidden_size=n, n_layer=LAYERS, n_head=4, vocab_size=V, **_NO)),
    "phi": _hf("Phi")(lambda n: llama(n)),
    "deepseek_v3": _hf("DeepseekV3")(
        lambda n: _plain(
            n,
            num_key_value_heads=4,
            moe_intermediate_size=n,
            n_routed_experts=4,
            num_experts_per_tok=2,
            n_group=1,
            topk_group=1,
            first_k_dense_replace=1,
            n_shared_experts=1,
            q_lora_rank=n // 2,
            kv_lora_rank=n // 2,
            qk_rope_head_dim=n // 8,
            qk_nope_head_dim=n // 8,
            v_head_dim=n // 4,
        )
    ),
    "qwen3": _hf("Qwen3")(lambda n: llama(n)),
    "qwen3_moe": _hf("Qwen3Moe")(lambda n: _moe(n, num_experts=4)),
    "qwen3_next": _hf("Qwen3Next")(
        lambda n: _moe(
            n,
            num_experts=4,
            shared_expert_intermediate_size=n,
            linear_num_key_heads=n // 8,
            linear_num_value_heads=n // 8,
            linear_key_head_dim=8,
            linear_value_head_dim=8,
            layer_types=["linear_attention", "full_attention"],
        )
    ),
    "gemma2": _hf("Gemma2")(
        lambda n: llama(n, pad_token_id=0, query_pre_attn_scalar=n // 4, attn_implementation="eager")
    ),
    "gemma3": _hf("Gemma3Text", "Gemma3")(lambda n: llama(n, pad_token_id=0, query_pre_attn_scalar=n // 4)),
    "llama4": _hf("Llama4Text", "Llama4")(
        lambda n: llama(
            n,
            intermediate_size_mlp=2 * n,
            num_local_experts=4,
            num_experts_per_tok=1,
            attn_implementation="eager",
        )
    ),
    "gpt_oss": _hf("GptOss")(
        lambda n: llama(n, num_local_experts=4, num_experts_per_tok=2, attn_implementation="eager")
    ),
    "rwkv": _hf("Rwkv")(
        lambda n: dict(
            vocab_size=V,
            context_length=CTX,
            hidden_size=n,
            attention_hidden_size=n,
            intermediate_size=2 * n,
            num_hidden_layers=LAYERS,
            **_NO,
        )
    ),
    "jamba": _hf("Jamba")(
        lambda n: llama(
            n,
            num_experts=2,
            num_experts_per_tok=1,
            attn_layer_period=2,
            attn_layer_offset=1,
            expert_layer_period=2,
            expert_layer_offset=1,
            mamba_d_state=4,
            mamba_dt_rank=n // 8,
            use_mamba_kernels=False,
        )
    ),
    "bamba": _hf("Bamba")(
        lambda n: llama(
            n, mamba_n_heads=n // 4, mamba_d_head=8, mamba_d_state=4, mamba_n_groups=1, attn_layer_indices=[1]
        )
    ),
    "mamba2": _hf("Mamba2")(
        lambda n: dict(
            vocab_size=V,
            hidden_size=n,
            num_hidden_layers=LAYERS,
            state_size=4,
            num_heads=n // 4,
            head_dim=8,
            n_groups=1,
            chunk_size=8,
            **_NO,
        )
    ),
    "falcon_h1": _hf("FalconH1")(
        lambda n: llama(
            n, mamba_d_ssm=2 * n, mamba_n_heads=n // 4, mamba_d_head=8, mamba_d_state=4, mamba_n_groups=1
        )
    ),
    "whisper": _hf("Whisper", head="ForConditionalGeneration")(
        lambda n: dict(
            vocab_size=V,
            d_model=n,
            encoder_layers=1,
            decoder_layers=1,
            encoder_attention_heads=4,
            decoder_attention_heads=4,
            encoder_ffn_dim=2 * n,
            decoder_ffn_dim=2 * n,
            num_mel_bins=8,
            max_source_positions=CTX,
            max_target_positions=CTX,
            pad_token_id=0,
            bos_token_id=1,
            eos_token_id=2,
            decoder_start_token_id=1,
        )
    ),
    "bart": _hf("Bart", head="ForConditionalGeneration")(
        lambda n: dict(
            vocab_size=V,
            d_model=n,
            encoder_layers=1,
            decoder_layers=1,
            encoder_attention_heads=4,
            decoder_attention_heads=4,
            encoder_ffn_dim=2 * n,
            decoder_ffn_dim=2 * n,
            max_position_embeddings=CTX,
            pad_token_id=0,
            bos_token_id=1,
            eos_token_id=2,
            decoder_start_token_id=2,
        )
    ),
    "pegasus": _hf("Pegasus", head="ForConditionalGeneration")(
        lambda n: dict(
            vocab_size=V,
            d_model=n,
            encoder_layers=1,
            decoder_layers=1,
            encoder_attention_heads=4,
            decoder_attention_heads=4,
            encoder_ffn_dim=2 * n,
            decoder_ffn_dim=2 * n,
            max_position_embeddings=CTX,
            pad_token_id=0,
            eos_token_id=1,
            decoder_start_token_id=0,
        )
    ),
    "modernbert": _hf("ModernBert", head="ForMaskedLM")(
        lambda n: _plain(
            n, pad_token_id=0, global_attn_every_n_layers=2, local_attention=8, cls_token_id=1, sep_token_id=2
        )
    ),
    "granite": _hf("Granite")(lambda n: llama(n)),
    "cohere": _hf("Cohere")(lambda n: llama(n, pad_token_id=0)),
    "smollm3": _hf("SmolLM3")(lambda n: llama(n)),
    "recurrent_gemma": _hf("RecurrentGemma")(
        lambda n: llama(
            n, lru_width=n, attention_window_size=8, block_types=["recurrent", "attention"], pad_token_id=0
        )
    ),
    "biogpt": _hf("BioGpt")(lambda n: _plain(n, pad_token_id=1)),
    "xglm": _hf("XGLM")(
        lambda n: dict(
            vocab_size=V,
            max_position_embeddings=CTX,
            d_model=n,
            ffn_dim=2 * n,
            num_layers=LAYERS,
            attention_heads=4,
            pad_token_id=1,
            bos_token_id=0,
            eos_token_id=2,
        )
    ),
    "electra": _hf("Electra", head="ForMaskedLM")(lambda n: _plain(n, embedding_size=n, pad_token_id=0)),
    "segformer": _hf("Segformer", head="ForImageClassification")(
        lambda n: dict(
            hidden_sizes=[n // 4, n // 2, n, n],
            num_attention_heads=[1, 1, 2, 2],
            depths=[1, 1, 1, 1],
            decoder_hidden_size=n,
            num_labels=5,
        )
    ),
    "decision_transformer": _hf("DecisionTransformer", head="Model")(
        lambda n: dict(
            state_dim=5, act_dim=3, hidden_size=n, n_layer=LAYERS, n_head=4, max_ep_len=32, n_positions=64
        )
    ),
    "llama_reward": _hf("Llama", head="ForSequenceClassification")(
        lambda n: llama(n, num_labels=1) | {"pad_token_id": 0}
    ),
    "gpt2_reward": _hf("GPT2", head="ForSequenceClassification")(
        lambda n: (
            dict(n_embd=n, n_layer=LAYERS, n_head=4, vocab_size=V, n_positions=CTX, num_labels=1, **_NO)
            | {"pad_token_id": 0}
        )
    ),
}
