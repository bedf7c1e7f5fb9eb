"""The role of every tensor of the families in model_families.py, written by hand."""

from fnmatch import fnmatchcase

# By hand. Of every family its own patterns first, then those that all have in common.
COMMON = {
    "*norm*": "vector",
    "*ln_*": "vector",
    "*Norm*": "vector",
    "*ln[0-9]*": "vector",
    "*_ln.weight": "vector",
    "*embed_tokens.weight": "embedding",
    "*embed_positions.weight": "embedding",
    "*embeddings.weight": "embedding",  # word_embeddings, position_embeddings, ...
    "*embedding.weight": "embedding",
    "*wte.weight": "embedding",
    "*wpe.weight": "embedding",
    "*embed_in.weight": "embedding",
    "lm_head.weight": "readout",
    "embed_out.weight": "readout",
    "classifier.weight": "readout",
    "score.weight": "readout",
    "head.weight": "readout",
    "lm_head.bias": "scalar",
    "classifier.bias": "scalar",
    "head.bias": "scalar",
    "*bias": "vector",
    "*": "hidden",
}
_ROUTED = {
    "*mlp.gate.weight": "readout",
    "*router.weight": "readout",
    "*gate.e_score_correction_bias": "scalar",
}
_SSM = {"*A_log": "vector", "*.D": "vector", "*dt_bias": "vector", "*conv1d.weight": "vector"}
_VISION = {
    "*patch_embed.proj.weight": "embedding",
    "*cls_token": "vector",
    "*pos_embed": "embedding",
    "*gamma*": "vector",
}
ROLES: dict[str, dict[str, str]] = {
    "mixtral": _ROUTED,
    "mamba": _SSM | {"*x_proj.weight": "hidden"},
    "bert": {"cls.predictions.bias": "scalar"},
    "t5": {"*relative_attention_bias.weight": "scalar", "shared.weight": "embedding"},
    "vit": {
        "*cls_token": "vector",
        "*position_embeddings": "embedding",
        "*patch_embeddings.projection.weight": "embedding",
    },
    "deepseek_v3": _ROUTED,
    "qwen3_moe": _ROUTED,
    "qwen3_next": _ROUTED
    | _SSM
    | {"*shared_expert_gate.weight": "readout", "*linear_attn.norm.weight": "scalar"},
    "llama4": _ROUTED,
    "gpt_oss": _ROUTED | {"*router.bias": "scalar", "*sinks": "scalar"},
    "rwkv": {"*time_*": "vector", "rwkv.embeddings.weight": "embedding", "head.weight": "readout"},
    "jamba": _ROUTED | _SSM | {"*mamba.[bc]_layernorm.weight": "scalar"},  # over the state, which stays
    "bamba": _SSM,
    "mamba2": _SSM,
    "falcon_h1": _SSM,
    "bart": {"model.shared.weight": "embedding"},
    "pegasus": {"model.shared.weight": "embedding"},
    "whisper": {"*conv1.weight": "embedding"},
    "modernbert": {"decoder.bias": "scalar"},
    "recurrent_gemma": {
        "*conv_1d.weight": "vector",
        "*_gate_weight": "hidden",  # a matrix a head: their number stays, their sides grow
        "*rg_lru.*": "vector",
    },
    "electra": {"generator_lm_head.bias": "scalar"},
    "segformer": {
        "segformer.stages.0.patch_embeddings.proj.weight": "embedding",
        "*dwconv.dwconv.weight": "vector",
    },
    "decision_transformer": {
        "embed_ln.weight": "vector",
        "embed_*.weight": "embedding",
        "predict_*.weight": "readout",
        "predict_*.bias": "scalar",
    },
    "clip": {"logit_scale": "scalar", "*class_embedding": "vector", "*patch_embedding.weight": "embedding"},
    "siglip": {
        "logit_*": "scalar",
        "*patch_embedding.weight": "embedding",
        "*head.probe": "vector",
        "*head.bias": "vector",
    },
    "timm vit": _VISION,
    "diffusers dit": {
        "pos_embed.proj.weight": "embedding",
        "*timestep_embedder.linear_1.weight": "embedding",
        "*timestep_embedder.linear_2.weight": "hidden",
        "*embedding_table.weight": "embedding",
        "*norm1.linear.weight": "hidden",
        "proj_out_2.weight": "readout",
        "proj_out_2.bias": "scalar",
    },
    "diffusers unet2d": {
        "conv_in.weight": "embedding",
        "conv_out.weight": "readout",
        "conv_out.bias": "scalar",
    },
    "timm eva": _VISION,
    "timm cait": _VISION | {"*attn.proj_[lw].*": "scalar"},  # across heads, whose number stays
    "timm beit": _VISION | {"*relative_position_bias_table": "scalar"},
    "timm swin": _VISION
    | {"*relative_position_bias_table": "scalar", "head.fc.weight": "readout", "head.fc.bias": "scalar"},
    "timm convnext": _VISION
    | {"stem.0.weight": "embedding", "stem.1.*": "vector", "*.gamma": "vector", "*conv_dw.weight": "vector"}
    | {"*downsample.0.weight": "vector", "head.fc.weight": "readout", "head.fc.bias": "scalar"},
    "x-transformers": {"*emb.weight": "embedding", "*gamma": "vector", "to_logits.weight": "readout"},
    "lstm": {"lstm.bias*": "vector", "embed.weight": "embedding", "head.bias": "scalar"},
    "nn.Transformer": {"embed.weight": "embedding"},
    "mamba_ssm": _SSM,
    "resnet": {
        "conv1.weight": "embedding",
        "*bn[12].*": "vector",
        "*downsample.1.*": "vector",
        "fc.weight": "readout",
        "fc.bias": "scalar",
    },
    "torchvision vit": {
        "class_token": "vector",
        "conv_proj.weight": "embedding",
        "*pos_embedding": "embedding",
        "encoder.ln.*": "vector",
        "heads.head.weight": "readout",
        "heads.head.bias": "scalar",
    },
    "torchvision convnext": {
        "features.0.0.weight": "embedding",
        "features.0.1.*": "vector",
        "features.2.0.*": "vector",
        "*.block.[02].weight": "vector",
        "*layer_scale": "vector",
        "classifier.0.*": "vector",
        "classifier.2.weight": "readout",
        "classifier.2.bias": "scalar",
    },
    "torchvision swin": {
        "features.0.0.weight": "embedding",
        "features.0.2.*": "vector",
        "*relative_position_bias_table": "scalar",
    },
}


def role_by_hand(family: str, name: str) -> str:
    """The role of a tensor: of the first pattern that matches its name."""
    own = ROLES.get(family, {})
    patterns = {**own, **{p: role for p, role in COMMON.items() if p not in own}}
    return next(role for pattern, role in patterns.items() if fnmatchcase(name, pattern))
