"""Build the wheel and the sdist, install each in a bare environment, and use it there.

    python packaging/smoke.py --python python3.11 --python python3.13

The first Python builds, and needs the package `build`. Prints one line an environment.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
STEPS = (
    ("--version",),
    ("example",),
    (
        "fit",
        "widths.csv",
        "--coordinates",
        "sp",
        "--target",
        "256",
        "--no-suggest",
        "--json",
        "fit.json",
        "--html",
        "fit.html",
    ),
    ("example", "tokens"),
    ("plan", "lingle2024", "--no-budget", "--flops-per-second", "1e10"),
    ("table", "mup", "--widths", "64,256"),
    ("schema", "--to", "study.schema.json"),
)


def run(*command: str | Path, cwd: Path) -> str:
    """What a command prints; its own output is shown where it fails."""
    bare = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run([str(part) for part in command], cwd=cwd, env=bare, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def smoke(python: str, package: Path, folder: Path) -> str:
    """Installs a package for a Python and uses it; says how long both took."""
    run(python, "-m", "venv", folder / "venv", cwd=folder)
    binaries = folder / "venv" / ("Scripts" if os.name == "nt" else "bin")
    start = time.monotonic()
    run(binaries / "python", "-m", "pip", "install", "--quiet", package, cwd=folder)
    installed = time.monotonic() - start
    for step in STEPS:
        run(binaries / "hptransfer", *step, cwd=folder)
    run(binaries / "python", "-c", "import hptransfer as hpt; hpt.quantify(hpt.example())", cwd=folder)
    version = run(binaries / "python", "--version", cwd=folder).strip()
    return f"{version}: {package.name} installed in {installed:.0f} s and works"


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--python", action="append", help="to install for; may be repeated")
    parser.add_argument("--dist", type=Path, help="folder of a wheel and an sdist  [default: build them]")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        dist = options.dist or Path(place) / "dist"
        if options.dist is None:
            run(sys.executable, "-m", "build", "--outdir", dist, ROOT, cwd=Path(place))
        for python in options.python or [sys.executable]:
            for package in sorted(dist.resolve().glob("hptransfer-*")):
                folder = Path(tempfile.mkdtemp(dir=place))
                print(smoke(python, package, folder), flush=True)


if __name__ == "__main__":
    main()
