"""The shapes in which benchmarks/readers.py writes public sweeps: tables, JSON, compressed, logs, folders."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import lzma
import sqlite3
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

Row = dict[str, Any]  # variant, width, lr, loss of a run
Shape = Callable[[list[Row], Path], Path]
SHAPES: dict[
    str, tuple[Shape, dict[str, Any]]
] = {}  # by name: how it is written, and flags beyond which there are none


def shape(name: str, **flags: Any) -> Callable[[Shape], Shape]:
    def register(write: Shape) -> Shape:
        SHAPES[name] = (write, flags)
        return write

    return register


def text_file(folder: Path, name: str, text: str, encoding: str = "utf-8") -> Path:
    path = folder / name
    path.write_bytes(text.encode(encoding))
    return path


def frame(rows: list[Row], **names: str) -> pd.DataFrame:
    return pd.DataFrame(rows).rename(columns=names)


def table(
    rows: list[Row],
    names: dict[str, str],
    delimiter: str = ",",
    cell: Callable[[str, Any], Any] | None = None,
) -> str:
    out = io.StringIO()
    writer = csv.writer(out, delimiter=delimiter, lineterminator="\n")
    writer.writerow(names.values())
    for row in rows:
        writer.writerow([cell(key, row[key]) if cell else row[key] for key in names])
    return out.getvalue()


USUAL = {"variant": "variant", "width": "width", "lr": "lr", "loss": "loss"}
NAMES = {  # columns as people name them
    "mup repository": {"variant": "parametrization", "width": "width", "lr": "lr", "loss": "train_loss"},
    "transformers": {
        "variant": "optimizer",
        "width": "hidden_size",
        "lr": "learning_rate",
        "loss": "eval_loss",
    },
    "nanoGPT": {"variant": "mode", "width": "n_embd", "lr": "learning_rate", "loss": "val/loss"},
    "torchtitan": {"variant": "method", "width": "dim", "lr": "peak_lr", "loss": "final_val_loss"},
    "OLMo": {"variant": "variant", "width": "d_model", "lr": "eta", "loss": "val_ce"},
    "W&B": {"variant": "Group", "width": "config.d_model", "lr": "config.lr", "loss": "summary.val.loss"},
    "capitals": {
        "variant": "Method",
        "width": "Hidden Size",
        "lr": "Learning Rate",
        "loss": "Validation Loss",
    },
    "camel": {"variant": "optimizerName", "width": "hiddenDim", "lr": "maxLr", "loss": "valLoss"},
    "Optuna": {
        "variant": "user_attrs_rule",
        "width": "params_width",
        "lr": "params_lr",
        "loss": "user_attrs_loss",
    },
}
for label, names in NAMES.items():
    by = {"variant": names["variant"]} if names["variant"] == "optimizerName" else {}
    shape(f"csv named as in {label}", **by)(
        lambda rows, folder, names=names: text_file(folder, "runs.csv", table(rows, names))
    )
for mark, label in (("\t", "tsv"), (";", "semicolons"), ("|", "bars"), (" ", "spaces")):
    shape(f"{label}")(
        lambda rows, folder, mark=mark: text_file(
            folder,
            "runs.txt",
            table(rows, USUAL, mark, lambda _, v: str(v).replace(" ", "_") if mark == " " else v),
        )
    )
for encoding in ("utf-8-sig", "utf-16", "cp1252"):
    shape(f"csv in {encoding}")(
        lambda rows, folder, encoding=encoding: text_file(
            folder,
            "runs.csv",
            table(rows, {**USUAL, "variant": "méthode"} | USUAL).replace("sp", "référence"),
            encoding,
        )
    )


@shape("csv with comments")
def commented(rows: list[Row], folder: Path) -> Path:
    lines = table(rows, USUAL).splitlines()
    return text_file(
        folder, "runs.csv", "\n".join(["# sweep of May", "#", *lines[:4], "# wider", *lines[4:]])
    )


@shape("csv with names in a comment")
def head_in_comment(rows: list[Row], folder: Path) -> Path:
    names = {key: key for key in ("width", "lr", "loss")}
    lines = table(only(rows), names, " ").splitlines()
    return text_file(folder, "runs.dat", "\n".join(["# " + lines[0], *lines[1:]]))


@shape("csv with a title above")
def titled(rows: list[Row], folder: Path) -> Path:
    return text_file(folder, "runs.csv", "Learning rate sweep\n\n" + table(rows, USUAL))


def only(rows: list[Row]) -> list[Row]:
    return [row for row in rows if row["variant"] == rows[0]["variant"]]


def size(key: str, value: Any, letters: dict[str, Callable[[Any], Any]]) -> Any:
    return letters.get(key, lambda v: v)(value)


CELLS: dict[str, dict[str, Callable[[Any], Any]]] = {
    "sizes as d128": {"width": lambda v: f"d{v:g}"},
    "sizes as width=128": {"width": lambda v: f"width={v:g}"},
    "sizes as 1,024": {"width": lambda v: f"{int(v):,}"},
    "sizes as 1_024": {"width": lambda v: f"{int(v):_}"},
    "sizes as 0.25k": {"width": lambda v: f"{v / 1000:g}k"},
    "sizes as 256M": {"width": lambda v: f"{v:g}M"},
    "LRs as 10^x": {"lr": lambda v: f"10^{__import__('math').log10(v):.12g}"},
    "LRs as 2**x": {"lr": lambda v: f"2**{__import__('math').log2(v):.12g}"},
    "LRs as m x 10^x": {"lr": lambda v: "{} × 10^{}".format(*f"{v:.12e}".split("e"))},
    "losses that diverged as words": {"loss": lambda v: v if abs(v) < 1e9 else "diverged"},
    "losses that diverged as a dash": {"loss": lambda v: v if abs(v) < 1e9 else "—"},
    "losses that diverged as >10": {"loss": lambda v: v if abs(v) < 1e9 else ">10"},
    "losses with an error bar": {"loss": lambda v: f"{v} ± 0.01" if abs(v) < 1e9 else v},
}
for label, letters in CELLS.items():
    shape(f"csv with {label}")(
        lambda rows, folder, letters=letters: text_file(
            folder, "runs.csv", table(rows, USUAL, ",", lambda k, v: size(k, v, letters))
        )
    )


@shape("csv with decimal commas")
def decimal_commas(rows: list[Row], folder: Path) -> Path:
    cell = lambda _, v: str(v).replace(".", ",") if isinstance(v, float) else v  # noqa: E731
    return text_file(folder, "runs.csv", table(rows, USUAL, ";", cell))


@shape("csv with log2 lr")
def logarithms(rows: list[Row], folder: Path) -> Path:
    cell = lambda k, v: f"{__import__('math').log2(v):.15g}" if k == "lr" else v  # noqa: E731
    return text_file(folder, "runs.csv", table(rows, {**USUAL, "lr": "log2lr"}, ",", cell))


@shape("csv with log2 lr under the name lr", hp_scale="log2")
def unsaid_logarithms(rows: list[Row], folder: Path) -> Path:
    return text_file(folder, "runs.csv", logarithms(rows, folder).read_text().replace("log2lr", "lr"))


def wide(rows: list[Row], heads: str, head: str = "{:.12g}", corner: str = "") -> list[list[str]]:
    """Cells of a wide table of one variant: LRs or sizes as heads."""
    other = "lr" if heads == "width" else "width"
    levels = list(dict.fromkeys(row[heads] for row in sorted(rows, key=lambda r: r[heads])))
    lines = [[corner or other, *(head.format(level) for level in levels)]]
    for value in dict.fromkeys(row[other] for row in rows):
        cells = {row[heads]: f"{row['loss']}" for row in rows if row[other] == value}
        lines.append([f"{value:.12g}", *(cells.get(level, "") for level in levels)])
    return lines


def delimited(lines: list[list[str]]) -> str:
    return "\n".join(",".join(line) for line in lines) + "\n"


for label, arguments in {
    "LRs as heads": ("lr",),
    "lr=... as heads": ("lr", "lr={:.12g}"),
    "sizes as heads": ("width",),
    "d=... as heads": ("width", "d={:g}"),
    "d... as heads": ("width", "d{:g}"),
    "loss by LR as heads": ("lr", "val_loss_lr{:.12g}"),
    "a corner of two names": ("lr", "{:.12g}", "d_model \\ lr"),
    "an empty corner": ("width", "{:g}", " "),
}.items():
    shape(f"wide csv, {label}")(
        lambda rows, folder, a=arguments: text_file(folder, "wide.csv", delimited(wide(only(rows), *a)))
    )


def pipes(lines: list[list[str]]) -> str:
    rows = ["| " + " | ".join(line) + " |" for line in lines]
    return "\n".join([rows[0], "|" + "---|" * len(lines[0]), *rows[1:]]) + "\n"


def long_lines(rows: list[Row], names: dict[str, str] = USUAL) -> list[list[str]]:
    return [list(names.values()), *([f"{row[key]}" for key in names] for row in rows)]


shape("markdown, long")(lambda rows, folder: text_file(folder, "runs.md", pipes(long_lines(rows))))
shape("markdown, LRs as heads")(
    lambda rows, folder: text_file(folder, "wide.md", pipes(wide(only(rows), "lr")))
)
shape("markdown, sizes as heads")(
    lambda rows, folder: text_file(folder, "wide.md", pipes(wide(only(rows), "width")))
)


@shape("markdown with bold and starred cells")
def decorated(rows: list[Row], folder: Path) -> Path:
    lines = wide(only(rows), "lr")
    lines[1][1:] = [f"**{cell}**" if cell else "" for cell in lines[1][1:]]
    lines[2][1:] = [f"{cell}*" if cell else "" for cell in lines[2][1:]]
    return text_file(folder, "wide.md", "# Results\n\n" + pipes(lines) + "\n*: unstable\n")


@shape("markdown, a table a variant under its heading")
def sections(rows: list[Row], folder: Path) -> Path:
    names = list(dict.fromkeys(row["variant"] for row in rows))
    parts = [
        f"## {name}\n\n" + pipes(wide([r for r in rows if r["variant"] == name], "width", "{:g}", "lr"))
        for name in names
    ]
    return text_file(folder, "README.md", "\n".join(parts))


def run_name(row: Row) -> str:
    return f"{row['variant']}_w{row['width']:g}_lr{row['lr']:.12g}"


def nested(rows: list[Row], *keys: str) -> Any:
    if not keys:
        return rows[0]["loss"]
    levels = dict.fromkeys(row[keys[0]] for row in rows)
    return {
        (level if isinstance(level, str) else f"{level:.12g}"): nested(
            [r for r in rows if r[keys[0]] == level], *keys[1:]
        )
        for level in levels
    }


def lists(rows: list[Row]) -> dict[str, Any]:
    return {"lrs": [row["lr"] for row in rows], "losses": [row["loss"] for row in rows]}


JSON: dict[str, Callable[[list[Row]], Any]] = {
    "records": lambda rows: rows,
    "columns": lambda rows: frame(rows).to_dict("list"),
    "pandas columns": lambda rows: json.loads(frame(rows).to_json(double_precision=15)),
    "pandas split": lambda rows: json.loads(frame(rows).to_json(orient="split", double_precision=15)),
    "pandas table": lambda rows: json.loads(frame(rows).to_json(orient="table", double_precision=15)),
    "pandas index": lambda rows: json.loads(frame(rows).to_json(orient="index", double_precision=15)),
    "a list under a key": lambda rows: {"best_lr": 0.01, "date": "May", "results": rows},
    "a dict of runs": lambda rows: {run_name(row): row for row in rows},
    "a dict of names and losses": lambda rows: {run_name(row): row["loss"] for row in only(rows)},
    "config and nested summary": lambda rows: [
        {"name": str(i), "config": {k: row[k] for k in ("variant", "width", "lr")},
         "summary": {"val": {"loss": row["loss"]}, "_runtime": 3}} for i, row in enumerate(rows)
    ],
    "variant > width > lr": lambda rows: nested(rows, "variant", "width", "lr"),
    "variant > width > lists": lambda rows: {
        v: {f"{w:g}": lists([r for r in rows if (r["variant"], r["width"]) == (v, w)])
            for w in dict.fromkeys(r["width"] for r in rows if r["variant"] == v)}
        for v in dict.fromkeys(r["variant"] for r in rows)
    },
    "variant > list of runs": lambda rows: {
        v: [{k: r[k] for k in ("width", "lr", "loss")} for r in rows if r["variant"] == v]
        for v in dict.fromkeys(r["variant"] for r in rows)
    },
    "width and runs": lambda rows: [
        {"width": w, "runs": [{"lr": r["lr"], "loss": r["loss"]} for r in only(rows) if r["width"] == w]}
        for w in dict.fromkeys(r["width"] for r in only(rows))
    ],
    "a list of lists": lambda rows: [list(USUAL), *([row[key] for key in USUAL] for row in rows)],
}  # fmt: skip
for label, make in JSON.items():
    shape(f"json, {label}")(
        lambda rows, folder, make=make: text_file(folder, "runs.json", json.dumps(make(rows)))
    )
shape("json lines")(lambda rows, folder: text_file(folder, "runs.jsonl", "\n".join(map(json.dumps, rows))))

PACKERS: dict[str, Callable[[bytes], bytes]] = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress}
for suffix, pack in PACKERS.items():

    def packed(
        rows: list[Row], folder: Path, suffix: str = suffix, pack: Callable[[bytes], bytes] = pack
    ) -> Path:
        path = folder / f"runs.csv.{suffix}"
        path.write_bytes(pack(table(rows, USUAL).encode()))
        return path

    shape(f"csv.{suffix}")(packed)


@shape("csv.zst")
def zst(rows: list[Row], folder: Path) -> Path:
    import pyarrow as pa

    with pa.output_stream(str(folder / "runs.csv.zst"), compression="zstd") as out:
        out.write(table(rows, USUAL).encode())
    return folder / "runs.csv.zst"


@shape("zip of a csv for each variant")
def zipped(rows: list[Row], folder: Path) -> Path:
    with zipfile.ZipFile(folder / "runs.zip", "w") as archive:
        for name in dict.fromkeys(row["variant"] for row in rows):
            archive.writestr(
                f"{name.replace('/', '-')}.csv", table([r for r in rows if r["variant"] == name], USUAL)
            )
    return folder / "runs.zip"


@shape("parquet")
def parquet(rows: list[Row], folder: Path) -> Path:
    frame(rows).to_parquet(folder / "runs.parquet")
    return folder / "runs.parquet"


@shape("feather")
def feather(rows: list[Row], folder: Path) -> Path:
    frame(rows).to_feather(folder / "runs.feather")
    return folder / "runs.feather"


@shape("xlsx")
def workbook(rows: list[Row], folder: Path) -> Path:
    frame(rows).to_excel(folder / "runs.xlsx", index=False)
    return folder / "runs.xlsx"


@shape("xlsx, a sheet a variant")
def sheets(rows: list[Row], folder: Path) -> Path:
    with pd.ExcelWriter(folder / "runs.xlsx") as book:
        for i, (_, part) in enumerate(frame(rows).groupby("variant", sort=False)):
            part.drop(columns="variant").to_excel(book, sheet_name=f"variant {i}", index=False)
    return folder / "runs.xlsx"


@shape("sqlite")
def sqlite(rows: list[Row], folder: Path) -> Path:
    with sqlite3.connect(folder / "runs.db") as database:
        frame(rows).to_sql("runs", database, index=False)
    return folder / "runs.db"


@shape("printed log", extract=r"d=(?P<width>\S+) lr=(?P<lr>\S+): .* val (?P<loss>\S+)")
def log(rows: list[Row], folder: Path) -> Path:
    lines = [
        f"[12:00] d={r['width']:g} lr={r['lr']:.12g}: step 1000 of 1000, val {r['loss']}" for r in only(rows)
    ]
    return text_file(folder, "train.log", "Starting\n" + "\n".join(lines) + "\nDone\n")


@shape("csv of run names")
def run_names(rows: list[Row], folder: Path) -> Path:
    lines = [f"{run_name(row)},{row['loss']}" for row in only(rows)]
    return text_file(folder, "runs.csv", "\n".join(["Name,val_loss", *lines]))
