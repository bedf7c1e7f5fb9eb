"""Write the examples of the package, parts of this corpus: python benchmarks/corpus/examples.py."""

from __future__ import annotations

import csv
import gzip
from pathlib import Path

from hptransfer.sweep.example import EXAMPLES, Example

HERE = Path(__file__).resolve().parent
PACKAGE = HERE.parents[1] / "src" / "hptransfer" / "sweep" / "example_tables"


def content(example: Example) -> bytes:
    """An example's CSV: the rows of its variants in the table of its set-up, and their rule."""
    text = gzip.decompress((HERE / "tables" / f"{example.setup}.csv.gz").read_bytes()).decode()
    header, *lines = text.splitlines()
    place = header.split(",").index("variant")
    names = [next(csv.reader([line]))[place] for line in lines]
    kept = [(line, name) for line, name in zip(lines, names, strict=True) if name in example.variants]
    rules = [f"{line},{name.split()[0]}" for line, name in kept]
    return "\n".join([f"{header},parametrization", *rules, ""]).encode()


def main() -> None:
    """The command."""
    PACKAGE.mkdir(exist_ok=True)
    for name, example in EXAMPLES.items():
        if example.setup is None:
            continue
        (PACKAGE / f"{name}.csv.gz").write_bytes(gzip.compress(content(example), 9, mtime=0))


if __name__ == "__main__":
    main()
