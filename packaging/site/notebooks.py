"""Runs the notebooks of docs when the site is built: a page of each, with its output and figures.

A code cell's metadata may have `figure`, the name of the picture that it makes (other pages show it under
that name), and `alt`, what the picture shows in words. A reader downloads the notebook as it stands in docs.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

import nbformat
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parents[2]
QUIET = ["--IPKernelApp.log_level=ERROR"]
SECONDS = 240  # that a cell may take
STAMP = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d UTC")
ANSI = re.compile(r"\x1b\[[0-9;]*m")


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Adds a page, and its pictures, for every notebook."""
    for file in [file for file in files if file.src_uri.endswith(".ipynb")]:
        name = PurePosixPath(file.src_uri)
        text, others = page(execute(Path(str(file.abs_src_path))), name.name)
        files.append(File.generated(config, str(name.with_suffix(".md")), content=text))
        for other, content in others.items():
            files.append(File.generated(config, str(name.parent / other), content=content))
    return files


def execute(path: Path) -> Any:
    """The notebook at `path` with the output of its cells, and the pages that it wrote.

    What has been run is kept in `build/notebooks`, until the notebook or the package changes.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell fails.
    """
    kept = ROOT / "build" / "notebooks" / f"{_key(path)}.ipynb"
    if not kept.is_file():
        notebook = _run(nbformat.read(path, as_version=4))
        kept.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(notebook, kept)
    return nbformat.read(kept, as_version=4)


def _key(path: Path) -> str:
    sources = [path, *sorted((ROOT / "src").rglob("*.py"))]
    return hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()[:16]


def _run(notebook: Any) -> Any:
    """Runs the cells in an empty folder."""
    commands = str(Path(sys.executable).parent)  # where `hptransfer` is
    os.environ["PATH"] = os.pathsep.join([commands, os.environ.get("PATH", "")])
    os.environ["OMP_NUM_THREADS"] = "1"  # else the last digits depend on the number of cores
    with tempfile.TemporaryDirectory() as folder:
        resources = {"metadata": {"path": folder}}
        NotebookClient(
            notebook, kernel_name="python3", timeout=SECONDS, resources=resources, extra_arguments=QUIET
        ).execute()
        notebook.metadata["pages"] = {p.name: p.read_text("utf-8") for p in Path(folder).glob("*.html")}
    return notebook


def page(notebook: Any, name: str) -> tuple[str, dict[str, bytes]]:
    """The notebook as Markdown, and the pictures and pages that it made, by name."""
    parts: list[str] = []
    others: dict[str, bytes] = {k: _dated(v).encode() for k, v in notebook.metadata["pages"].items()}
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            parts.append(cell.source)
            continue
        parts += list(_code(cell.source))
        for output in _joined(cell.outputs):
            parts += list(_output(output, cell.metadata, others))
    head, *rest = parts
    title, _, body = head.partition("\n")
    download = f'[Download this page as a notebook]({name}){{ .md-button .download download="{name}" }}'
    return "\n\n".join([title, body.strip(), *rest, download]) + "\n", others


def _dated(html: str) -> str:
    """The page with the time of SOURCE_DATE_EPOCH, where it is given, in place of the time of this build."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    return (
        html
        if epoch is None
        else STAMP.sub(f"{datetime.fromtimestamp(int(epoch), UTC):%Y-%m-%d %H:%M} UTC", html)
    )


def _joined(outputs: list[Any]) -> list[Any]:
    """The outputs, where printed text that came in several pieces is one."""
    found: list[Any] = []
    for output in outputs:
        if found and output.output_type == found[-1].output_type == "stream":
            found[-1].text += output.text
        else:
            found.append(output)
    return found


def _code(source: str) -> Iterator[str]:
    """The cell's code; lines that begin with ! are commands of the shell."""
    lines = source.splitlines()
    if all(line.startswith("!") for line in lines):
        yield "```bash\n" + "\n".join(line[1:] for line in lines) + "\n```"
    else:
        yield f"```python\n{source}\n```"


def _output(output: Any, metadata: Any, others: dict[str, bytes]) -> Iterator[str]:
    """What a cell printed, drew or returned, as Markdown; pictures are put among the `others`."""
    if output.output_type == "stream":
        yield f"``` {{ .text .output }}\n{ANSI.sub('', output.text).rstrip()}\n```"
    elif "image/png" in output.data:
        picture = f"{metadata['figure']}.png"
        others[picture] = base64.b64decode(output.data["image/png"])
        yield f"![{metadata['alt']}]({picture})"
    elif "text/html" in output.data:
        yield f'<div class="output" markdown="0">\n{_plain(output.data["text/html"])}\n</div>'
    elif "text/plain" in output.data:
        yield f"``` {{ .text .output }}\n{output.data['text/plain']}\n```"


def _plain(html: str) -> str:
    """A table of pandas without its own style, so that it looks like others."""
    html = re.sub(r"<style.*?</style>", "", html, flags=re.DOTALL)
    html = re.sub(r'<table border="1" class="dataframe">', "<table>", html)
    html = html.replace(' style="text-align: right;"', "").replace("<th></th>", "<td></td>")
    return re.sub(r"\n\s*\n", "\n", html)
