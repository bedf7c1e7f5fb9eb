"""Write every page, or those of the modules named: `python -m papers [MODULE ...]`; see `make paper`."""

from __future__ import annotations

import sys
import time
from importlib import import_module

MODULES = (
    "parametrizations",
    "what_e_is",
    "ablations",
    "instability",
    "decay",
    "tokens_per_param",
    "wide",
    "embedding_ratio",
    "embedding_training",
    "depth",
    "probes",
    "beyond",
    "summary",
)


def main() -> None:
    """The command."""
    unknown = [name for name in sys.argv[1:] if name not in MODULES]
    if unknown:
        raise SystemExit(f"a page must be one of {', '.join(MODULES)}, but got {', '.join(unknown)}")
    for module in sys.argv[1:] or MODULES:
        start = time.time()
        path = import_module(f"papers.{module}").write().write()
        print(f"{path.name}: {time.time() - start:.0f} s", flush=True)


if __name__ == "__main__":
    main()
