"""Trackers and loggers as they are: real storages, a real server, real files."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from types import SimpleNamespace

import pytest

from hptransfer.errors import MissingExtraError, SweepError
from hptransfer.sweep import read

pytestmark = pytest.mark.filterwarnings("ignore")  # of other people's libraries
SERVER = os.environ.get("HPTRANSFER_TEST_MLFLOW") or shutil.which("mlflow")  # a program with `mlflow server`


def curve(loss):
    return [loss + x for x in (0.4, -0.1, 0.0)]


@pytest.mark.parametrize("kind", ["sqlite", "journal"])
def test_an_optuna_storage(runs, right, tmp_path, kind):
    optuna = pytest.importorskip("optuna")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    path = tmp_path / "optuna.storage"
    backend = optuna.storages.journal.JournalFileBackend
    storage = f"sqlite:///{path}" if kind == "sqlite" else optuna.storages.JournalStorage(backend(str(path)))
    study = optuna.create_study(study_name="lr", storage=storage)
    ranges = {
        "lr": optuna.distributions.FloatDistribution(1e-4, 1),
        "width": optuna.distributions.IntDistribution(1, 999),
    }
    for width, lr, loss in runs:
        trial = optuna.trial.create_trial(params={"lr": lr, "width": width}, distributions=ranges, value=loss)
        study.add_trial(trial)
    right(read(path))
    right(read(f"optuna:{path}#lr"))
    with pytest.raises(SweepError, match="has no study 'x'; studies: lr"):
        read(f"optuna:{path}#x")
    for missing in (path.with_name("none.db"), f"sqlite:///{path.with_name('none.db')}"):
        with pytest.raises(SweepError, match=r"there is no file .*none\.db"):
            read(f"optuna:{missing}")
    assert not path.with_name("none.db").exists()


def logged(mlflow, runs):
    mlflow.set_experiment("sweep")
    for width, lr, loss in runs:
        with mlflow.start_run():
            mlflow.log_params({"width": width, "lr": lr})
            for step, value in enumerate(curve(loss)):
                mlflow.log_metric("val_loss", value, step=step)


def agrees(uri, runs, right):
    right(read(f"mlflow:{uri}#sweep"))
    right(read(f"mlflow:{uri}#sweep", take="best"), [(width, lr, loss - 0.1) for width, lr, loss in runs])
    assert len(read(f"mlflow:{uri}#sweep", query="params.width = '64'")) == 3
    with pytest.raises(SweepError, match="has no experiment 'x'; experiments: "):
        read(f"mlflow:{uri}#x")


def test_an_mlflow_database(runs, right, tmp_path):
    mlflow = pytest.importorskip("mlflow")
    pytest.importorskip("sqlalchemy")
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    mlflow.set_tracking_uri(uri)
    logged(mlflow, runs)
    agrees(uri, runs, right)


def has_server():
    if SERVER is None:
        return False
    done = subprocess.run([SERVER, "server", "--help"], capture_output=True, check=False)
    return done.returncode == 0


@pytest.mark.slow
def test_an_mlflow_server(runs, right, tmp_path):
    mlflow = pytest.importorskip("mlflow")
    if not has_server():
        pytest.skip("needs a program `mlflow` that serves; HPTRANSFER_TEST_MLFLOW names one")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    uri = f"http://127.0.0.1:{port}"
    store = ["--backend-store-uri", f"sqlite:///{tmp_path / 'server.db'}", "--workers", "1"]
    log = (tmp_path / "server.log").open("w")
    server = subprocess.Popen(
        [SERVER, "server", "--port", str(port), *store],
        stdout=log,
        stderr=log,
        cwd=tmp_path,
        start_new_session=True,
    )
    try:
        for _ in range(240):
            try:
                urllib.request.urlopen(f"{uri}/health", timeout=2)
                break
            except OSError:
                time.sleep(0.5)
        mlflow.set_tracking_uri(uri)
        logged(mlflow, runs)
        agrees(uri, runs, right)
    finally:
        os.killpg(server.pid, 15)
        server.wait()
        log.close()


def test_tensorboard_files(runs, right, tmp_path):
    pytest.importorskip("tensorboard")
    writers = pytest.importorskip("torch.utils.tensorboard")
    for width, lr, loss in runs:
        writer = writers.SummaryWriter(str(tmp_path / f"{width}-{lr}"))
        for step, value in enumerate(curve(loss)):
            writer.add_scalar("val/loss", value, step)
        writer.add_hparams({"width": width, "lr": lr}, {"hparam/score": 1.0})
        writer.close()
    right(read(tmp_path))
    right(read(tmp_path, take="best"), [(width, lr, loss - 0.1) for width, lr, loss in runs])


OFFLINE = """
import sys, wandb
for width, lr, loss in eval(sys.argv[1]):
    run = wandb.init(project="p", config={"width": width, "lr": lr}, mode="offline", dir=sys.argv[2])
    for value in (loss + 0.4, loss - 0.1, loss):
        run.log({"val/loss": value})
    run.finish()
"""


@pytest.mark.slow
def test_offline_runs_of_wandb(runs, right, tmp_path):
    pytest.importorskip("wandb")
    environment = {**os.environ, "WANDB_SILENT": "true"}
    command = [sys.executable, "-c", OFFLINE, repr(runs[:4]), str(tmp_path)]
    subprocess.run(command, check=True, env=environment, capture_output=True)
    right(read(tmp_path), runs[:4])
    right(read(tmp_path, take="best"), [(width, lr, loss - 0.1) for width, lr, loss in runs[:4]])


def test_wandb_by_its_client(runs, right, monkeypatch):
    def run(row):
        width, lr, loss = row
        return SimpleNamespace(
            name="r", config={"width": width, "lr": lr, "_wandb": {}}, state="finished", group=None,
            summary={"val/loss": loss, "_step": 3},
            scan_history=lambda keys: [{"val/loss": value} for value in curve(loss)],
        )  # fmt: skip

    class Api:
        def runs(self, path, filters):
            assert path == "me/project"
            return [run(row) for row in runs if filters is None or row[0] == filters["width"]]

    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(Api=Api))
    right(read("wandb:me/project"))
    right(read("wandb:me/project", take="best"), [(width, lr, loss - 0.1) for width, lr, loss in runs])
    assert len(read("wandb:me/project", query='{"width": 64}')) == 3
    with pytest.raises(SweepError, match="cannot read wandb:me/project: "):
        read("wandb:me/project", query="{")


@pytest.mark.parametrize(
    ("source", "module", "extra"),
    [
        ("wandb:a/b", "wandb", "log"),
        ("mlflow:http://x#y", "mlflow", "log"),
        ("optuna:sqlite:///x#y", "optuna", "optuna"),
    ],
)
def test_a_client_that_is_not_installed_names_its_extra(monkeypatch, source, module, extra):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtraError, match=rf"hptransfer\[{extra}\]"):
        read(source)
