import csv
import io

from typer.testing import CliRunner

from hptransfer.cli import app


def table(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["table", *arguments])
    assert result.exit_code == 0, result.output
    return result.output


def test_csv_has_every_tensor_at_every_width() -> None:
    rows = list(csv.DictReader(io.StringIO(table("mup-tp5-table8", "--format", "csv", "--widths", "64,256"))))
    assert len(rows) == 32
    readout = rows[-1]
    assert (readout["tensor"], readout["width"], readout["role"]) == ("readout.weight", "256", "readout")
    assert (float(readout["multiplier"]), float(readout["lr"])) == (0.25, 1)
    assert float(readout["init_std"]) == 0.125


def test_markdown_is_a_table() -> None:
    out = table("mup", "--format", "markdown", "--widths", "64")
    lines = [line for line in out.splitlines() if line.startswith("|")]
    assert lines[1].startswith("| --- | --- | --- | ---: |")
    assert len(lines) == 18
    assert all(line.count("|") == 9 for line in lines)


def test_the_difference_of_two_dialects() -> None:
    out = table("mup", "--diff", "mup-tp5-table8")
    lines = [line.split() for line in out.splitlines() if "readout.weight" in line]
    assert lines == [
        ["256", "readout.weight", "init", "std", "0.03125", "0.125"],
        ["256", "readout.weight", "multiplier", "1", "0.25"],
        ["256", "readout.weight", "lr", "1", "4"],
    ]
    assert "the two train alike" in out
    assert "train differently" in table("mup", "--diff", "sp+embd")
    attention = next(x for x in table("mup", "--diff", "mup-attn").splitlines() if "logits" in x)
    assert attention.split() == ["256", "attention", "logits", "scale", "0.0625", "0.125"]
    assert "ask the same of every tensor" in table("mup", "--diff", "mup")
    rows = list(csv.reader(io.StringIO(table("sp", "--diff", "sp+embd", "--format", "csv"))))
    assert rows[0] == ["width", "tensor", "setting", "sp", "sp+embd"]
    assert ["256", "token_embedding.weight", "lr", "1", "4"] in rows
