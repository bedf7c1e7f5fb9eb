"""Families that people copy into their own code: nanoGPT, mamba_ssm's blocks, torchvision's ResNet."""

import torch
from torch import nn
from torch.nn import functional as F

from model_families_hf import CTX, LAYERS, V


class CausalSelfAttention(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.c_attn, self.c_proj = nn.Linear(n, 3 * n), nn.Linear(n, n)
        self.n_head, self.n_embd = 4, n

    def forward(self, x):
        q, k, v = (p.unflatten(-1, (self.n_head, -1)).transpose(1, 2) for p in self.c_attn(x).chunk(3, -1))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.c_proj(y.transpose(1, 2).flatten(2))


class MLP(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.c_fc, self.c_proj = nn.Linear(n, 4 * n), nn.Linear(4 * n, n)

    def forward(self, x):
        return self.c_proj(F.gelu(self.c_fc(x)))


class Block(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.ln_1, self.attn = nn.LayerNorm(n), CausalSelfAttention(n)
        self.ln_2, self.mlp = nn.LayerNorm(n), MLP(n)

    def forward(self, x):
        x = x + self.attn(self.ln_1(x))
        return x + self.mlp(self.ln_2(x))


class NanoGPT(nn.Module):
    """The names of nanoGPT, its tied head, and its attention without a scale of its own."""

    def __init__(self, n):
        super().__init__()
        parts = {"wte": nn.Embedding(V, n), "wpe": nn.Embedding(CTX, n)}
        blocks = nn.ModuleList(Block(n) for _ in range(LAYERS))
        self.transformer = nn.ModuleDict({**parts, "h": blocks, "ln_f": nn.LayerNorm(n)})
        self.lm_head = nn.Linear(n, V, bias=False)
        self.apply(self._init_weights)
        self.transformer.wte.weight = self.lm_head.weight

    def _init_weights(self, module):
        if isinstance(module, (nn.Linear, nn.Embedding)):
            nn.init.normal_(module.weight, std=0.02)

    def forward(self, ids):
        x = self.transformer.wte(ids) + self.transformer.wpe(torch.arange(ids.shape[1]))
        for block in self.transformer.h:
            x = block(x)
        return self.lm_head(self.transformer.ln_f(x))


class Mixer(nn.Module):
    """Mamba's, by mamba_ssm's names, with the scan written out."""

    def __init__(self, n, state=4, kernel=3):
        super().__init__()
        inner, rank = 2 * n, n // 16
        self.in_proj = nn.Linear(n, 2 * inner, bias=False)
        self.conv1d = nn.Conv1d(inner, inner, kernel, groups=inner, padding=kernel - 1)
        self.x_proj = nn.Linear(inner, rank + 2 * state, bias=False)
        self.dt_proj = nn.Linear(rank, inner)
        self.A_log = nn.Parameter(torch.log(torch.arange(1.0, state + 1)).repeat(inner, 1))
        self.A_log._no_weight_decay = True
        self.D = nn.Parameter(torch.ones(inner))
        self.D._no_weight_decay = True
        self.out_proj = nn.Linear(inner, n, bias=False)
        self.sizes = [rank, state, state]

    def forward(self, x):
        u, z = self.in_proj(x).chunk(2, -1)
        u = F.silu(self.conv1d(u.transpose(1, 2))[..., : x.shape[1]].transpose(1, 2))
        dt, b, c = self.x_proj(u).split(self.sizes, -1)
        dt = F.softplus(self.dt_proj(dt))
        keep = torch.exp(-dt[..., None] * torch.exp(self.A_log))
        h, out = 0.0, []
        for t in range(x.shape[1]):
            h = keep[:, t] * h + (dt[:, t] * u[:, t])[..., None] * b[:, t, None]
            out.append((h * c[:, t, None]).sum(-1))
        return self.out_proj((torch.stack(out, 1) + self.D * u) * F.silu(z))


class MambaBlock(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.norm, self.mixer = nn.RMSNorm(n), Mixer(n)

    def forward(self, x):
        return x + self.mixer(self.norm(x))


class Mamba(nn.Module):
    def __init__(self, n):
        super().__init__()
        parts = {"embedding": nn.Embedding(V, n), "norm_f": nn.RMSNorm(n)}
        self.backbone = nn.ModuleDict(
            {**parts, "layers": nn.ModuleList(MambaBlock(n) for _ in range(LAYERS))}
        )
        self.lm_head = nn.Linear(n, V, bias=False)
        self.lm_head.weight = self.backbone.embedding.weight

    def forward(self, ids):
        x = self.backbone.embedding(ids)
        for block in self.backbone.layers:
            x = block(x)
        return self.lm_head(self.backbone.norm_f(x))


class BasicBlock(nn.Module):
    def __init__(self, read, write, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(read, write, 3, stride, 1, bias=False)
        self.bn1, self.bn2 = nn.BatchNorm2d(write), nn.BatchNorm2d(write)
        self.conv2 = nn.Conv2d(write, write, 3, 1, 1, bias=False)
        self.downsample = None
        if stride > 1 or read != write:
            self.downsample = nn.Sequential(
                nn.Conv2d(read, write, 1, stride, bias=False), nn.BatchNorm2d(write)
            )

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(y + (x if self.downsample is None else self.downsample(x)))


class ResNet(nn.Module):
    """torchvision's, by its names, with its widths from n / 2."""

    def __init__(self, n):
        super().__init__()
        self.conv1 = nn.Conv2d(3, n // 2, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(n // 2)
        self.layer1 = nn.Sequential(BasicBlock(n // 2, n // 2, 1), BasicBlock(n // 2, n // 2, 1))
        self.layer2 = nn.Sequential(BasicBlock(n // 2, n, 2), BasicBlock(n, n, 1))
        self.fc = nn.Linear(n, 5)

    def forward(self, x):
        x = self.layer2(self.layer1(F.relu(self.bn1(self.conv1(x)))))
        return self.fc(x.mean((2, 3)))


def _torchvision_vit(n):
    from torchvision.models import VisionTransformer

    return VisionTransformer(32, 8, LAYERS, 4, n, 2 * n, num_classes=5)


def _torchvision_convnext(n):
    from torchvision.models.convnext import CNBlockConfig, ConvNeXt

    return ConvNeXt([CNBlockConfig(n // 2, n, 1), CNBlockConfig(n, None, 2)], num_classes=5)


def _torchvision_swin(n):
    from torchvision.models import SwinTransformer

    return SwinTransformer([4, 4], n // 2, [1, 1], [2, 4], [4, 4], num_classes=5)


OWN = {
    "nanogpt": NanoGPT,
    "mamba_ssm": Mamba,
    "resnet": ResNet,
    "torchvision vit": _torchvision_vit,
    "torchvision convnext": _torchvision_convnext,
    "torchvision swin": _torchvision_swin,
}
