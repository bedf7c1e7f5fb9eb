"""What people build, from reports of bugs: each is right, or refused with what to do."""

from __future__ import annotations

import ast
import random
import re
from typing import Any

import pytest
import torch
from situations import BASE, IDS, RULE, VOCAB, WIDTH, Simple, ready
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import prune
from torch.utils.checkpoint import checkpoint

import hptransfer as hpt
from hptransfer.errors import HPTransferError


class Chunked(Simple):
    def forward(self, ids: Tensor) -> Tensor:
        h = self.hidden(ids).flatten(0, 1)
        parts = [checkpoint(lambda x: self.head(x).logsumexp(-1), c, use_reentrant=False) for c in h.chunk(3)]
        return torch.cat(parts).mean()


def test_chunked_loss_under_checkpoint() -> None:
    model, scaling, optimizer = ready(Chunked)
    found = scaling.verify(model, optimizer, IDS)
    assert found.proven == found.modules == 1


class NormedInput(nn.Linear):  # BitNet's BitLinear: the layer normalises its own input
    def forward(self, x: Tensor) -> Tensor:
        return F.linear(F.layer_norm(x, x.shape[-1:]), self.weight, self.bias)


class BitHead(Simple):
    def __init__(self, n: int) -> None:
        super().__init__(n)
        self.head = NormedInput(n, VOCAB, bias=False)


def test_layer_that_normalises_its_input() -> None:
    model, scaling, optimizer = ready(BitHead)
    with pytest.raises(
        HPTransferError, match=r"head .* its output does not move with it: the layer normalises"
    ):
        scaling.verify(model, optimizer, IDS)
    model, scaling, optimizer = ready(BitHead, "mup-tp5-table3")  # as the error says: in init and LR
    scaling.verify(model, optimizer, IDS)


class Float32Head(nn.Module):
    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.linear = linear

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x.float(), self.linear.weight.float())


class Wrapped(Simple):
    def __init__(self, n: int) -> None:
        super().__init__(n)
        self.head = Float32Head(self.head)


def test_wrapped_head_reads_the_weight() -> None:
    model, scaling, optimizer = ready(Wrapped)
    with pytest.raises(HPTransferError, match=r"head\.linear"):
        scaling.verify(model, optimizer, IDS)


class LayerDrop(Simple):
    def hidden(self, ids: Tensor) -> Tensor:
        h = self.emb(ids)
        for _ in range(4):
            if random.random() > 0.5:
                h = h + self.mix(torch.relu(h))
        return self.norm(h)


def test_layer_drop_by_pythons_random() -> None:
    model, scaling, optimizer = ready(LayerDrop)
    for _ in range(5):
        found = scaling.verify(model, optimizer, IDS)
        assert found.proven == 1


class InPlace(nn.Module):
    def __init__(self, n: int) -> None:
        super().__init__()
        self.first, self.mix, self.head = nn.Linear(8, n), nn.Linear(n, n), nn.Linear(n, 5)

    def forward(self, x: Tensor) -> Tensor:
        x.sub_(0.5).mul_(2)
        return self.head(torch.relu(self.mix(torch.relu(self.first(x)))))


def test_forward_that_changes_its_batch() -> None:
    model, scaling, optimizer = ready(InPlace)
    batch = torch.rand(4, 8)
    kept = batch.clone()
    found = scaling.verify(model, optimizer, batch)
    assert found.proven == found.modules
    assert torch.equal(batch, kept)


class Encoder(nn.Module):
    def __init__(self, n: int, depth: int = 2) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(n, 4, 2 * n, dropout=0.0, batch_first=True)
        self.emb, self.head = nn.Embedding(VOCAB, n), nn.Linear(n, VOCAB, bias=False)
        self.encoder = nn.TransformerEncoder(layer, depth, enable_nested_tensor=False)

    def forward(self, ids: Tensor) -> Tensor:
        return self.head(self.encoder(self.emb(ids)))


