"""A Hugging Face Trainer script for a sweep: takes rule, width and learning rate, and writes a result file.

Run it through a study with `hptransfer run examples/own_code/trainer.yaml`. Nothing is downloaded: the model
is built from its config, and learns to continue arithmetic sequences.
"""

import argparse
import json
import tempfile
from pathlib import Path

import torch
from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainingArguments

import hptransfer as hpt

TOKENS = 64


def build(width: int) -> GPT2LMHeadModel:
    special = {"bos_token_id": None, "eos_token_id": None}
    shape = {"n_embd": width, "n_layer": 2, "n_head": max(1, width // 16), "n_positions": 16}
    return GPT2LMHeadModel(GPT2Config(vocab_size=TOKENS, **shape, **special))


def sequences(rows: int, seed: int) -> list[dict[str, torch.Tensor]]:
    draw = torch.Generator().manual_seed(seed)
    starts = torch.randint(TOKENS, (rows, 1), generator=draw)
    strides = torch.randint(1, 5, (rows, 1), generator=draw)
    return [{"input_ids": row, "labels": row} for row in (starts + strides * torch.arange(16)) % TOKENS]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lr", type=float, required=True)
    parser.add_argument("--width", type=int, required=True)
    parser.add_argument("--base_width", type=int, default=16)
    parser.add_argument("--rule", default="sp")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--result", type=Path, required=True)
    options = parser.parse_args()

    torch.manual_seed(options.seed)
    model = build(options.width)
    scaling = hpt.parametrize(model, base=build(options.base_width), rule=options.rule)
    scaling.init_(model)
    optimizer = torch.optim.AdamW(scaling.param_groups(model, lr=options.lr), betas=(0.9, 0.95))
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(
            model=model,
            args=TrainingArguments(
                output_dir=folder,
                max_steps=options.steps,
                per_device_train_batch_size=16,
                warmup_steps=5,
                save_strategy="no",
                report_to=[],
                disable_tqdm=True,
                use_cpu=True,
                dataloader_pin_memory=False,
                seed=options.seed,
            ),
            train_dataset=sequences(1024, options.seed),
            eval_dataset=sequences(128, 10_000),
            optimizers=(optimizer, None),
        )
        trainer.train()
        loss = trainer.evaluate()["eval_loss"]
    params = sum(p.numel() for p in model.parameters())
    options.result.write_text(json.dumps({"loss": loss, "params": params, "rule": options.rule}))


if __name__ == "__main__":
    main()
