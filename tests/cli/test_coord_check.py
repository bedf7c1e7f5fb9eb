import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hptransfer.cli import app

pytest.importorskip("torch")


QUICK = ["--widths", "32,64,128", "--steps", "2", "--seeds", "2", "--depth", "1", "--context", "8"]


def run(*arguments: str):
    return CliRunner().invoke(app, ["coord-check", *arguments])


def test_mup_passes_with_exit_code_0_and_writes_what_was_asked_for(tmp_path: Path) -> None:
    out, figure = tmp_path / "check.json", tmp_path / "check.png"
    result = run("mup", *QUICK, "--json", str(out), "--plot", str(figure))
    assert result.exit_code == 0, result.output
    assert result.output.startswith("coordinate check of mup: passed")
    assert "does not prove" in result.output
    data = json.loads(out.read_text())
    assert data["passed"] is True
    assert data["settings"]["widths"] == [32, 64, 128]
    assert "blocks.0 attention logits" in [layer["layer"] for layer in data["layers"]]
    assert figure.read_bytes().startswith(b"\x89PNG")


def test_sp_fails_with_exit_code_1_and_still_writes(tmp_path: Path) -> None:
    out = tmp_path / "check.json"
    result = run("sp", *QUICK, "--json", str(out))
    assert result.exit_code == 1, result.output
    assert "FAILED" in result.output
    assert "sp in sp coordinates does not promise flat slopes" in result.output
    assert json.loads(out.read_text())["passed"] is False


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["mupp"], "did you mean 'mup'"),
        (["mup", "--widths", "64"], "two or more positive widths"),
        (["mup", "--widths", "64,wide"], "--widths must be whole numbers"),
        (["mup", "--widths", "64,66"], "heads must divide width"),
        (["mup", "--widths", "64,128", "--seeds", "1"], "widths x seeds >= 3"),
        (["mup", "--model", "gpt5"], "decoder, gpt2"),
        (["mup", "--optimizer", "muon"], "adamw, adam, sgd"),
        (["mup", "--coordinates", "polar"], "sp, mup"),
        (["mup", "--threshold", "0.1"], "two numbers"),
        (["mup", "--threshold", "0.1,x"], "--threshold must be numbers"),
        (["mup", "--plot", "check.gif"], ".png, .svg or .pdf"),
        (["mup", "--json", "/nowhere/check.json"], "not a directory"),
        (["missing.yaml"], "cannot read a rule"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(arguments: list[str], says: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2, result.output
    assert says in result.output
    assert len(result.output.strip().splitlines()) == 1


def test_its_help_needs_no_torch() -> None:
    code = (
        "import sys; from hptransfer.cli import main\n"
        "try: main(['coord-check', '--help'])\n"
        "except SystemExit: print('torch' in sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip().endswith("False")
