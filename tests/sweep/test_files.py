import hashlib
import json

import numpy as np
import pytest

from hptransfer.errors import SweepError
from hptransfer.sweep import read

HEADER = "variant,width,lr,seed,loss\n"
ROWS = "sp,64,0.01,0,3.5\nsp,128,0.01,0,3.25\nmup,64,0.02,1,nan\n"


@pytest.fixture
def write(tmp_path):
    def write(text, name="runs.csv"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def same(sweep):
    assert sweep.variant.tolist() == ["sp", "sp", "mup"]
    assert sweep.scale.tolist() == [64.0, 128.0, 64.0]
    assert sweep.hp.tolist() == [0.01, 0.01, 0.02]
    assert sweep.seed.tolist() == ["0", "0", "1"]
    np.testing.assert_array_equal(sweep.loss, [3.5, 3.25, np.nan])


def test_csv_and_its_source(write):
    path = write(HEADER + ROWS)
    sweep = read(path)
    same(sweep)
    assert sweep.source.path == str(path)
    assert sweep.source.sha256 == hashlib.sha256((HEADER + ROWS).encode()).hexdigest()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("runs.tsv", (HEADER + ROWS).replace(",", "\t")),
        ("runs.csv", (HEADER + ROWS).replace(",", ";")),
        ("runs.csv", "\ufeff" + (HEADER + ROWS).replace("\n", "\r\n")),
        ("runs.csv", "\n" + HEADER + "\n" + ROWS.replace("nan", "diverged") + "\n\n"),
        ("runs", HEADER + ROWS.replace("nan", "")),
        ("runs.csv", (HEADER + ROWS).replace(",", " , ")),
    ],
)
def test_csv_dialects(write, name, text):
    same(read(write(text, name)))


RECORDS = [
    {"variant": "sp", "width": 64, "lr": 0.01, "seed": 0, "loss": 3.5},
    {"variant": "sp", "width": 128, "lr": 0.01, "seed": 0, "loss": 3.25},
    {"variant": "mup", "width": 64, "lr": 0.02, "seed": 1, "loss": float("nan")},
]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("runs.json", json.dumps(RECORDS)),
        ("runs.jsonl", "\n\n".join(map(json.dumps, RECORDS))),
        ("runs.json", "\n".join(map(json.dumps, RECORDS))),
        ("runs", json.dumps(RECORDS)),
        ("runs.json", json.dumps({k: [r[k] for r in RECORDS] for k in RECORDS[0]})),
        ("runs.json", json.dumps({k: {str(i): r[k] for i, r in enumerate(RECORDS)} for k in RECORDS[0]})),
    ],
)
def test_json_forms(write, name, text):
    same(read(write(text, name)))


def test_parquet(tmp_path):
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    for name in ("runs.parquet", "runs.bin"):
        pq.write_table(pa.Table.from_pylist(RECORDS), tmp_path / name)
        same(read(tmp_path / name))
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(SweepError, match=r"bad\.parquet is not a Parquet file"):
        read(tmp_path / "bad.parquet")


def test_several_files_stack_and_remember_where_rows_are(write):
    first = write(HEADER + ROWS, "first.csv")
    second = write("lr,loss,width,tokens\n0.5,2,256,7\n", "second.csv")
    sweep = read([first, second], variant="file")
    assert sweep.variants == ("first", "second")
    assert sweep.source.path == f"{first}, {second}"
    np.testing.assert_array_equal(sweep.extra["tokens"], [np.nan, np.nan, np.nan, 7])
    write("lr,loss,width\n0.5,2,256\n-1,2,256\n", "second.csv")
    with pytest.raises(
        SweepError, match=r"lr must be a positive number, but row 3 of .*second\.csv has lr=-1"
    ):
        read([first, second])


def test_wandb_tables(write):
    rows = [
        {"config": {"lr": 0.1, "width": {"value": 64}}, "summary": {"loss": 2.0, "_wandb": {"runtime": 3}}},
        {"config": {"lr": 0.2, "width": {"value": 64}}, "summary": {"_wandb": {"runtime": 4}}},
    ]
    nested = read(write("\n".join(map(json.dumps, rows)), "runs.jsonl"))
    np.testing.assert_array_equal(nested.loss, [2.0, np.nan])
    assert nested.scale.tolist() == [64.0, 64.0]
    assert nested.extra["_wandb.runtime"].tolist() == [3.0, 4.0]
    dicts = "name,config,summary\na,\"{'lr': 0.1, 'width': 64}\",\"{'loss': nan}\"\n"
    dicts += "b,\"{'lr': 0.2, 'width': 64}\",\"{'loss': 2.5}\"\n"
    table = read(write(dicts))
    np.testing.assert_array_equal(table.loss, [np.nan, 2.5])
    assert table.hp.tolist() == [0.1, 0.2]
    exported = read(write("Name,config.lr,config/width,summary.train/loss\na,0.1,64,2\n"), loss="train/loss")
    assert exported.loss.tolist() == [2.0]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b" \n\n", "is empty"),
        (b"width,lr,loss\n", "has a header and no rows"),
        (b"width,lr,loss\n64,0.1\n", "row 2 of .* has 2 and the header 3"),
        (b"width,lr,loss\n64,0.1,2\n64,0.1,2,3\n", "row 3 of .* has 4 and the header 3"),
        (b"width,lr,loss,lr\n64,0.1,2,3\n", "has lr more than once"),
        (b'width,lr,loss\n64,"0.1,2\n', "is not a CSV file"),
        (b"\x89PNG\r\n\xff\xfe\xfd", "is an image; write its table as CSV"),
        (b"width,lr\0,loss\n64,1,2\n", "must be a text file, but byte 8 is 0"),
        (b"width,lr,loss\n" + b"9" * 200_000 + b",1,2\n", "field larger than field limit"),
    ],
)
def test_bad_csv(write, content, message):
    with pytest.raises(SweepError, match=message) as caught:
        read(write(content))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("runs.json", "{", "is not valid JSON"),
        ("runs.json", "3", "must hold a list of runs"),
        ("runs.json", "[3]", "row 0 of .* is 3"),
        ("runs.json", "[]", "has no rows"),
        ("runs.json", '{"lr": 3}', "has no rows"),
        ("runs.json", '{"lr": [3], "loss": []}', r"has lengths \[0, 1\]"),
        ("runs.json", "[" * 100_000, "is not valid JSON"),
        ("runs.jsonl", '{"lr": 1}\n\n{', "row 3"),
        ("runs.jsonl", '{"lr": 1}\n[1]', "row 2 of .* is "),
        ("runs.jsonl", '{"lr": ' + "1" * 5000 + "}", "row 1"),
    ],
)
def test_bad_json(write, name, content, message):
    with pytest.raises(SweepError, match=message):
        read(write(content, name))


def test_what_cannot_be_opened(tmp_path):
    with pytest.raises(SweepError, match=r"cannot read .*none\.csv: No such file"):
        read(tmp_path / "none.csv")
    with pytest.raises(SweepError, match="holds no runs that are known"):
        read(str(tmp_path))
    with pytest.raises(SweepError, match="cannot read"):
        read("nul\0byte.csv")