def test_fast_path_of_the_encoder_in_evaluation() -> None:
    """Without gradients torch's encoder layer reads weights past its layers; with a factor it must not."""
    torch.manual_seed(0)
    model, base = Encoder(WIDTH, 4), Encoder(BASE, 2)
    how = {"base": base, "rule": "completep", "attention": False}
    scaling = hpt.parametrize(model, residual=["encoder.layers.*.linear2"], **how)
    scaling.init_(model)
    scaling.verify(model, torch.optim.AdamW(scaling.param_groups(model, lr=1e-3)), IDS)
    training = model(IDS)
    with torch.no_grad():
        torch.testing.assert_close(model.eval()(IDS), training)
    ends = ["encoder.layers.*.self_attn.out_proj", "encoder.layers.*.linear2"]
    scaling = hpt.parametrize(model, residual=ends, **how)
    scaling.init_(model)
    with pytest.raises(HPTransferError, match="out_proj"):  # which nn.MultiheadAttention does not call
        scaling.verify(model, torch.optim.AdamW(scaling.param_groups(model, lr=1e-3)), IDS)


class AutoEncoder(nn.Module):
    def __init__(self, n: int) -> None:
        super().__init__()
        self.enc, self.mix = nn.Linear(12, n), nn.Linear(n, n)

    def forward(self, x: Tensor) -> Tensor:
        h = torch.relu(self.mix(torch.relu(self.enc(x))))
        return F.linear(h, self.enc.weight.t())


@pytest.mark.parametrize("rule", ["mup", RULE])
def test_transposed_tying_of_a_linear_layer(rule: str) -> None:
    model, scaling, optimizer = ready(AutoEncoder, rule)
    with pytest.raises(
        HPTransferError, match=r"enc\.weight .* multiplied outside its layer, as a readout is"
    ):
        scaling.verify(model, optimizer, torch.randn(4, 12))


class Block(nn.Module):
    def __init__(self, n: int) -> None:
        super().__init__()
        self.norm, self.up, self.down = nn.LayerNorm(n), nn.Linear(n, 2 * n), nn.Linear(2 * n, n)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.down(F.gelu(self.up(self.norm(x))))


class Shared(nn.Module):  # ALBERT: one block's weights in every layer
    def __init__(self, n: int, depth: int) -> None:
        super().__init__()
        block = Block(n)
        self.emb, self.head = nn.Embedding(VOCAB, n), nn.Linear(n, VOCAB, bias=False)
        self.blocks = nn.ModuleList(block for _ in range(depth))

    def forward(self, ids: Tensor) -> Tensor:
        x = self.emb(ids)
        for block in self.blocks:
            x = block(x)
        return self.head(x)


