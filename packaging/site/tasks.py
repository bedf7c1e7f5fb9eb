"""Puts the table of a new user's tasks into its page, and makes a picture a link to itself."""

from __future__ import annotations

import re
from pathlib import Path
from posixpath import relpath
from typing import TYPE_CHECKING

import yaml

if TYPE_CHECKING:
    from mkdocs.structure.pages import Page

TASKS = yaml.safe_load((Path(__file__).parent / "tasks.yaml").read_text(encoding="utf-8"))
PAGE, MARK = "project/site.md", "<!-- tasks -->"
BOOST = {"tutorials": 3, "how-to": 2, "project": 0.3}  # of a page in the search, by its folder
NO_HEADER = re.compile(r"<th( [^>]*)?></th>")
PICTURE = re.compile(r'<p>(<img [^>]*src="([^"]+)"[^>]*/?>)</p>')


def on_page_markdown(markdown: str, *, page: Page, **_: object) -> str:
    """The page with its table of tasks; guides come before other pages in a search."""
    page.meta["search"] = {"boost": BOOST.get(page.file.src_uri.split("/")[0], 1)}
    return markdown.replace(MARK, table()) if page.file.src_uri == PAGE else markdown


def on_page_content(html: str, **_: object) -> str:
    """A picture in a paragraph of its own becomes a link to itself; an empty cell is no header."""
    html = NO_HEADER.sub(r"<td\1></td>", html)
    return PICTURE.sub(r'<a class="picture" href="\2">\1</a>', html)


def table() -> str:
    """One row a task."""
    rows = ["| a new user wants to | types | and finds it in |", "| --- | --- | --- |"]
    for task in TASKS:
        link = relpath(task["page"], "project")
        name = title(task["page"])
        rows.append(f"| {task['task']} | `{task['search']}` | [{name}]({link}) |")
    return "\n".join(rows)


def title(page: str) -> str:
    """The page's name in the address, in words."""
    words = page.removesuffix(".md").split("/")
    return f"{words[0]}: {words[-1].replace('-', ' ')}"
