"""Trainer and Lightning: the examples run, and their hooks catch an optimizer that is off."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from small_models import build
from torch import nn

import hptransfer as hpt
from hptransfer.errors import RuleError, VerifyError

EXAMPLES = Path(__file__).parents[2] / "examples"


def run(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(EXAMPLES / name), *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=300)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "package"), [("trainer.py", "transformers"), ("lightning_module.py", "lightning")]
)
def test_the_example_runs(name: str, package: str) -> None:
    pytest.importorskip(package)
    done = run(name, "--steps", "8")
    assert done.returncode == 0, done.stderr
    assert "m = 2" in done.stdout
    assert "tensors at every step" in done.stdout


class Dict(nn.Module):
    """As the Trainer calls a model."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.inner = model

    def forward(self, input_ids: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
        logits = self.inner(input_ids)
        return {"loss": nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten()), "logits": logits}


def test_the_trainer_s_own_optimizer_is_caught(tmp_path: Path) -> None:
    """Without `optimizers=`, Trainer builds its own with one LR for every tensor."""
    transformers = pytest.importorskip("transformers")
    model = Dict(build(32))
    scaling = hpt.parametrize(model, base=Dict(build(8)), rule="mup")
    scaling.init_(model)
    scaling.param_groups(model, lr=0.01)
    row = {"input_ids": torch.arange(6), "labels": torch.arange(6)}
    trainer = transformers.Trainer(
        model=model,
        args=transformers.TrainingArguments(
            output_dir=str(tmp_path),
            max_steps=2,
            report_to=[],
            use_cpu=True,
            disable_tqdm=True,
            dataloader_pin_memory=False,
            save_strategy="no",
        ),
        train_dataset=[row] * 8,
        callbacks=[hpt.trainer_callback(scaling)],
    )
    with pytest.raises(VerifyError, match="settings are not what mup asks"):
        trainer.train()


def test_every_must_be_positive() -> None:
    model = build(32)
    scaling = hpt.parametrize(model, base=build(8))
    for make in (hpt.trainer_callback, lambda s, every: hpt.lightning_callback(s, model, every=every)):
        with pytest.raises(RuleError, match="every must be at least 1, but got 0"):
            make(scaling, every=0)
