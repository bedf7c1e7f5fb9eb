"""What is read by its name: a file, a folder, a tracker; several as one table."""

import json

import pytest

from hptransfer.errors import SweepError
from hptransfer.sweep import sources
from hptransfer.sweep.options import ReadOptions
from hptransfer.sweep.raw_table import make_table
from hptransfer.sweep.sources import read_sources

NONE = ReadOptions()


@pytest.fixture
def asked(monkeypatch):
    """The addresses that trackers are asked for."""
    names = []

    def tracker(name, options):
        names.append(name)
        return make_table({"width": [64], "lr": [0.1], "loss": [3.0]}, name)

    monkeypatch.setattr(sources, "read_tracker", tracker)
    return names


@pytest.mark.parametrize(
    "name", ["wandb:me/project", "mlflow:http://127.0.0.1:5000#x", "optuna:sqlite:///x.db#s"]
)
def test_an_address_goes_to_its_tracker(asked, name):
    assert len(read_sources([name], NONE)) == 1
    assert asked == [name]


def test_a_file_named_as_an_address_is_a_file(asked, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "wandb:runs.csv").write_text("width,lr,loss\n64,0.1,3\n")
    assert len(read_sources(["wandb:runs.csv"], NONE)) == 1
    assert asked == []


@pytest.mark.parametrize("start", [b'{"op_code": 0}\n', b"SQLite format 3\x00 CREATE TABLE study_directions"])
def test_storages_of_optuna_are_known_by_their_content(asked, tmp_path, start):
    path = tmp_path / "any.name"
    path.write_bytes(start)
    read_sources([str(path)], NONE)
    assert asked == [f"optuna:{path}"]


def test_sources_of_several_kinds_are_one_table(asked, tmp_path):
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "a.json").write_text(json.dumps({"width": 128, "lr": 0.2, "loss": 2.0}))
    (tmp_path / "runs" / "b.json").write_text(json.dumps({"width": 256, "lr": 0.2, "loss": 1.0}))
    (tmp_path / "x.csv").write_text("width,lr,loss\n512,0.1,3\n")
    table = read_sources(["wandb:me/p", str(tmp_path / "runs"), str(tmp_path / "x.csv")], NONE)
    assert [int(float(width)) for width in table.columns["width"]] == [64, 128, 256, 512]
    assert table.source.path.startswith("wandb:me/p, ")


@pytest.mark.parametrize("name", ["no/such/file.csv", "a\0b", "x" * 5000])
def test_what_is_not_there_is_one_line(name):
    with pytest.raises(SweepError) as error:
        read_sources([name], NONE)
    assert "\n" not in str(error.value)
