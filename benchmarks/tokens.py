"""Makes the token file that every machine trains on, and a description of it.

    python benchmarks/tokens.py --vocab 2048 --tokens 2097152 --out benchmarks/tokens/stdlib_2048.bin

The text is this Python's standard library, as `source: python-stdlib` reads and splits it; training tokens
come first and held-out ones last, so that `source: bin` with its default `validation_fraction` cuts between
them. Another Python version has another library, and so gives another file: runs are compared by the corpus
hash.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import platform
from pathlib import Path

import numpy as np

from hptransfer.lm.data import load_corpus
from hptransfer.runs.config import DataConfig, ModelConfig


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--vocab", type=int, default=2048)
    parser.add_argument("--tokens", type=int, default=1 << 21, help="in all, held-out ones included")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    corpus = load_corpus(DataConfig(), ModelConfig(vocab=options.vocab))
    held = round(options.tokens * DataConfig(source="bin", files="*").validation_fraction)
    parts = (corpus.train[: options.tokens - held], corpus.validation[:held])
    if sum(map(len, parts)) < options.tokens:
        raise SystemExit(f"the text has {len(corpus.train)} + {len(corpus.validation)} tokens: ask for fewer")
    options.out.parent.mkdir(parents=True, exist_ok=True)
    np.concatenate(parts).astype(np.uint16).tofile(options.out)
    made = {
        "source": f"standard library of Python {platform.python_version()} (PSF licence), tests left out",
        "vocab": options.vocab,
        "tokens": options.tokens,
        "held_out": held,
        "sha256": hashlib.sha256(options.out.read_bytes()).hexdigest(),
        "text_corpus": corpus.sha256,
    }
    options.out.with_suffix(".json").write_text(json.dumps(made, indent=2) + "\n")
    print(json.dumps(made, indent=2))


if __name__ == "__main__":
    main()
