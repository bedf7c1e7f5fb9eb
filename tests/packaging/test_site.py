"""The pages of the documentation: navigation, links, pictures, notebooks, and what is made from the code."""

import importlib.util
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import typer.main
import yaml

from hptransfer.cli import app
from hptransfer.study.schema import spec_schema
from hptransfer.version import __version__

ROOT = Path(__file__).parents[2]
DOCS, HOOKS = ROOT / "docs", ROOT / "packaging" / "site"
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted(DOCS.rglob("*.md")),
    *sorted(DOCS.rglob("*.ipynb")),
]
LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s#]*)(?:#[^)\s]*)?\)")
FENCE = re.compile(r"^```.*?^```|`[^`\n]*`", re.MULTILINE | re.DOTALL)


def hook(name: str) -> ModuleType:
    found = importlib.util.spec_from_file_location(name, HOOKS / f"{name}.py")
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def cells(path: Path) -> list[dict[str, Any]]:
    return json.loads(path.read_text(encoding="utf-8"))["cells"]


def words(path: Path) -> str:
    """The page's text, without its code."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".ipynb":
        text = "\n".join("".join(cell["source"]) for cell in cells(path) if cell["cell_type"] == "markdown")
    return FENCE.sub("", text)


def made() -> set[Path]:
    """Files that exist only in the built site."""
    found = {DOCS / name for name in hook("generated_reference").PAGES}
    for path in DOCS.rglob("*.ipynb"):
        found.add(path.with_suffix(".md"))
        figures = [cell["metadata"]["figure"] for cell in cells(path) if "figure" in cell["metadata"]]
        found |= {path.parent / f"{figure}.png" for figure in figures}
    return found | {DOCS / "gallery" / "report.html"}


def leaves(part: Any) -> Iterator[str]:
    if isinstance(part, str):
        yield part
    else:
        for item in part.values() if isinstance(part, dict) else part:
            yield from leaves(item)


def navigation() -> list[str]:
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    return list(leaves(yaml.safe_load(text)["nav"]))


def test_every_page_is_in_the_navigation_once() -> None:
    there = {
        path.relative_to(DOCS).as_posix() for path in [*DOCS.rglob("*.md"), *made()] if path.suffix == ".md"
    }
    assert sorted(navigation()) == sorted(there)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_somewhere_and_pictures_are_described(path: Path) -> None:
    exist = made()
    for picture, text, target in LINK.findall(words(path)):
        assert not picture or len(text.split()) > 3, f"{path}: {target} needs words that say what it shows"
        if target and not re.match(r"[a-z]+:", target):
            file = Path(str((path.parent / target).resolve()))
            assert file.exists() or file in exist, f"{path}: {target}"


@pytest.mark.parametrize("path", sorted(DOCS.rglob("*.ipynb")), ids=lambda path: path.stem)
def test_notebooks_are_small_and_their_figures_described(path: Path) -> None:
    assert path.stat().st_size < 40_000
    assert "".join(cells(path)[0]["source"]).startswith("# ")
    for cell in cells(path):
        assert cell.get("outputs", []) == []
        assert "figure" not in cell["metadata"] or len(cell["metadata"]["alt"].split()) > 3


def test_tasks_lead_to_pages_of_the_navigation() -> None:
    tasks = yaml.safe_load((HOOKS / "tasks.yaml").read_text(encoding="utf-8"))
    assert len(tasks) >= 10
    assert {task["page"] for task in tasks} <= set(navigation())
    assert hook("tasks").table().count("\n") == len(tasks) + 1


def test_a_picture_becomes_a_link_to_itself() -> None:
    html = hook("tasks").on_page_content('<p><img alt="a" src="../x.png" /></p>')
    assert hook("tasks").on_page_content('<th></th><th style="x">a</th>') == '<td></td><th style="x">a</th>'
    assert html == '<a class="picture" href="../x.png"><img alt="a" src="../x.png" /></a>'


def test_the_reference_has_every_command_and_option() -> None:
    page = hook("generated_reference").command_line()
    sections = dict(re.findall(r"^## (hptransfer .*)\n((?:(?!^## ).*\n?)*)", page, re.MULTILINE))
    group = typer.main.get_command(app)
    names = [f"hptransfer {name}" for name in group.commands if name != "runs"]
    assert set(names) < set(sections)
    for command, name in [
        (group.commands["fit"], "fit"),
        (group.commands["runs"].commands["export"], "runs export"),
    ]:
        for parameter in command.params:
            assert (
                parameter.name == "help"
                or f"`{parameter.opts[0]}" in sections[f"hptransfer {name}"]
                or (f"`{parameter.metavar}" in sections[f"hptransfer {name}"])
            )


def test_the_reference_has_every_key_of_a_spec() -> None:
    page, schema = hook("generated_reference").spec(), spec_schema()
    for part in [schema, *schema["$defs"].values()]:
        for key in part["properties"]:
            assert f"\n`{key}` (" in page


def test_a_notebook_becomes_a_page() -> None:
    pytest.importorskip("mkdocs")
    nbformat = pytest.importorskip("nbformat")
    v4 = nbformat.v4
    picture = v4.new_output("execute_result", {"image/png": "QUJD", "text/plain": "Figure"})
    drawn = v4.new_code_cell("draw()", outputs=[picture], metadata={"figure": "f", "alt": "what it shows"})
    said = [v4.new_output("stream", text="\x1b[1mone\n"), v4.new_output("stream", text="two\n")]
    parts = [v4.new_markdown_cell("# Title\n\nText."), v4.new_code_cell("!ls -l", outputs=said), drawn]
    text, others = hook("notebooks").page(
        v4.new_notebook(cells=parts, metadata={"pages": {"r.html": "x"}}), "n.ipynb"
    )
    assert text.startswith("# Title\n\nText.\n\n```bash\nls -l\n```")
    assert "``` { .text .output }\none\ntwo\n```" in text
    assert "![what it shows](f.png)" in text
    assert "(n.ipynb)" in text
    assert others == {"r.html": b"x", "f.png": b"ABC"}


def test_a_page_of_a_notebook_has_the_date_of_the_source(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("mkdocs")
    pytest.importorskip("nbclient")
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "86400")
    assert hook("notebooks")._dated("written 2030-11-27 06:38 UTC") == "written 1970-01-02 00:00 UTC"


def test_the_citation_names_this_version() -> None:
    assert f"{{{__version__}}}" in (DOCS / "how-to" / "cite.md").read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.browser
def test_the_site_builds_and_pages_pass_in_a_browser(tmp_path: Path) -> None:
    for package in ("mkdocs", "mkdocstrings", "material", "nbclient", "torch", "axe_playwright_python"):
        pytest.importorskip(package)
    if not any(map(shutil.which, hook("check").BROWSERS)):
        pytest.skip("no chromium on the path")
    site = tmp_path / "site"
    build = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(site)]
    subprocess.run(build, cwd=ROOT, check=True, timeout=1500)
    some = [sys.executable, str(HOOKS / "check.py"), str(site), "--pages", "how-to/re"]
    assert subprocess.run(some, check=False, timeout=600).returncode == 0
