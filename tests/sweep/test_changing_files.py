"""Files that change, vanish or are no files while they are read: right, or one line; never a hang."""

import json
import os
import threading

import pytest

from hptransfer.errors import SweepError
from hptransfer.sweep import read, run_folders

HEAD = "width,lr,loss\n"


def rows(count):
    return "".join(f"{64 << i % 3},{0.001 * (1 + i // 3)},{3 + i / 7}\n" for i in range(count))


def test_a_table_that_is_written_anew_again_and_again(tmp_path):
    path = tmp_path / "runs.csv"
    path.write_text(HEAD + rows(30))
    over = threading.Event()

    def write():
        count = 30
        while not over.is_set():
            count = 90 - count
            path.write_text(HEAD + rows(count))  # emptied first, so that a reader may meet half of it

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(100):
            try:
                sweep = read(path)
            except SweepError:  # it was empty just then
                continue
            assert sweep.hp.tolist() == read_text(tmp_path, len(sweep)).hp.tolist()
    finally:
        over.set()
        writer.join()


def read_text(folder, count):
    path = folder / f"{count}.csv"
    path.write_text(HEAD + rows(count))
    return read(path)


@pytest.fixture
def folder(tmp_path):
    for i, (width, lr) in enumerate(((64, 0.1), (64, 0.2), (128, 0.1))):
        (tmp_path / str(i)).mkdir()
        run = {"width": width, "lr": lr, "loss": 3.0 + i}
        (tmp_path / str(i) / "results.json").write_text(json.dumps(run))
    return tmp_path


def test_a_run_that_vanishes_while_its_folder_is_read(folder, monkeypatch):
    listed = run_folders._files

    def files(place):
        found = listed(place)
        (folder / "1" / "results.json").unlink()
        return found

    monkeypatch.setattr(run_folders, "_files", files)
    sweep = read(folder)
    assert sweep.loss.tolist() == [3.0, 5.0]
    assert any("1 file of" in note and "No such file" in note for note in sweep.notes)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("metrics.jsonl", '{"config": 5, "loss": 3}\n'),
        ("trainer_state.json", '{"log_history": 7}'),
        ("metrics.csv", "loss\n" + "x" * 200_000),
        ("config.yaml", "a: &a [*a]\nb: !!python/object:os.system x"),
        ("results.json", '{"loss": ' + "[" * 5000),
        ("events.out.tfevents.1", "no events"),
    ],
)
def test_a_file_that_cannot_be_read_hides_no_other_run(folder, name, content):
    (folder / "9").mkdir()
    (folder / "9" / name).write_text(content)
    assert {3.0, 4.0, 5.0} <= set(read(folder).loss.tolist())


def test_pipes_and_dead_links_among_runs_hang_nothing(folder):
    (folder / "9").mkdir()
    os.mkfifo(folder / "9" / "results.json")
    (folder / "9" / "metrics.json").symlink_to(folder / "nowhere")
    (folder / "9" / "config.yaml").symlink_to(folder / "9" / "config.yaml")
    assert len(read(folder)) == 3
