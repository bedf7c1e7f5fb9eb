import json

import pytest
import yaml

from hptransfer.errors import SweepError
from hptransfer.sweep import read


@pytest.fixture
def put(tmp_path):
    def put(name, content):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not isinstance(content, str):
            content = yaml.safe_dump(content) if name.endswith("yaml") else json.dumps(content)
        path.write_text(content)

    return put


def curve(loss):
    """Five losses that end at this one, lowest at the third."""
    return [loss + x for x in (0.4, 0.2, -0.1, 0.1, 0.0)]


def hydra(put, k, width, lr, loss):
    put(f"{k}/.hydra/config.yaml", {"model": {"d_model": width}, "optim": {"lr": f"{lr:e}"}})
    put(f"{k}/metrics.json", {"val_loss": loss})


def ray(put, k, width, lr, loss):
    put(f"trial_{k}/params.json", {"lr": lr, "width": width})
    rows = [{"val_loss": x, "training_iteration": i, "config": {"lr": lr}} for i, x in enumerate(curve(loss))]
    put(f"trial_{k}/result.json", "\n".join(map(json.dumps, rows)) + '\n{"val_lo')


def transformers(put, k, width, lr, loss):
    for end in (3, 10):
        history = [
            {"loss": x, "learning_rate": lr * (10 - i) / 10, "step": i} for i, x in enumerate(curve(loss))
        ][:end]
        state = {
            "log_history": [*history, {"eval_loss": loss if end == 10 else 99, "step": end}] * (end // 3)
        }
        put(f"run{k}/checkpoint-{end}/trainer_state.json", state)
    put(f"run{k}/config.json", {"hidden_size": width, "model_type": "gpt2"})


def lightning(put, k, width, lr, loss):
    put(f"version_{k}/hparams.yaml", {"width": width, "lr": lr})
    rows = "".join(f"{i},{i},{x + 1},\n{i},{i},,{x}\n" for i, x in enumerate(curve(loss)))
    put(f"version_{k}/metrics.csv", "epoch,step,train_loss,val_loss\n" + rows)


def one_json(put, k, width, lr, loss):
    put(f"run_{k}.json", {"config": {"width": width, "lr": lr}, "final": {"val_loss": loss}})


def one_csv(put, k, width, lr, loss):
    rows = "".join(f"{i},{x}\n" for i, x in enumerate(curve(loss)))
    put(f"w{width}_lr{lr}.csv", "step,loss\n" + rows)


def mlflow(put, k, width, lr, loss):
    put("1/meta.yaml", {"experiment_id": "1"})
    put(f"1/r{k}/meta.yaml", {"run_name": f"r{k}", "status": 3})
    put(f"1/r{k}/params/width", str(width))
    put(f"1/r{k}/params/lr", str(lr))
    put(f"1/r{k}/metrics/val/loss", "\n".join(f"1700 {x} {i}" for i, x in enumerate(curve(loss))))


def wandb(put, k, width, lr, loss):
    config = {"wandb_version": 1, "width": {"value": width, "desc": None}, "lr": {"value": lr}}
    put(f"wandb/run-{k}/files/config.yaml", config)
    put(f"wandb/run-{k}/files/wandb-summary.json", {"val": {"loss": loss}, "_wandb": {"runtime": 5}})


@pytest.mark.parametrize("kind", [hydra, ray, transformers, lightning, one_json, one_csv, mlflow, wandb])
def test_folders_of_runs(runs, right, put, tmp_path, kind):
    for k, (width, lr, loss) in enumerate(runs):
        kind(put, k, width, lr, loss)
    sweep = read(tmp_path)
    right(sweep)
    assert sweep.source.path == str(tmp_path)


@pytest.mark.parametrize("kind", [ray, lightning, one_csv, mlflow])
@pytest.mark.parametrize(("take", "more"), [("best", -0.1), ("mean:2", 0.05), ("final", 0.0)])
def test_what_is_taken_of_a_curve(runs, right, put, tmp_path, kind, take, more):
    for k, (width, lr, loss) in enumerate(runs):
        kind(put, k, width, lr, loss)
    right(read(tmp_path, take=take), [(width, lr, loss + more) for width, lr, loss in runs])


def test_a_run_that_ends_in_nan_diverged(put, tmp_path):
    for k, loss in enumerate((3.0, float("nan"))):
        lightning(put, k, 64, 0.1 * (k + 1), loss)
    assert read(tmp_path, take="best").diverged.tolist() == [False, True]


def test_printed_logs_in_a_folder(runs, right, put, tmp_path):
    for width, lr, loss in runs:
        put(f"logs/{width}_{lr}.log", f"start\nstep 1 d={width} lr={lr} loss={loss}\n")
    right(read(tmp_path, extract=r"d=(?P<width>\d+) lr=(?P<lr>\S+) loss=(?P<loss>\S+)"))


def test_a_folder_without_runs_says_what_is_looked_for(put, tmp_path):
    put("logs/a.log", "words\n")
    with pytest.raises(SweepError, match=r"holds no runs that are known: .* --extract"):
        read(tmp_path)


def test_a_damaged_file_does_not_hide_the_other_runs(runs, right, put, tmp_path):
    for k, (width, lr, loss) in enumerate(runs):
        hydra(put, k, width, lr, loss)
    put("broken/metrics.json", "{")
    put("broken/.hydra/config.yaml", "a: [")
    right(read(tmp_path))
