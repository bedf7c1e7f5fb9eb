import errno
import os
import stat
import threading

import pytest

from hptransfer.errors import HPTransferError
from hptransfer.files import MAX_MIB, printable, read_regular, size_limit, strict_json, write_whole


def test_a_file_appears_whole_with_the_rights_of_the_old_one(tmp_path):
    path = tmp_path / "out.json"
    path.write_bytes(b"old")
    path.chmod(0o640)
    write_whole(path, b"new")
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert os.listdir(tmp_path) == ["out.json"]


@pytest.mark.parametrize("fails", ["fsync", "replace"])
def test_a_full_disk_leaves_the_old_file_and_names_it(tmp_path, monkeypatch, fails):
    path = tmp_path / "out.json"
    path.write_bytes(b"old")

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(f"hptransfer.files.os.{fails}", full)
    with pytest.raises(OSError, match="No space left") as caught:
        write_whole(path, b"new")
    assert caught.value.filename == str(path)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["out.json"]


def test_an_interrupt_leaves_no_draft(tmp_path, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("hptransfer.files.os.replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_whole(tmp_path / "out", b"new")
    assert os.listdir(tmp_path) == []


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "real").write_bytes(b"old")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    write_whole(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_bytes() == b"new"


def test_a_pipe_is_written_into_where_somebody_reads_and_refused_where_not(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match=r"(?i)no such device or address"):
        write_whole(tmp_path / "pipe", b"lost")
    found = []
    handle = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    reader = threading.Thread(target=lambda: found.append(os.read(handle, 10)))
    write_whole(tmp_path / "pipe", b"heard")
    reader.start()
    reader.join()
    os.close(handle)
    assert found == [b"heard"]


def test_only_regular_files_of_a_sound_size_are_read(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "big").write_bytes(b"x" * 2000)
    for name in ("pipe", "big"):
        with pytest.raises(ValueError, match=r"regular file|at most"):
            read_regular(tmp_path / name, 1000)
    with pytest.raises(ValueError, match="regular file"):
        read_regular("/dev/zero", 1000)
    with pytest.raises(IsADirectoryError):
        read_regular(tmp_path, 1000)
    with pytest.raises(OSError, match="symbolic links"):
        read_regular(tmp_path / "loop", 1000)
    monkeypatch.setenv(MAX_MIB, "0.01")
    assert len(read_regular(tmp_path / "big", 1000)) == 2000


@pytest.mark.parametrize("text", ["", "x", "0", "-1", "nan", "inf", "1e300"])
def test_a_limit_is_a_positive_number(monkeypatch, text):
    monkeypatch.setenv(MAX_MIB, text)
    with pytest.raises(HPTransferError, match="positive number of MiB"):
        size_limit(1)


def test_what_a_terminal_would_obey_is_escaped_and_the_rest_stays():
    assert printable("µP 参数 é\u00a0🙂") == "µP 参数 é\u00a0🙂"
    assert printable("a\x1b[2J\x00\u202eb\ud800\n") == r"a\x1b[2J\x00\u202eb\ud800\n"


@pytest.mark.parametrize(
    "text", ['{"a": 1, "a": 2}', '[{"b": {"a": 1, "a": 1}}]', "[" * 101 + "]" * 101, "[" * 10**6]
)
def test_json_that_says_two_things_or_nests_without_end_is_refused(text):
    with pytest.raises(ValueError, match=r"twice|deep|Expecting"):
        strict_json(text)


def test_sound_json_is_read():
    assert strict_json('{"a": [1, {"b": null}]}') == {"a": [1, {"b": None}]}
