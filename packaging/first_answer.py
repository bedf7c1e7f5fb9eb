"""How long a first answer takes in a bare environment: docs/project/first-answer.md.

    python packaging/first_answer.py --python python3.11 [--write]

Builds the wheel (which needs the package `build`), installs it into a new virtual environment once to fill
pip's cache, then into another with the clock running, and types what the README says.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import sys
import tempfile
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from smoke import ROOT, run

PAGE = ROOT / "docs" / "project" / "first-answer.md"
TARGET_S = 60  # seconds to the first answer
HEAD = """# Seconds to a first answer

What `packaging/first_answer.py` measured: into a new virtual environment with nothing but pip, whose cache
holds the packages, the wheel is installed; then the two commands of [Install](../how-to/install.md#try-it)
are typed. The target is {target} seconds or fewer, all together.

| {head} |
| {rule} |
{rows}

Three commands are typed. Bytes are those of all that pip installed, compiled Python files included. Times
are seconds of processor time, which on an idle machine is what the clock shows; the last is the clock's, on
{machine}.
"""
COLUMNS = (
    "Python",
    "`pip install`",
    "`hptransfer example`",
    "`hptransfer fit`",
    "together",
    "by the clock",
    "MB installed",
    "of it hptransfer",
)


@dataclass(frozen=True)
class Answer:
    """One environment's measurements: seconds of processor time, but for `wall_s`."""

    python: str
    install_s: float
    example_s: float
    fit_s: float
    wall_s: float  # from the first command to the answer
    installed: int  # bytes
    own: int  # bytes of hptransfer itself

    @property
    def together(self) -> float:
        """Seconds of processor time to the answer."""
        return self.install_s + self.example_s + self.fit_s

    def row(self) -> str:
        """The row of the table."""
        times = (self.install_s, self.example_s, self.fit_s, self.together, self.wall_s)
        sizes = (self.installed / 1e6, self.own / 1e6)
        return f"| {' | '.join((self.python, *(f'{t:.1f}' for t in times), *(f'{s:.1f}' for s in sizes)))} |"


def measure(python: str, wheel: Path, place: Path) -> Answer:
    """Installs, and types two commands."""
    folder = Path(tempfile.mkdtemp(dir=place))
    run(python, "-m", "venv", folder / "venv", cwd=folder)
    binaries = folder / "venv" / ("Scripts" if os.name == "nt" else "bin")
    packages = Path(
        run(binaries / "python", "-c", "import site; print(site.getsitepackages()[0])", cwd=folder).strip()
    )
    before = size(packages)
    times = [now()]
    run(binaries / "python", "-m", "pip", "install", "--quiet", wheel, cwd=folder)
    times.append(now())
    said = run(binaries / "hptransfer", "example", cwd=folder)
    times.append(now())
    command = re.search(r"^try: +hptransfer (.*)$", said, re.MULTILINE)
    assert command is not None, said
    answer = run(binaries / "hptransfer", *shlex.split(command[1]), cwd=folder)
    times.append(now())
    assert "The answer for width" in answer, answer
    seconds = [after[1] - start[1] for start, after in pairwise(times)]
    wall = times[-1][0] - times[0][0]
    version = run(
        binaries / "python", "-c", "import platform; print(platform.python_version())", cwd=folder
    ).strip()
    return Answer(version, *seconds, wall, size(packages) - before, size(packages / "hptransfer"))


def now() -> tuple[float, float]:
    """Seconds of the wall clock, and of processor time that ended commands have taken."""
    used = os.times()
    return used.elapsed, used.children_user + used.children_system


def size(folder: Path) -> int:
    """Bytes of all files in a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def page(answers: list[Answer], machine: str) -> str:
    """The page of the documentation."""
    rows = "\n".join(answer.row() for answer in answers)
    rule = " | ".join("---" for _ in COLUMNS)
    return HEAD.format(target=TARGET_S, head=" | ".join(COLUMNS), rule=rule, rows=rows, machine=machine)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--python", action="append", help="to install for; may be repeated")
    parser.add_argument("--machine", default=f"{os.cpu_count()} cores", help="as the page names it")
    parser.add_argument("--warm", action="store_true", help="pip's cache holds the packages already")
    parser.add_argument("--write", action="store_true", help="write the page, else print it")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        run(sys.executable, "-m", "build", "--wheel", "--outdir", place / "dist", ROOT, cwd=place)
        (wheel,) = (place / "dist").glob("*.whl")
        answers = []
        for python in options.python or [sys.executable]:
            if not options.warm:
                measure(python, wheel, place)  # fills pip's cache, and the machine's
            answers.append(measure(python, wheel, place))
    text = page(answers, options.machine)
    if options.write:
        PAGE.write_text(text, encoding="utf-8")
    else:
        print(text)


if __name__ == "__main__":
    main()
