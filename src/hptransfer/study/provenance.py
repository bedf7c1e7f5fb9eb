"""Where a study's numbers come from, as plain data."""

from __future__ import annotations

import platform
import subprocess
import sys
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from hptransfer.study.spec import StudySpec
from hptransfer.version import __version__
from hptransfer.workers.environment import cores


def provenance(spec: StudySpec) -> dict[str, Any]:
    """Versions, commit, spec, seeds and hardware of a session."""
    return {
        "study": spec.name,
        "spec_hash": spec.spec_hash,
        "seeds": list(spec.seeds),
        "hptransfer": __version__,
        "commit": commit(),
        "python": platform.python_version(),
        "torch": _installed("torch"),
        "platform": platform.platform(),
        "cpu": cpu_model(),
        "cores": cores(),
    }


def commit() -> str | None:
    """Git commit of the source in use, `-dirty` where it differs; None where it is not a checkout."""
    source = Path(__file__)
    # A package installed inside somebody else's checkout is not tracked there, and has no commit.
    if _git(source.parent, "ls-files", "--error-unmatch", source.name) is None:
        return None
    head = _git(source.parent, "rev-parse", "HEAD")
    changed = _git(source.parent, "status", "--porcelain", "--untracked-files=no", "--", ":/")
    return f"{head}-dirty" if head and changed else head


def cpu_model() -> str:
    """Name of the processor, as the system gives it."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _git(folder: Path, *arguments: str) -> str | None:
    """Output of a git command, None where it fails, takes too long, or there is no git."""
    command = ["git", *arguments]
    with suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=5, check=True)
        return done.stdout.strip()
    return None


def _installed(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return sys.modules[package].__version__ if package in sys.modules else None
