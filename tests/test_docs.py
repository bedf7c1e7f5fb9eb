"""The documentation's commands parse, and its Python runs."""

import re
import shlex
from pathlib import Path

import pytest
import typer.main

from hptransfer.cli import app

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("docs/**/*.md"))]
FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(language: str) -> list:
    found = []
    for page in PAGES:
        for number, (kind, text) in enumerate(FENCE.findall(page.read_text(encoding="utf-8"))):
            if kind == language:
                found.append(pytest.param(text, id=f"{page.stem}-{number}"))
    return found


def commands() -> list:
    fenced = [text for page in PAGES for _, text in FENCE.findall(page.read_text(encoding="utf-8"))]
    text = "\n".join(fenced)
    lines = re.findall(r"^(?:\$ )?hptransfer [^\n#]*", text.replace("\\\n", " "), re.MULTILINE)
    return sorted({line.removeprefix("$ ").strip() for line in lines})


def test_the_pages_show_commands():
    assert any(line.startswith("hptransfer fit ") for line in commands())


@pytest.mark.parametrize("line", commands())
def test_commands_parse(line):
    name, *arguments = shlex.split(line)[1:]
    if name.startswith("-"):
        return
    group = typer.main.get_command(app)
    group.commands[name].make_context(name, arguments)  # raises where an option or argument is unknown


@pytest.mark.parametrize("code", blocks("python"))
def test_python_compiles(code):
    compile(code, "documentation", "exec")


def test_the_reference_page_runs(tmp_path, monkeypatch):
    rows = [
        f"{variant},{width},{2.0**-x},{3 + 8 / width**0.5 + 0.05 * (x - best) ** 2}"
        for variant, drift in (("sp", 1), ("mup", 0))
        for k, width in enumerate((256, 512, 1024, 2048))
        for best in [7 + drift * k]
        for x in range(3, 14)
    ]
    (tmp_path / "runs.csv").write_text("\n".join(["variant,width,lr,loss", *rows]) + "\n")
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs/reference/python/index.md").read_text(encoding="utf-8")
    code = next(text for kind, text in FENCE.findall(page) if kind == "python")
    exec(compile(code, "index.md", "exec"), {})
    assert (tmp_path / "fit.json").is_file()
