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


def test_a_rule_is_shown_in_its_own_coordinates_with_depth_and_constants() -> None:
    arguments = ["completep", "--widths", "64", "--base-width", "64", "--depth", "4", "--base-depth", "2"]
    result = CliRunner().invoke(app, ["table", *arguments, "--factors", "embedding=10,blocks.0=0.5"])
    assert "mup coordinates" in result.output
    rows = rows_of(result.output)
    assert rows["blocks.3.qkv.weight"][4:] == ["1", "1", "0.5"]  # eps x 1/depth
    assert rows["blocks.0.qkv.weight"][4:] == ["0.5", "1", "0.5"]
    assert rows["token_embedding.weight"][4:] == ["10", "1", "1"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["mupp"], "did you mean 'mup'"),
        (["mup", "--widths", "64,wide"], "whole numbers"),
        (["mup", "--widths", "66", "--heads", "4"], "heads must divide width"),
        (["mup", "--widths", "-64"], "greater than 0"),
        (["mup", "--coordinates", "polar"], "sp, mup"),
        (["mup", "--base-depth", "1"], "must have the same depth under mup"),
        (["mup", "--factors", "embedding"], "must be KEY=NUMBER, comma-separated, but got 'embedding'"),
        (["mup", "--factors", "nothing=2"], "'nothing' fits none of"),
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
