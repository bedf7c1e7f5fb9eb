"""Probes inside transformers.Trainer and Lightning."""

from pathlib import Path

import pytest
import torch
from small_models import CONTEXT, VOCAB, build
from torch import Tensor, nn
from torch.nn import functional as F

import hptransfer as hpt
from hptransfer.runs.probe_names import PROBES

TOKENS = torch.randint(0, VOCAB, (4, CONTEXT + 1), generator=torch.Generator().manual_seed(0))


class Dict(nn.Module):
    """As the Trainer calls a model."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.inner = model

    def forward(self, input_ids: Tensor, labels: Tensor) -> dict[str, Tensor]:
        logits = self.inner(input_ids)
        return {"loss": F.cross_entropy(logits.flatten(0, 1), labels.flatten()), "logits": logits}


def test_inside_the_trainer(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    model = Dict(build(16))
    callback = hpt.trainer_probe(every=2, names=["all"])
    row = {"input_ids": torch.arange(CONTEXT), "labels": torch.arange(CONTEXT)}
    trainer = transformers.Trainer(
        model=model,
        args=transformers.TrainingArguments(
            output_dir=str(tmp_path),
            max_steps=4,
            report_to=[],
            use_cpu=True,
            disable_tqdm=True,
            dataloader_pin_memory=False,
            save_strategy="no",
        ),
        train_dataset=[row] * 8,
        callbacks=[callback],
    )
    trainer.train()
    table = callback.recorder.table
    assert sorted(set(table.step)) == [0, 2]
    expected = set(PROBES) - {f"row_rms_q{i}" for i in range(1, 5)}
    assert expected <= set(table.name)
    assert table.select(layer="inner.tokens", name="relative_update").role.tolist() == ["embedding"] * 2


@pytest.mark.filterwarnings("ignore")  # Lightning's own, about Slurm and torch
def test_inside_lightning(tmp_path: Path) -> None:
    pl = pytest.importorskip("lightning.pytorch")

    class Training(pl.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.model = build(16)

        def training_step(self, batch: Tensor, _index: int) -> Tensor:
            return F.cross_entropy(self.model(batch[:, :-1]).flatten(0, 1), batch[:, 1:].flatten())

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.AdamW(self.parameters(), lr=0.01)

    module = Training()
    callback = hpt.lightning_probe(module.model, every=2)
    trainer = pl.Trainer(
        max_steps=4,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=str(tmp_path),
        callbacks=[callback],
    )
    trainer.fit(module, torch.utils.data.DataLoader(TOKENS.repeat(4, 1), batch_size=4, num_workers=0))
    table = callback.recorder.table
    assert sorted(set(table.step)) == [0, 2]
    assert {"relative_update", "attention_entropy", "log_z", "rows_touched"} <= set(table.name)
