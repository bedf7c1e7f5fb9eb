"""What `hptransfer fit` prints first for four tables of others' runs: docs/explanation/first-screens.md.

    python benchmarks/first_screens.py [--check]    # writes the page; --check only says whether it is current

The tables are those of `../shared/data/sweeps`, beside the clone.
"""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
from pathlib import Path

from real_series import PUBLIC

PAGE = Path(__file__).resolve().parents[1] / "docs" / "explanation" / "first-screens.md"
HEAD = """# First screens

What `hptransfer fit` prints first for four tables of other people's runs: the answer, and why.
[From a table of runs to a decision](../tutorials/decision.md) explains how to read such an answer, and
[What the numbers mean](metrics.md) every word of it. `benchmarks/first_screens.py` writes this page.
"""
SCREENS = (
    (
        "A GPT under SP and muP, four widths, one mean of three seeds",
        "nanogpt_mup_shakespeare_digitised.csv --target 4096",
    ),
    (
        "An MLP under SP and muP, six widths, one seed",
        'mup_mlp_cifar10.csv --where "epoch == 5" --target 16384 --coordinates sp --optimizer sgd',
    ),
    ("A regression with three widths", "teacher_mlp_sp_mup.csv --metric mse --target 4096"),
    ("Three optimizers, three learning rates each", "muon_cnn_cifar10.csv --metric error"),
)
END = "\nPrediction\n"  # title of the table after the answers and their reasons


def screen(arguments: str) -> str:
    """The first screen of one command: up to the reasons of the answers."""
    words = [sys.executable, "-m", "hptransfer", "fit", *shlex.split(arguments)]
    narrow = {**os.environ, "COLUMNS": "80"}
    done = subprocess.run(words, cwd=PUBLIC, capture_output=True, text=True, check=True, env=narrow)
    lines = done.stdout.partition(END)[0].rstrip().splitlines()
    return "\n".join(line.rstrip() for line in lines)


def page() -> str:
    """The whole page."""
    parts = [HEAD]
    for title, arguments in SCREENS:
        shown = f"$ hptransfer fit {arguments}\n{screen(arguments)}\n..."
        parts.append(f"\n## {title}\n\n<!-- block: shared -->\n```console\n{shown}\n```\n")
    return "".join(parts)


def main() -> None:
    """Write the page, or compare it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 where it differs")
    check = parser.parse_args().check
    text = page()
    if not check:
        PAGE.write_text(text)
    elif text != PAGE.read_text(encoding="utf-8"):
        raise SystemExit("docs/explanation/first-screens.md is not what the commands print now")


if __name__ == "__main__":
    main()
