"""The fenced code blocks of the README and of the documentation, and what their source says of running them.

A comment on the line before a block says what a reader cannot see:

    <!-- block: not run: needs a GPU -->       counted, not run; the reason is one of `REASONS`
    <!-- block: slow: trains for minutes -->   run by the slow tests only, with all blocks of its page
    <!-- block: output -->                     what the block before it prints; `...` stands for anything
    <!-- block: shown: a part of a file -->    no code: data, or a shape
    <!-- block: exit 2 -->                     the command ends with this code; `exit 1: slow` is slow
    <!-- block: shared -->                     run where ../shared/data/sweeps is, in that folder, and slow
    <!-- block: file train.py -->              a file that the blocks after it use
    <!-- block: alone -->                      in a fresh folder
"""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted(path for path in ROOT.glob("docs/**/*.md") if not path.is_symlink()),
]
SHARED = ROOT.parent / "shared" / "data" / "sweeps"
_BLOCK = re.compile(
    r"^(?:[ ]*<!-- block: (?P<note>[^\n]*?) -->\n\s*)?"
    r"^(?P<indent>[ ]*)(?P<fence>```+)(?P<language>[\w+-]*)[^\n]*\n(?P<text>.*?)^(?P=indent)(?P=fence)[ ]*$",
    re.MULTILINE | re.DOTALL,
)
# Why a block may stay unrun: what it needs is not on every machine, or it is another project's code.
REASONS = (
    "needs an account",
    "needs a cluster",
    "needs a GPU",
    "needs a network",
    "needs data that are not in the repository",
    "needs other software",
    "installs",
    "takes hours",
    "takes many minutes",
    "runs the tests",
    "it ends with Ctrl-C",
)


@dataclass(frozen=True)
class Block:
    """One fenced block."""

    page: Path
    line: int  # of its fence
    language: str  # "" where the fence names none
    text: str
    note: str  # of the comment before it, else ""

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def kind(self) -> str:
        """The first words of the note: `not run`, `slow`, `output`, `shown`, `exit 2`; else ""."""
        return self.note.partition(":")[0].strip()

    @property
    def slow(self) -> bool:
        """Whether only the slow tests run it."""
        return self.kind in ("slow", "shared") or self.reason.startswith("slow")

    @property
    def reason(self) -> str:
        """What the note says after its colon."""
        return self.note.partition(":")[2].strip()


def blocks_of(page: Path) -> list[Block]:
    """The blocks of a page, in order."""
    source = page.read_text(encoding="utf-8")
    return [
        Block(
            page,
            source.count("\n", 0, found.start("indent")) + 1,
            found["language"],
            textwrap.dedent(found["text"]),
            found["note"] or "",
        )
        for found in _BLOCK.finditer(source)
    ]


def same_output(printed: str, expected: str) -> bool:
    """Whether a text was printed, but for blanks at line ends; `...` stands for anything."""
    wanted = re.escape("\n".join(line.rstrip() for line in expected.strip("\n").split("\n")).rstrip())
    found = "\n".join(line.rstrip() for line in printed.strip("\n").split("\n")).rstrip()
    return re.fullmatch(wanted.replace(r"\.\.\.", "[^\0]*?"), found) is not None
