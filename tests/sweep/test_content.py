import bz2
import gzip
import io
import lzma
import pickle
import sys
import zipfile

import pytest

from hptransfer.errors import SweepError
from hptransfer.sweep import read

TEXT = "variant,width,lr,loss\nréf,64,0.1,3\nréf,128,0.1,2\n"


@pytest.mark.parametrize(
    ("suffix", "pack"), [("gz", gzip.compress), ("bz2", bz2.compress), ("xz", lzma.compress)]
)
def test_compressed_files(write, suffix, pack):
    assert read(write(pack(TEXT.encode()), f"runs.csv.{suffix}")).scale.tolist() == [64, 128]
    with pytest.raises(SweepError, match="is compressed, but cannot be unpacked"):
        read(write(pack(TEXT.encode())[:-12], f"runs.csv.{suffix}"))


def test_zst(write):
    pa = pytest.importorskip("pyarrow")
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(TEXT.encode())
    packed = sink.getvalue().to_pybytes()
    assert len(read(write(packed, "runs.csv.zst"))) == 2
    with pytest.raises(SweepError, match="cannot be unpacked"):
        read(write(packed[:20] + packed[24:], "runs.csv.zst"))


def test_the_files_of_a_zip_are_read_one_after_the_other(tmp_path):
    with zipfile.ZipFile(tmp_path / "runs.zip", "w") as archive:
        archive.writestr("sp.csv", TEXT.replace("variant", "x"))
        archive.writestr("mup.csv", TEXT.replace("variant", "x"))
    assert read(tmp_path / "runs.zip", variant="file").variants == ("sp", "mup")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252", "latin-1"])
def test_any_encoding(write, encoding):
    sweep = read(write(TEXT.encode(encoding)))
    assert sweep.variants == ("réf",)
    assert bool(sweep.notes) == (not encoding.startswith("utf-8"))


def test_standard_input(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(TEXT.encode())))
    assert len(read("-")) == 2
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b'[{"width": 8, "lr": 1, "loss": 2}]')))
    assert len(read("-")) == 1
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO()))
    with pytest.raises(SweepError, match="standard input is empty"):
        read("-")


@pytest.mark.parametrize(
    ("content", "reason"), [(pickle.dumps([1]), "a pickle, which runs code"), (b"%PDF-1.4 ", "a PDF")]
)
def test_what_is_not_read_says_why_and_what_to_do(write, content, reason):
    with pytest.raises(SweepError, match=f"{reason}.*write its table as CSV"):
        read(write(content, "runs.pkl"))
