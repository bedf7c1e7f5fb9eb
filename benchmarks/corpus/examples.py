"""Write the examples of the package, parts of this corpus: python benchmarks/corpus/examples.py."""

from __future__ import annotations

import csv
import gzip
from pathlib import Path

from hptransfer.sweep.example import EXAMPLES, Example

HERE = Path(__file__).resolve().parent
PACKAGE = HERE.parents[1] / "src" / "hptransfer" / "sweep" / "example_tables"


def content(example: Example) -> bytes:
    """An example's CSV: the rows of its variants, as they stand in the table of its set-up."""
    text = gzip.decompress((HERE / "tables" / f"{example.setup}.csv.gz").read_bytes()).decode()
    header, *lines = text.splitlines()
    place = header.split(",").index("variant")
    kept = [line for line in lines if next(csv.reader([line]))[place] in example.variants]
    return "\n".join([header, *kept, ""]).encode()


def main() -> None:
    """The command."""
    PACKAGE.mkdir(exist_ok=True)
    for name, example in EXAMPLES.items():
        (PACKAGE / f"{name}.csv.gz").write_bytes(gzip.compress(content(example), 9, mtime=0))


if __name__ == "__main__":
    main()
