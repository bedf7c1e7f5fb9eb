"""Write every page, or those that are named: `python -m papers [PAGE ...]`; see `make paper`."""

from __future__ import annotations

import sys
import time
from importlib import import_module

MODULES = ("parametrizations", "what_e_is", "ablations", "instability")


def main() -> None:
    """The command."""
    for module in sys.argv[1:] or MODULES:
        start = time.time()
        path = import_module(f"papers.{module}").write().write()
        print(f"{path.name}: {time.time() - start:.0f} s", flush=True)


if __name__ == "__main__":
    main()
