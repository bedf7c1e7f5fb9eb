"""The documentation's code runs, and its table is the catalogue."""

import re
from fractions import Fraction
from pathlib import Path

import torch
from small_models import build

import hptransfer as hpt
from hptransfer.parametrization.catalogue import CATALOGUE
from hptransfer.parametrization.custom import load_rule

DOCS = Path(__file__).parents[2] / "docs"


def blocks(page: str, language: str) -> list[str]:
    text = (DOCS / page).read_text(encoding="utf-8")
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def test_the_four_lines_of_the_guide() -> None:
    found: dict[str, object] = {"build": lambda width: build(width // 16), "model": build(64)}
    code = blocks("how-to/parametrization.md", "python")[0]
    exec(compile(code, "parametrization.md", "exec"), found)
    assert isinstance(found["scaling"], hpt.Scaling)
    assert len(code.strip().splitlines()) == 8  # two imports, two blank lines, four lines


def test_the_other_examples_of_the_guide(capsys) -> None:
    model = build(64)
    scaling = hpt.parametrize(model, base=build(16), rule="mup")
    scaling.init_(model)
    found = {"hpt": hpt, "torch": torch, "model": model, "scaling": scaling}
    transfer, _, proof, constants, muon, one_class = blocks("how-to/parametrization.md", "python")[1:]
    found["optimizer"] = torch.optim.AdamW(scaling.param_groups(model, lr=1e-3))
    found["tokens"] = torch.arange(6)[None]
    exec(proof, found)
    exec(constants, found)
    assert scaling.expected["tokens.weight"].lr == 3e-3 * 4 * 10  # SP coordinates: embedding x m
    exec(transfer, found)
    assert "hidden     lr 1.875e-5" in capsys.readouterr().out  # 3e-3 / 16 for width, / 10 for tokens
    if hasattr(torch.optim, "Muon"):
        exec(muon, found)
    exec(one_class, found)
    assert {group["algorithm"] for group in found["groups"]} == {"muon", "adamw"}


def test_the_rule_in_yaml(tmp_path: Path) -> None:
    path = tmp_path / "ours.yaml"
    path.write_text(blocks("reference/rules.md", "yaml")[0])
    rule = load_rule(path)
    assert (rule.roles["embedding"].lr, rule.roles["readout"].multiplier, rule.residual) == (-0.5, -1, -1)


def test_the_table_is_the_catalogue() -> None:
    text = (DOCS / "reference/rules.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([^`]+)` \| (adam|sgd) \| (.*) \|$", text, re.MULTILINE)
    assert [(name, family) for name, family, _ in rows] == list(CATALOGUE)
    for name, family, rest in rows:
        rule = CATALOGUE[name, family]
        *roles, attention, tied, coordinates = rest.split(" | ")
        for role, cell in zip(("embedding", "hidden", "readout", "vector"), roles, strict=True):
            e = rule.roles[role]
            assert [Fraction(x) for x in cell.split(", ")] == [e.init, e.multiplier, e.lr], (name, role)
        assert Fraction(attention) == rule.attention
        assert (None if tied == "as is" else Fraction(tied)) == rule.tied
        assert coordinates == rule.coordinates
