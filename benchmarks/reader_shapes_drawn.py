"""Further shapes for benchmarks/readers.py: drawn and marked-up tables, two heads, a log line a run."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import yaml
from benchmarks.reader_shapes import USUAL, Row, frame, only, shape, table, text_file


def cells(row: Row) -> list[str]:
    """A run's cells as text: variant, width, lr, loss."""
    return [str(row["variant"]), f"{row['width']:g}", f"{row['lr']:.12g}", str(row["loss"])]


@shape("LaTeX")
def latex(rows: list[Row], folder: Path) -> Path:
    body = "".join(" & ".join(cells(row)) + " \\\\\n" for row in rows)
    head = "Method & $d_{model}$ & $\\eta$ & Loss \\\\ \\midrule\n"
    return text_file(
        folder, "t.tex", f"\\begin{{tabular}}{{lrrr}}\n\\toprule\n{head}{body}\\end{{tabular}}\n"
    )


@shape("a box")
def box(rows: list[Row], folder: Path) -> Path:
    body = "".join("│ " + " │ ".join(cells(row)) + " │\n" for row in rows)
    return text_file(
        folder, "t.txt", f"┌──┬──┬──┬──┐\n│ variant │ width │ lr │ loss │\n├──┼──┼──┼──┤\n{body}"
    )


@shape("psql")
def psql(rows: list[Row], folder: Path) -> Path:
    body = "".join(" " + " | ".join(cells(row)) + "\n" for row in rows)
    return text_file(
        folder, "out", f" variant | width | lr | loss\n---+---+---+---\n{body}({len(rows)} rows)\n"
    )


@shape("html")
def html(rows: list[Row], folder: Path) -> Path:
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells(row)) + "</tr>" for row in rows)
    head = "".join(f"<th>{name}</th>" for name in USUAL)
    return text_file(folder, "t.html", f"<html><table><tr>{head}</tr>{body}</table></html>")


@shape("yaml")
def yaml_list(rows: list[Row], folder: Path) -> Path:
    return text_file(folder, "runs.yaml", yaml.safe_dump({"runs": rows}))


@shape("a log line a run")
def lines(rows: list[Row], folder: Path) -> Path:
    text = "".join(
        "INFO rule={} width={} lr={} final_loss={}\n".format(*map(quoted, cells(row))) for row in rows
    )
    return text_file(folder, "sweep.log", text)


def quoted(cell: str) -> str:
    return cell.replace(" ", "_")


@shape("dicts as Python prints them")
def dicts(rows: list[Row], folder: Path) -> Path:
    return text_file(folder, "out.txt", "".join(f"{row!r}\n" for row in rows))


@shape("a pivot of two levels")
def pivot(rows: list[Row], folder: Path) -> Path:
    runs = frame(rows)
    runs["seed"] = runs.groupby(["variant", "width", "lr"]).cumcount()
    runs["loss"] = [loss if loss == loss else "diverged" for loss in runs["loss"]]  # a blank is no run
    wide = pd.pivot(runs, index=["width", "seed"], columns=["variant", "lr"], values="loss")
    wide.to_csv(folder / "pivot.csv")
    return folder / "pivot.csv"


@shape("a chart of W&B")
def chart(rows: list[Row], folder: Path) -> Path:
    runs = only(rows)
    names = [f'"w{row["width"]:g}-lr{row["lr"]:.12g} - val/loss"' for row in runs]
    last = ",".join("NaN" if row["loss"] != row["loss"] else str(row["loss"]) for row in runs)
    first = ",".join("9.0" for _ in runs)
    return text_file(folder, "chart.csv", f"Step,{','.join(names)}\n0,{first}\n1,{last}\n")


@shape("sections under titles")
def sections(rows: list[Row], folder: Path) -> Path:
    names = {key: key for key in ("width", "lr", "loss")}
    labels = dict.fromkeys(row["variant"] for row in rows)
    parts = [f"# {v}\n" + table([row for row in rows if row["variant"] == v], names) for v in labels]
    return text_file(folder, "runs.csv", "\n".join(parts))


@shape("a row a metric")
def metrics(rows: list[Row], folder: Path) -> Path:
    body = "".join(
        ",".join([*cells(row)[:3], metric, value]) + "\n"
        for row in rows for metric, value in (("train_loss", "1"), ("val_loss", cells(row)[3]))
    )  # fmt: skip
    return text_file(folder, "long.csv", f"variant,width,lr,metric,value\n{body}")
