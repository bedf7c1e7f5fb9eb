"""Training code in nanoGPT's style: one file, flags, a plain loop. hptransfer calls it once for each run.

Nothing here knows hptransfer: it takes flags and prints one line of JSON. Run it through a study with
`hptransfer run examples/own_code/nanogpt.yaml`, or alone: python examples/own_code/nanogpt.py --n_embd 64
Nothing is downloaded: it learns the characters of Python's own `argparse` module.
"""

import argparse
import json
import math

import torch
from torch import nn
from torch.nn import functional as F

HEAD = 16  # dimension of an attention head, at every width


class Block(nn.Module):
    """Attention and MLP, pre-norm."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x_BxTxD: torch.Tensor) -> torch.Tensor:
        batch, time, width = x_BxTxD.shape
        q, k, v = (
            part.view(batch, time, width // HEAD, HEAD).transpose(1, 2)
            for part in self.qkv(self.norm1(x_BxTxD)).split(width, dim=2)
        )
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x_BxTxD = x_BxTxD + self.out(mixed.transpose(1, 2).reshape(batch, time, width))
        return x_BxTxD + self.mlp(self.norm2(x_BxTxD))


class GPT(nn.Module):
    """A decoder."""

    def __init__(self, vocab: int, block_size: int, n_layer: int, n_embd: int) -> None:
        super().__init__()
        self.token, self.place = nn.Embedding(vocab, n_embd), nn.Embedding(block_size, n_embd)
        self.blocks = nn.Sequential(*(Block(n_embd) for _ in range(n_layer)))
        self.norm, self.head = nn.LayerNorm(n_embd), nn.Linear(n_embd, vocab, bias=False)

    def forward(self, ids_BxT: torch.Tensor, targets_BxT: torch.Tensor) -> torch.Tensor:
        x = self.token(ids_BxT) + self.place(torch.arange(ids_BxT.shape[1]))
        logits = self.head(self.norm(self.blocks(x)))
        return F.cross_entropy(logits.flatten(0, 1), targets_BxT.flatten())


def batches(text: torch.Tensor, size: int, block: int, generator: torch.Generator):
    starts = torch.randint(len(text) - block - 1, (size,), generator=generator)
    rows = torch.stack([text[start : start + block + 1] for start in starts])
    return rows[:, :-1], rows[:, 1:]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--learning_rate", type=float, default=1e-3)
    parser.add_argument("--n_embd", type=int, default=64)
    parser.add_argument("--n_layer", type=int, default=2)
    parser.add_argument("--block_size", type=int, default=32)
    parser.add_argument("--batch_size", type=int, default=8)
    parser.add_argument("--max_iters", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1337)
    options = parser.parse_args()

    torch.manual_seed(options.seed)
    with open(argparse.__file__, encoding="utf-8") as file:
        text = torch.tensor([min(ord(c), 127) for c in file.read()])
    cut = int(0.9 * len(text))
    generator = torch.Generator().manual_seed(options.seed)
    model = GPT(128, options.block_size, options.n_layer, options.n_embd)
    optimizer = torch.optim.AdamW(model.parameters(), lr=options.learning_rate, betas=(0.9, 0.95))
    curve = []
    for step in range(options.max_iters):
        rate = options.learning_rate * min(1.0, (step + 1) / 10, (options.max_iters - step) / 20)
        for group in optimizer.param_groups:
            group["lr"] = rate
        loss = model(*batches(text[:cut], options.batch_size, options.block_size, generator))
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        curve.append((step, loss.item()))
        if not math.isfinite(loss.item()):
            break
    with torch.no_grad():
        held_out = batches(text[cut:], 64, options.block_size, torch.Generator().manual_seed(0))
        final = model(*held_out).item()
    params = sum(p.numel() for p in model.parameters())
    print(json.dumps({"loss": final, "curve": curve[:: max(1, len(curve) // 100)], "params": params}))


if __name__ == "__main__":
    main()
