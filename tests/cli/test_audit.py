"""`hptransfer audit`: what it prints, its exit codes, and the lines that write its records."""

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hptransfer.cli import app

ROOT = Path(__file__).parents[2]
STACKS = ROOT / "benchmarks/stacks"


def run(*arguments: object):
    return CliRunner().invoke(app, ["audit", *map(str, arguments)])


def sizes(stack: str) -> tuple[Path, Path]:
    return STACKS / f"{stack}_small.json", STACKS / f"{stack}_large.json"


@pytest.mark.parametrize(
    ("stack", "rule"), [("megatron", "mup-megatron"), ("deepspeed", "mup-tp5-table8"), ("cpp", "sp")]
)
def test_recorded_stacks_follow_their_rule(stack: str, rule: str) -> None:
    result = run(*sizes(stack), "--rule", rule)
    assert result.exit_code == 0, result.output
    assert f"nearest rule: {rule} (" in result.output
    assert "nothing departs from it" in result.output


def test_a_departure_ends_with_one(tmp_path: Path) -> None:
    small, large = sizes("jax")
    data = json.loads(large.read_text())
    next(row for row in data["tensors"] if row["name"] == "h_0/wi/kernel")["lr"] *= 4
    (tmp_path / "large.json").write_text(json.dumps(data))
    result = run(small, tmp_path / "large.json", "--rule", "mup-tp5-table8", "--json", tmp_path / "out.json")
    assert result.exit_code == 1
    assert "1 departure from mup-tp5-table8:\n  h_0/wi/kernel: lr m^0, wanted m^-1" in result.output
    found = json.loads((tmp_path / "out.json").read_text())
    assert found["passed"] is False
    assert found["departures"][0]["tensor"] == "h_0/wi/kernel"


def test_against_another_stack() -> None:
    result = run(*sizes("deepspeed"), "--rule", "mup-tp5-table8", "--against", *sizes("cpp"))
    assert result.exit_code == 1
    assert "every hidden: lr m^-1 here, m^0 in the other" in result.output


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["none.json", sizes("cpp")[1]], "cannot read a record from none.json"),
        ([*sizes("cpp"), "--rule", "mupp"], "did you mean"),
        ([*sizes("cpp"), "--decay", "both"], "--decay must be one of coupled, independent, mup"),
        ([*sizes("cpp"), "--eps", "1"], "--eps must be one of rule, fixed, scaled"),
        ([sizes("cpp")[0], sizes("cpp")[0]], "must differ in size"),
        ([sizes("cpp")[0], sizes("jax")[0]], "must be of one architecture"),
        ([STACKS / "record.cpp", sizes("cpp")[0]], "cannot read a record"),
    ],
)
def test_bad_input_is_one_line(arguments: list, says: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert says in result.output
    assert len(result.output.splitlines()) == 1


def test_the_lines_of_the_page_record_a_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    page = (ROOT / "docs/how-to/audit.md").read_text(encoding="utf-8")
    code = re.search(r"^### PyTorch.*?```python\n(.*?)```", page, re.MULTILINE | re.DOTALL)[1]
    monkeypatch.chdir(tmp_path)
    for width in (32, 128):
        layers = (torch.nn.Linear(8, width), torch.nn.Linear(width, width), torch.nn.Linear(width, 8))
        model = torch.nn.Sequential(*layers)
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
        exec(code.replace("large.json", f"{width}.json"), {"model": model, "optimizer": optimizer})
    result = run("32.json", "128.json", "--rule", "sp")
    assert result.exit_code == 0, result.output


def test_the_lines_for_cpp_are_those_of_the_benchmark() -> None:
    page = (ROOT / "docs/how-to/audit.md").read_text(encoding="utf-8")
    lines = re.search(r"```cpp\n(.*?)```", page, re.DOTALL)[1].splitlines()
    source = [line.strip() for line in (STACKS / "record.cpp").read_text().splitlines()]
    first = source.index(lines[0].strip())
    assert source[first : first + len(lines)] == [line.strip() for line in lines]
