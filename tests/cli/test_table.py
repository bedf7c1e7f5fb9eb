import csv
import io
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hptransfer.cli import app


def rows_of(text: str) -> dict[str, list[str]]:
    """The last table's rows by tensor."""
    return {line.split()[0]: line.split()[1:] for line in text.splitlines() if ".weight" in line}


def test_prints_what_every_tensor_gets() -> None:
    result = CliRunner().invoke(app, ["table", "mup", "--widths", "64,256"])
    assert result.exit_code == 0
    assert "mup at width 256 (m = 4, base 64), sp coordinates; attention logits x 0.0625" in result.output
    rows = rows_of(result.output)
    assert len(rows) == 16
    assert rows["token_embedding.weight"] == ["embedding", "512x256", "1", "1", "4", "1", "1"]
    assert rows["blocks.1.qkv.weight"] == ["hidden", "768x256", "0.0625", "1", "1", "1", "1"]
    assert rows["blocks.0.mlp_norm.weight"] == ["vector", "256", "ones", "1", "4", "0", "1"]
    assert rows["readout.weight"] == ["readout", "512x256", "0.03125", "1", "1", "1", "1"]


def test_mup_coordinates_divide_every_lr_by_m() -> None:
    result = CliRunner().invoke(
        app, ["table", "mup", "--widths", "256", "--base-width", "64", "--coordinates", "mup"]
    )
    rows = rows_of(result.output)
    assert rows["token_embedding.weight"][4] == "1"
    assert rows["blocks.1.qkv.weight"][4] == "0.25"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["mupp"], "did you mean 'mup'"),
        (["mup", "--widths", "64,wide"], "whole numbers"),
        (["mup", "--widths", "66", "--heads", "4"], "heads must divide width"),
        (["mup", "--widths", "-64"], "greater than 0"),
        (["mup", "--coordinates", "polar"], "sp, mup"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(arguments: list[str], says: str) -> None:
    result = CliRunner().invoke(app, ["table", *arguments])
    assert result.exit_code == 2
    assert says in result.output
    assert len(result.output.strip().splitlines()) == 1


def test_needs_no_torch() -> None:
    code = (
        "import sys; from hptransfer.cli import main\n"
        "try: main(['table', 'mup'])\n"
        "except SystemExit: print('torch' in sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip().endswith("False")


def table(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["table", *arguments])
    assert result.exit_code == 0, result.output
    return result.output


def test_csv_has_every_tensor_at_every_width() -> None:
    rows = list(csv.DictReader(io.StringIO(table("mup-tp5-table8", "--format", "csv", "--widths", "64,256"))))
    assert len(rows) == 32
    readout = rows[-1]
    assert (readout["tensor"], readout["width"], readout["role"]) == ("readout.weight", "256", "readout")
    assert (float(readout["multiplier"]), float(readout["lr"])) == (0.25, 4)
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


def test_a_user_s_own_rule(tmp_path: Path) -> None:
    path = tmp_path / "ours.yaml"
    path.write_text("like: mup\nroles: {embedding: {lr: 0.5}}")
    assert rows_of(table(str(path), "--widths", "64,256"))["token_embedding.weight"][4] == "2"


def test_hugging_face_families() -> None:
    pytest.importorskip("transformers")
    out = table("mup-tp5-table8", "--model", "gpt2", "--widths", "32,64", "--optimizer", "sgd")
    rows = rows_of(out)
    assert rows["transformer.wte.weight"][:2] == ["embedding", "512x64"]
    assert rows["transformer.h.0.attn.c_attn.weight"][0] == "hidden"
    assert "input of the tied lm_head x 0.5" in out
    assert "attention logits" not in table("mup", "--model", "mamba", "--widths", "32")
    between = table("sp", "--diff", "mup", "--model", "gpt2", "--widths", "32,64").splitlines()
    assert ["64", "lm_head", "(tied)", "multiplier", "1", "0.5"] in [line.split() for line in between]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["mup", "--model", "gpt9"], "valid: gpt2"),
        (["mup", "--model", "gpt2", "--widths", "30,60"], "heads must divide width"),
        (["mup", "--format", "latex"], "text, csv, markdown"),
        (["mup", "--optimizer", "lbfgs"], "adam, sgd"),
        (["mup", "--diff", "mupp"], "did you mean 'mup'"),
        (["u-mup", "--optimizer", "sgd"], "u-mup says nothing about sgd"),
        (["nowhere.yaml"], "cannot read a rule"),
    ],
)
def test_more_bad_input_is_one_line_and_exit_code_2(arguments: list[str], says: str) -> None:
    pytest.importorskip("transformers")
    result = CliRunner().invoke(app, ["table", *arguments])
    assert result.exit_code == 2
    assert says in result.output
    assert len(result.output.strip().splitlines()) == 1
