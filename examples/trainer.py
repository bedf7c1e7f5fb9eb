"""transformers.Trainer under a rule: a wide GPT-2 with the settings that a narrow one was tuned with.

Needs `pip install 'hptransfer[lm,hf]'`. Run: python examples/trainer.py [--width 64] [--steps 20]
Nothing is downloaded: the model is built from its config, and trained to copy a repeated pattern.
"""

import argparse
import tempfile

import torch
from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainingArguments

import hptransfer as hpt


def build(width: int) -> GPT2LMHeadModel:
    tokens = {"vocab_size": 64, "bos_token_id": None, "eos_token_id": None}
    return GPT2LMHeadModel(GPT2Config(n_embd=width, n_layer=2, n_head=4, n_positions=32, **tokens))


def data(rows: int) -> list[dict[str, torch.Tensor]]:
    starts = torch.arange(rows)[:, None]
    ids = (starts + torch.arange(32)) % 64
    return [{"input_ids": row, "labels": row} for row in ids]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--base-width", type=int, default=32)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--rule", default="mup-tp5-table8")
    options = parser.parse_args()

    torch.manual_seed(0)
    model = build(options.width)
    scaling = hpt.parametrize(model, base=build(options.base_width), rule=options.rule)
    scaling.init_(model)
    optimizer = torch.optim.AdamW(scaling.param_groups(model, lr=3e-3, weight_decay=0.1))

    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(
            model=model,
            args=TrainingArguments(
                output_dir=folder,
                max_steps=options.steps,
                per_device_train_batch_size=8,
                warmup_steps=3,
                save_strategy="no",
                report_to=[],
                disable_tqdm=True,
                use_cpu=True,
                dataloader_pin_memory=False,
            ),
            train_dataset=data(64),
            optimizers=(optimizer, None),  # our groups; the Trainer's scheduler multiplies each one's LR
            callbacks=[hpt.trainer_callback(scaling)],
        )
        result = trainer.train()
    done = scaling.verify(model, optimizer)
    print(
        f"{scaling}\nverified {done.tensors} tensors at every step; training loss {result.training_loss:.3f}"
    )


if __name__ == "__main__":
    main()
