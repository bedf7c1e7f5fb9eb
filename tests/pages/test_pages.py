"""Every code block of the README and of the documentation runs as typed and prints what stands below it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from tests.pages.blocks import PAGES, REASONS, ROOT, SHARED, Block, blocks_of, same_output
from tests.pages.session import Session

BLOCKS = {page: blocks_of(page) for page in PAGES}
WITH_CODE = [page for page, blocks in BLOCKS.items() if blocks]
KINDS = ("", "not run", "slow", "output", "shown", "shared", "alone")


def named(page: Path) -> str:
    return str(page.relative_to(ROOT))


def run(page: Path, folder: Path, slow: bool) -> None:
    session = Session(folder)
    for block in BLOCKS[page]:
        if block.kind in ("not run", "shown") or block.slow > slow:
            continue
        if block.kind == "alone":
            session = Session(folder / f"line{block.line}")
            session.folder.mkdir()
        if block.kind != "shared":
            session.run(block)
        elif SHARED.is_dir():
            Session(SHARED).run(block)


@pytest.mark.parametrize("page", WITH_CODE, ids=named)
def test_the_blocks_of_a_page_run_as_typed(page: Path, tmp_path: Path) -> None:
    run(page, tmp_path, slow=False)


@pytest.mark.slow
@pytest.mark.parametrize("page", [p for p in WITH_CODE if any(b.slow for b in BLOCKS[p])], ids=named)
def test_the_slow_blocks_of_a_page_run_as_typed(page: Path, tmp_path: Path) -> None:
    run(page, tmp_path, slow=True)


def every_block() -> list[Block]:
    return [block for page in WITH_CODE for block in BLOCKS[page]]


def test_a_block_that_is_not_run_says_why() -> None:
    for block in every_block():
        assert block.kind in KINDS or block.kind.startswith(("exit ", "file ")), f"{block}: {block.note}"
        if block.kind == "not run":
            assert block.reason.startswith(REASONS), f"{block}: {block.reason!r} is none of {REASONS}"
        if block.kind in ("slow", "shown"):
            assert block.reason, f"{block} must say why"


def test_most_blocks_run() -> None:
    """A page full of marks would pass; so what is left out is counted."""
    count = Counter(block.kind if block.kind in KINDS else "" for block in every_block())
    print(dict(count))  # `pytest -s` shows it
    assert count["not run"] <= 0.25 * count.total()


@pytest.mark.parametrize(
    ("printed", "expected", "same"),
    [
        ("a 1\nb  \n", "a 1\nb\n", True),
        ("a 1\nb\nc\n", "a 1\n...\nc\n", True),
        ("took 3 s\n", "took ... s\n", True),
        ("a 1\n", "a 2\n", False),
        ("a\nb\n", "a\n", False),
        ("", "a\n", False),
        ("(a|b)*\n", "(a|b)*\n", True),
    ],
)
def test_output_is_compared_but_for_dots_and_blanks_at_line_ends(
    printed: str, expected: str, same: bool
) -> None:
    assert same_output(printed, expected) is same
