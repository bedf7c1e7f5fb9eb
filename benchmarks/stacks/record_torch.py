"""Records two stacks by the lines of docs/how-to/audit.md, each at widths 64 and 256.

One is a model with names and rules of Megatron-LM's muP; one is scaled by the `mup` package and has the
attributes of DeepSpeed.

    pip install mup; python benchmarks/stacks/record_torch.py

Neither Megatron-LM nor DeepSpeed is run: stand-ins have the attributes that the lines read.
"""

import json
import os
import re
import tempfile
from pathlib import Path
from types import SimpleNamespace

import torch
from torch import nn

HERE = Path(__file__).parent
PAGE = (HERE.parents[1] / "docs/how-to/audit.md").read_text(encoding="utf-8")
BASE, HEAD_DIM = 64, 16


def lines_of(stack, variables):
    """What the page's lines for a stack write."""
    code = re.search(rf"^### {stack}.*?```python\n(.*?)```", PAGE, re.MULTILINE | re.DOTALL)[1]
    before = os.getcwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            exec(code, variables)
            found = json.loads(Path("large.json").read_text())
        finally:
            os.chdir(before)
    return found


def write(name, record):
    body = ",\n".join(json.dumps(row) for row in record["tensors"])
    text = json.dumps({**record, "tensors": "ROWS"}).replace('"ROWS"', f"[\n{body}\n]")
    (HERE / f"{name}.json").write_text(text + "\n")


class MegatronLayer(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.self_attention = nn.ModuleDict(
            {"linear_proj": nn.Linear(n, n), "linear_qkv": nn.Linear(n, 3 * n)}
        )
        self.mlp = nn.ModuleDict({"linear_fc1": nn.Linear(n, 4 * n), "linear_fc2": nn.Linear(4 * n, n)})
        self.input_layernorm, self.pre_mlp_layernorm = nn.LayerNorm(n), nn.LayerNorm(n)


class MegatronGPT(nn.Module):
    def __init__(self, n):
        super().__init__()
        tables = {"word_embeddings": nn.Embedding(128, n), "position_embeddings": nn.Embedding(32, n)}
        self.embedding = nn.ModuleDict(tables)
        layers = nn.ModuleList(MegatronLayer(n) for _ in range(2))
        self.decoder = nn.ModuleDict({"layers": layers, "final_layernorm": nn.LayerNorm(n)})
        self.output_layer = nn.Linear(n, 128, bias=False)


def megatron(width):
    """Adam muP as get_mup_config_overrides has it: LR and eps / m on hidden matrices, logits / m."""
    torch.manual_seed(0)
    model, m = MegatronGPT(width), width / BASE
    args = SimpleNamespace(
        lr=3e-4,
        weight_decay=0.1,
        adam_eps=1e-8,
        tensor_model_parallel_size=1,
        hidden_size=width,
        num_layers=2,
    )
    hidden, matrices, vectors = [], [], []
    for name, p in model.named_parameters():
        inside = "layers" in name and p.ndim == 2
        (hidden if inside else matrices if p.ndim == 2 else vectors).append(p)
        if p.ndim == 2:
            nn.init.normal_(p, std=0.02 / (m**0.5 if inside else 1.0))
        elif "layernorm" not in name:
            nn.init.zeros_(p)
    groups = [
        {"params": hidden, "max_lr": args.lr / m, "eps": args.adam_eps / m, "wd_mult": 1.0},
        {"params": matrices, "max_lr": args.lr, "wd_mult": 1.0},
        {"params": vectors, "max_lr": args.lr, "wd_mult": 0.0},
    ]
    chained = SimpleNamespace(chained_optimizers=[SimpleNamespace(param_groups=groups)])
    found = lines_of("Megatron", {"model": [model], "optimizer": chained, "args": args})
    for row in found["tensors"]:
        row["multiplier"] = 1 / m if row["name"] == "output_layer.weight" else 1.0
    found |= {"optimizer": "adamw", "head_dim": width // 4, "attention_scale": HEAD_DIM**0.5 / (width // 4)}
    return found


class Block(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.ln_1, self.ln_2 = nn.LayerNorm(n), nn.LayerNorm(n)
        self.attn = nn.ModuleDict({"c_attn": nn.Linear(n, 3 * n), "c_proj": nn.Linear(n, n)})
        self.mlp = nn.ModuleDict({"c_fc": nn.Linear(n, 4 * n), "c_proj": nn.Linear(4 * n, n)})


class GPT(nn.Module):
    def __init__(self, n):
        super().__init__()
        from mup import MuReadout

        self.wte, self.wpe = nn.Embedding(128, n), nn.Embedding(32, n)
        self.h = nn.ModuleList(Block(n) for _ in range(2))
        self.ln_f, self.lm_head = nn.LayerNorm(n), MuReadout(n, 128, bias=False)


def deepspeed(width):
    """The `mup` package's AdamW: LR of hidden matrices / m, their decay x m, readout by a multiplier."""
    from mup import MuAdamW, set_base_shapes

    torch.manual_seed(0)
    model = GPT(width)
    set_base_shapes(model, GPT(BASE), delta=GPT(2 * BASE))
    optimizer = MuAdamW(model.parameters(), lr=1e-3, weight_decay=0.1)
    own = [g["params"] for g in optimizer.param_groups]
    engine = SimpleNamespace(
        module=model, optimizer=SimpleNamespace(param_groups=optimizer.param_groups, bit16_groups=own)
    )
    found = {"width": width, "depth": 2, "optimizer": "adamw"}
    found["tensors"] = lines_of("DeepSpeed", {"engine": engine})
    for row in found["tensors"]:
        row["multiplier"] = BASE / width if row["name"].startswith("lm_head") else 1.0
    return found


if __name__ == "__main__":
    for size, width in (("small", 64), ("large", 256)):
        write(f"megatron_{size}", megatron(width))
        write(f"deepspeed_{size}", deepspeed(width))
