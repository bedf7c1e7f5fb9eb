"""Lightning under a rule: a small transformer with per-tensor settings, verified after every batch.

Needs `pip install 'hptransfer[lm,lightning]'`.
Run: python examples/lightning_module.py [--width 64] [--steps 20]
"""

import argparse

import lightning.pytorch as pl
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import hptransfer as hpt

VOCAB, CONTEXT = 64, 16


class Mixer(nn.Module):
    """Embedding, two residual blocks over the last tokens, readout: small, and without attention."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCAB, width)
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.LayerNorm(width), nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
            )
            for _ in range(2)
        )
        self.readout = nn.Linear(width, VOCAB, bias=False)

    def forward(self, ids: Tensor) -> Tensor:
        x = self.embedding(ids)
        for block in self.blocks:
            x = x + block(x)
        return self.readout(x)


class Training(pl.LightningModule):
    """Next-token prediction; the scaling is made here, so that `configure_optimizers` can use it."""

    def __init__(self, width: int, base_width: int, rule: str) -> None:
        super().__init__()
        self.model = Mixer(width)
        self.scaling = hpt.parametrize(self.model, base=Mixer(base_width), rule=rule)
        self.scaling.init_(self.model)

    def training_step(self, batch: Tensor, _index: int) -> Tensor:
        return F.cross_entropy(self.model(batch)[:, :-1].flatten(0, 1), batch[:, 1:].flatten())

    def configure_optimizers(self) -> dict[str, object]:
        groups = self.scaling.param_groups(self.model, lr=3e-3, weight_decay=0.1)
        optimizer = torch.optim.AdamW(groups)
        warmup = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1.0, (step + 1) / 5))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": warmup, "interval": "step"}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--base-width", type=int, default=32)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--rule", default="mup-tp5-table8")
    options = parser.parse_args()

    pl.seed_everything(0, verbose=False)
    training = Training(options.width, options.base_width, options.rule)
    rows = (torch.arange(64)[:, None] + torch.arange(CONTEXT)) % VOCAB
    loader = torch.utils.data.DataLoader(rows, batch_size=8, shuffle=True)
    trainer = pl.Trainer(
        max_steps=options.steps,
        accelerator="cpu",
        devices=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[hpt.lightning_callback(training.scaling, training.model)],
    )
    trainer.fit(training, loader)
    done = training.scaling.verify(training.model, trainer.optimizers)
    loss = training.training_step(rows, 0).item()
    print(f"{training.scaling}\nverified {done.tensors} tensors at every step; loss {loss:.3f}")


if __name__ == "__main__":
    main()
