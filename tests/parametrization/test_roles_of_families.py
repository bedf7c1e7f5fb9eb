"""Roles of real Hugging Face models, built small from their configs, against tables a person can read."""

import re

import pytest
import torch

from hptransfer.parametrization.hf_models import MODELS, build
from hptransfer.parametrization.roles import find_roles

pytest.importorskip("transformers")

# Block numbers are written *; E embedding, H hidden, R readout, V vector, S scalar.
LLAMA = """
E model.embed_tokens.weight
H model.layers.*.self_attn.q_proj.weight
H model.layers.*.self_attn.k_proj.weight
H model.layers.*.self_attn.v_proj.weight
H model.layers.*.self_attn.o_proj.weight
H model.layers.*.mlp.gate_proj.weight
H model.layers.*.mlp.up_proj.weight
H model.layers.*.mlp.down_proj.weight
V model.layers.*.input_layernorm.weight
V model.layers.*.post_attention_layernorm.weight
V model.norm.weight
"""
TABLES = {
    "gpt2": """
E transformer.wte.weight = lm_head.weight
E transformer.wpe.weight
V transformer.h.*.ln_1.weight
V transformer.h.*.ln_1.bias
H transformer.h.*.attn.c_attn.weight
V transformer.h.*.attn.c_attn.bias
H transformer.h.*.attn.c_proj.weight
V transformer.h.*.attn.c_proj.bias
V transformer.h.*.ln_2.weight
V transformer.h.*.ln_2.bias
H transformer.h.*.mlp.c_fc.weight
V transformer.h.*.mlp.c_fc.bias
H transformer.h.*.mlp.c_proj.weight
V transformer.h.*.mlp.c_proj.bias
V transformer.ln_f.weight
V transformer.ln_f.bias
""",
    "gpt_neox": """
E gpt_neox.embed_in.weight
V gpt_neox.layers.*.input_layernorm.weight
V gpt_neox.layers.*.input_layernorm.bias
V gpt_neox.layers.*.post_attention_layernorm.weight
V gpt_neox.layers.*.post_attention_layernorm.bias
H gpt_neox.layers.*.attention.query_key_value.weight
V gpt_neox.layers.*.attention.query_key_value.bias
H gpt_neox.layers.*.attention.dense.weight
V gpt_neox.layers.*.attention.dense.bias
H gpt_neox.layers.*.mlp.dense_h_to_4h.weight
V gpt_neox.layers.*.mlp.dense_h_to_4h.bias
H gpt_neox.layers.*.mlp.dense_4h_to_h.weight
V gpt_neox.layers.*.mlp.dense_4h_to_h.bias
V gpt_neox.final_layer_norm.weight
V gpt_neox.final_layer_norm.bias
R lm_head.weight
""",
    "llama": LLAMA + "R lm_head.weight",
    "qwen2": LLAMA
    + """
V model.layers.*.self_attn.q_proj.bias
V model.layers.*.self_attn.k_proj.bias
V model.layers.*.self_attn.v_proj.bias
R lm_head.weight
""",
    "gemma": LLAMA.replace("embed_tokens.weight", "embed_tokens.weight = lm_head.weight"),
    "olmo": re.sub(r"V .*\n", "", LLAMA) + "R lm_head.weight",
    "mixtral": re.sub(r"H .*mlp.*\n", "", LLAMA)
    + """
R model.layers.*.mlp.gate.weight
H model.layers.*.mlp.experts.gate_up_proj
H model.layers.*.mlp.experts.down_proj
R lm_head.weight
""",
    "mamba": """
E backbone.embeddings.weight = lm_head.weight
V backbone.layers.*.norm.weight
V backbone.layers.*.mixer.A_log
V backbone.layers.*.mixer.D
V backbone.layers.*.mixer.conv1d.weight
V backbone.layers.*.mixer.conv1d.bias
H backbone.layers.*.mixer.in_proj.weight
H backbone.layers.*.mixer.x_proj.weight
H backbone.layers.*.mixer.dt_proj.weight
V backbone.layers.*.mixer.dt_proj.bias
H backbone.layers.*.mixer.out_proj.weight
V backbone.norm_f.weight
""",
    "vit": """
V vit.embeddings.cls_token
E vit.embeddings.position_embeddings
E vit.embeddings.patch_embeddings.projection.weight
V vit.embeddings.patch_embeddings.projection.bias
H vit.layers.*.attention.q_proj.weight
V vit.layers.*.attention.q_proj.bias
H vit.layers.*.attention.k_proj.weight
V vit.layers.*.attention.k_proj.bias
H vit.layers.*.attention.v_proj.weight
V vit.layers.*.attention.v_proj.bias
H vit.layers.*.attention.o_proj.weight
V vit.layers.*.attention.o_proj.bias
V vit.layers.*.layernorm_before.weight
V vit.layers.*.layernorm_before.bias
V vit.layers.*.layernorm_after.weight
V vit.layers.*.layernorm_after.bias
H vit.layers.*.mlp.fc1.weight
V vit.layers.*.mlp.fc1.bias
H vit.layers.*.mlp.fc2.weight
V vit.layers.*.mlp.fc2.bias
V vit.layernorm.weight
V vit.layernorm.bias
R classifier.weight
S classifier.bias
""",
    "t5": """
E shared.weight = encoder.embed_tokens.weight = decoder.embed_tokens.weight = lm_head.weight
H encoder.block.*.layer.*.SelfAttention.q.weight
H encoder.block.*.layer.*.SelfAttention.k.weight
H encoder.block.*.layer.*.SelfAttention.v.weight
H encoder.block.*.layer.*.SelfAttention.o.weight
S encoder.block.*.layer.*.SelfAttention.relative_attention_bias.weight
V encoder.block.*.layer.*.layer_norm.weight
H encoder.block.*.layer.*.DenseReluDense.wi.weight
H encoder.block.*.layer.*.DenseReluDense.wo.weight
V encoder.final_layer_norm.weight
H decoder.block.*.layer.*.SelfAttention.q.weight
H decoder.block.*.layer.*.SelfAttention.k.weight
H decoder.block.*.layer.*.SelfAttention.v.weight
H decoder.block.*.layer.*.SelfAttention.o.weight
S decoder.block.*.layer.*.SelfAttention.relative_attention_bias.weight
H decoder.block.*.layer.*.EncDecAttention.q.weight
H decoder.block.*.layer.*.EncDecAttention.k.weight
H decoder.block.*.layer.*.EncDecAttention.v.weight
H decoder.block.*.layer.*.EncDecAttention.o.weight
V decoder.block.*.layer.*.layer_norm.weight
H decoder.block.*.layer.*.DenseReluDense.wi.weight
H decoder.block.*.layer.*.DenseReluDense.wo.weight
V decoder.final_layer_norm.weight
""",
    "bert": """
E bert.embeddings.word_embeddings.weight = cls.predictions.decoder.weight
E bert.embeddings.position_embeddings.weight
E bert.embeddings.token_type_embeddings.weight
V bert.embeddings.LayerNorm.weight
V bert.embeddings.LayerNorm.bias
H bert.encoder.layer.*.attention.self.query.weight
V bert.encoder.layer.*.attention.self.query.bias
H bert.encoder.layer.*.attention.self.key.weight
V bert.encoder.layer.*.attention.self.key.bias
H bert.encoder.layer.*.attention.self.value.weight
V bert.encoder.layer.*.attention.self.value.bias
H bert.encoder.layer.*.attention.output.dense.weight
V bert.encoder.layer.*.attention.output.dense.bias
V bert.encoder.layer.*.attention.output.LayerNorm.weight
V bert.encoder.layer.*.attention.output.LayerNorm.bias
H bert.encoder.layer.*.intermediate.dense.weight
V bert.encoder.layer.*.intermediate.dense.bias
H bert.encoder.layer.*.output.dense.weight
V bert.encoder.layer.*.output.dense.bias
V bert.encoder.layer.*.output.LayerNorm.weight
V bert.encoder.layer.*.output.LayerNorm.bias
S cls.predictions.bias = cls.predictions.decoder.bias
H cls.predictions.transform.dense.weight
V cls.predictions.transform.dense.bias
V cls.predictions.transform.LayerNorm.weight
V cls.predictions.transform.LayerNorm.bias
""",
}


def test_every_family_has_a_table() -> None:
    assert set(TABLES) == set(MODELS)


@pytest.mark.parametrize("name", TABLES)
def test_roles_of_hugging_face_models(name: str) -> None:
    with torch.device("meta"):
        found = find_roles(build(name, 64), build(name, 32))
    lines = set()
    for tensor in found:
        assert tensor.ratio == (1 if tensor.role == "scalar" else 2), tensor.name
        names = " = ".join((tensor.name, *tensor.aliases))
        lines.add(f"{tensor.role[0].upper()} {re.sub(r'[.][0-9]+[.]', '.*.', names)}")
    assert lines == {line for line in TABLES[name].split("\n") if line}
