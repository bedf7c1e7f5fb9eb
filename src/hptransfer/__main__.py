"""`python -m hptransfer` and the command `hptransfer`: Ctrl-C is one line even while modules are loaded."""

from __future__ import annotations

import sys


def main() -> None:
    """Runs the command line."""
    try:
        from hptransfer.cli import main as run

        run()
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