def test_one_block_in_every_layer() -> None:
    torch.manual_seed(0)
    model, base = Shared(WIDTH, 4), Shared(BASE, 2)
    scaling = hpt.parametrize(model, base=base, rule="completep", residual=["blocks.*.down"])
    assert scaling.depth_ratio == 2
    x = model.emb(IDS)
    before = model.blocks[0](x) - x
    scaling.init_(model)
    x = model.emb(IDS)
    after = model.blocks[0](x) - x
    assert after.std() / before.std() < 0.9
    found = scaling.verify(model, torch.optim.AdamW(scaling.param_groups(model, lr=1e-3)), IDS)
    assert found.proven == found.modules


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_models(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    model = Simple(WIDTH).to(dtype)
    scaling = hpt.parametrize(model, base=Simple(BASE), rule=RULE)
    scaling.init_(model)
    optimizer = torch.optim.AdamW(scaling.param_groups(model, lr=1e-3))
    assert scaling.verify(model, optimizer, IDS).proven == 1
    wrapped = Wrapped(WIDTH).to(dtype)
    scaling = hpt.parametrize(wrapped, base=Wrapped(BASE), rule=RULE)
    scaling.init_(wrapped)
    with pytest.raises(HPTransferError, match="head"):
        scaling.verify(wrapped, torch.optim.AdamW(scaling.param_groups(wrapped, lr=1e-3)), IDS)


class Spectral(Simple):
    def __init__(self, n: int) -> None:
        super().__init__(n)
        self.head = torch.nn.utils.parametrizations.spectral_norm(self.head)


def test_spectral_norm_undoes_the_init_of_a_readout() -> None:
    with pytest.raises(
        HPTransferError, match=r"readout must be free to change its size .* head\.param.* leave it off"
    ):
        ready(Spectral)


class ScaleNorm(nn.Module):
    def __init__(self, n: int) -> None:
        super().__init__()
        self.g = nn.Parameter(torch.ones(1) * n**0.5)

    def forward(self, x: Tensor) -> Tensor:
        return F.normalize(x, dim=-1) * self.g


class WithScaleNorm(Simple):
    def __init__(self, n: int) -> None:
        super().__init__(n)
        self.norm = ScaleNorm(n)


def test_scalar_whose_value_grows_with_width() -> None:
    # An update of fixed size moves sqrt(n) by less and less of itself.
    with pytest.raises(
        HPTransferError, match=r"norm\.g starts at 4 in the base and at 8 in the model"
    ) as caught:
        ready(WithScaleNorm)
    said = ast.literal_eval(re.search(r"overrides=(\{.*?\})", str(caught.value))[1])  # type: ignore[index]
    assert ready(WithScaleNorm, overrides=said)[1].ratio == 4


class LossOnly(Simple):
    def forward(self, batch: dict[str, Any]) -> Any:
        logits = self.head(self.hidden(batch["ids"]))
        return {"meta": batch["name"], "loss": F.cross_entropy(logits.flatten(0, 1), batch["ids"].flatten())}


def test_batches_and_outputs_in_mappings() -> None:
    model, scaling, optimizer = ready(LossOnly)
    found = scaling.verify(model, optimizer, ({"ids": IDS, "name": "train"},))
    assert found.proven == 1


class FrozenFeatures(Simple):
    def __init__(self, n: int) -> None:
        super().__init__(n)
        self.backbone = nn.Linear(n, n).requires_grad_(False)

    def hidden(self, ids: Tensor) -> Tensor:
        with torch.inference_mode():
            seen = self.backbone(self.emb(ids))
        return self.norm(self.mix(self.emb(ids)) + seen.clone())


def test_features_in_inference_mode() -> None:
    model, scaling, optimizer = ready(FrozenFeatures)
    assert scaling.verify(model, optimizer, IDS).proven == 1


class Lens(nn.Module):  # TransformerLens: bare parameters laid out for einsum
    def __init__(self, n: int, d: int = 4) -> None:
        super().__init__()
        h = n // d
        draw = lambda *s: nn.Parameter(torch.randn(s) * 0.1)  # noqa: E731
        self.W_E, self.W_U = draw(VOCAB, n), draw(n, VOCAB)
        self.W_Q, self.W_O = draw(h, n, d), draw(h, d, n)
        self.b_Q, self.b_U = nn.Parameter(torch.zeros(h, d)), nn.Parameter(torch.zeros(VOCAB))

    def forward(self, ids: Tensor) -> Tensor:
        x = self.W_E[ids]
        q = torch.einsum("btn,hnd->bthd", x, self.W_Q) + self.b_Q
        return (x + torch.einsum("bthd,hdn->btn", torch.relu(q), self.W_O)) @ self.W_U + self.b_U


def test_bare_parameters_for_einsum() -> None:

    overrides: dict[str, str] = {}
    for _ in range(8):
        try:
            scaling = hpt.parametrize(Lens(WIDTH), base=Lens(BASE), rule="mup", overrides=overrides)
            break
        except HPTransferError as error:
            overrides |= ast.literal_eval(re.search(r"overrides=(\{.*?\})", str(error))[1])  # type: ignore[index]
    roles = {t.name: t.role for t in scaling.tensors}
    assert roles == {
        "W_E": "embedding",
        "W_U": "readout",
        "W_Q": "hidden",
        "W_O": "hidden",
        "b_Q": "vector",
        "b_U": "scalar",
    }


class Medusa(Simple):
    def __init__(self, n: int) -> None:
        super().__init__(n)
        self.more = nn.ModuleList(nn.Sequential(nn.Linear(n, n), nn.Linear(n, VOCAB)) for _ in range(2))

    def forward(self, ids: Tensor) -> list[Tensor]:
        h = self.hidden(ids)
        return [self.head(h), *(head(h) for head in self.more)]


def test_heads_in_a_list_that_give_tokens() -> None:
    with pytest.raises(HPTransferError, match=r"more\.0\.1\.weight .* ambiguous") as caught:
        ready(Medusa)
    said = ast.literal_eval(re.search(r"overrides=(\{.*?\})", str(caught.value))[1])  # type: ignore[index]
    model, scaling, optimizer = ready(Medusa, overrides=said)
    assert said == {"more.*.*.weight": "readout"} or set(said.values()) == {"readout"}
    assert scaling.verify(model, optimizer, IDS).proven == 3


class Pruned(Simple):
    def __init__(self, n: int) -> None:
        super().__init__(n)
        prune.random_unstructured(self.head, "weight", 0.2)


def test_pruning_makes_the_weight_before_the_layer_runs() -> None:
    model, scaling, optimizer = ready(Pruned)
    assert scaling.verify(model, optimizer, IDS).proven == 1
