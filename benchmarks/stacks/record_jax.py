"""Records a small Flax model under optax, scaled as Tensor Programs V, Table 8.

    pip install jax optax flax; python benchmarks/stacks/record_jax.py

The learning rate, decay and eps of every leaf are measured on the optimizer itself, by the lines of
docs/how-to/audit.md.
"""

import json
import os
import re
import tempfile
from pathlib import Path

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from flax.traverse_util import path_aware_map

BASE = 64
VOCAB, CONTEXT = 128, 32


class Block(nn.Module):
    width: int

    @nn.compact
    def __call__(self, x):
        heads = nn.SelfAttention(num_heads=4, qkv_features=self.width)
        x = x + heads(nn.LayerNorm()(x))
        y = nn.Dense(4 * self.width, name="wi")(nn.LayerNorm()(x))
        return x + nn.Dense(self.width, name="wo")(nn.gelu(y))


class Decoder(nn.Module):
    width: int

    @nn.compact
    def __call__(self, ids):
        unit = nn.initializers.normal(1.0)
        x = nn.Embed(VOCAB, self.width, embedding_init=unit, name="wte")(ids)
        x = x + nn.Embed(CONTEXT, self.width, embedding_init=unit, name="wpe")(jnp.arange(ids.shape[1]))
        for index in range(2):
            x = Block(self.width, name=f"h_{index}")(x)
        x = nn.LayerNorm(name="ln_f")(x) * BASE / self.width
        return nn.Dense(VOCAB, use_bias=False, name="lm_head", kernel_init=nn.initializers.normal(0.125))(x)


def label(path, leaf):
    hidden = leaf.ndim >= 2 and path[-1] == "kernel" and "lm_head" not in path
    return "hidden" if hidden else ("matrix" if leaf.ndim >= 2 and "bias" not in path else "vector")


def lines_of(variables):
    """What the page's lines for JAX write."""
    page = (Path(__file__).parents[2] / "docs/how-to/audit.md").read_text(encoding="utf-8")
    code = re.search(r"^### JAX.*?```python\n(.*?)```", page, re.MULTILINE | re.DOTALL)[1]
    before = os.getcwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            exec(code, variables)
            return json.loads(Path("large.json").read_text())
        finally:
            os.chdir(before)


def record(width):
    params = Decoder(width).init(jax.random.key(0), jnp.zeros((1, CONTEXT), int))["params"]
    m = width / BASE
    tx = optax.multi_transform(
        {
            "hidden": optax.adamw(3e-3 / m, eps=1e-8 / m, weight_decay=0.1 * m),
            "matrix": optax.adamw(3e-3, eps=1e-8 / m, weight_decay=0.1),
            "vector": optax.adamw(3e-3, eps=1e-8 / m, weight_decay=0.0),
        },
        path_aware_map(label, params),
    )
    tensors = lines_of({"params": params, "tx": tx})
    for row in tensors:
        row["multiplier"] = 1 / m if "lm_head" in row["name"] else 1.0
    return {"width": width, "depth": 2, "optimizer": "adamw", "tensors": tensors}


for name, width in (("small", 64), ("large", 256)):
    path = Path(__file__).with_name(f"jax_{name}.json")
    rows = record(width)
    text = json.dumps({**rows, "tensors": "ROWS"})
    body = ",\n".join(json.dumps(row) for row in rows["tensors"])
    path.write_text(text.replace('"ROWS"', f"[\n{body}\n]") + "\n")
