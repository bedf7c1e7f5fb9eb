"""LayerNorm and RMSNorm with gains of a vector, a scalar, or none."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hptransfer.runs.model_config import ModelConfig


class Norm(nn.Module):
    """The norm that a config asks for, over the last dimension."""

    def __init__(self, config: ModelConfig, length: int) -> None:
        super().__init__()
        self.centered, self.eps, self.length = config.norm == "layernorm", config.norm_eps, length
        gains = {"none": None, "scalar": 1, "vector": length}[config.gains]
        self.weight = None if gains is None else nn.Parameter(torch.ones(gains))
        self.bias = nn.Parameter(torch.zeros(length)) if "norm" in config.biases else None

    def forward(self, x: Tensor) -> Tensor:
        """Each vector x along the last dimension, normed; same shape."""
        if x.dtype == torch.bfloat16:  # queries and keys under autocast, where norms are in float32
            x = x.float()
        if not self.centered:
            normed = x * torch.rsqrt(x.square().mean(dim=-1, keepdim=True) + self.eps)
            return normed if self.weight is None else normed * self.weight
        vector = self.weight is not None and self.weight.shape[-1] == self.length
        if vector or self.weight is None:
            return F.layer_norm(x, (self.length,), self.weight, self.bias, self.eps)
        normed = F.layer_norm(x, (self.length,), None, None, self.eps) * self.weight
        return normed if self.bias is None else normed + self.bias
