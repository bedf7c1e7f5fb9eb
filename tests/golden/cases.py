"""How each recorded table is fitted, and how today's JSON is held against the recorded one.

`python -m tests.golden.cases` records again: it fits every table, says which numbers, keys and words differ
from those recorded and by how much, and changes files only with `--write`. A change of names alone must show
no number changed. Numbers that a mended fault changes are written down with the change itself.

The number of threads does not change a fit (`quantify` holds the linear algebra to one), but the processor
does: kernels that round otherwise move the loss law, whose search stops at about the root of rounding, by up
to 4e-6 of a limit. All fits are therefore made in a process of its own whose kernels are those that every
x86-64 processor with AVX2 has (`KERNELS`). There, and with the numpy and scipy that recorded, numbers hold to
`EXACT`; elsewhere to `ELSEWHERE`. A change of the code that only reorders a sum on the way to the loss law
shows up likewise, below 1e-5 and in that law and what follows from it (alpha, kappa, R_inf, factors) alone.
"""

from __future__ import annotations

import json
import math
import os
import platform
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import scipy

import hptransfer as hpt

FOLDER = Path(__file__).parent
MADE_WITH = FOLDER / "made_with.json"  # versions that recorded
EXACT = (1e-9, 1e-12)  # relative and absolute difference allowed between a number and the recorded one
ELSEWHERE = (1e-4, 1e-7)  # the same on other processors and with other versions of numpy and scipy
AVX512 = "X86_V4 AVX512F AVX512CD AVX512_SKX AVX512_CLX AVX512_CNL AVX512_ICL AVX512_SPR"  # by any numpy
KERNELS = {"OPENBLAS_CORETYPE": "Haswell", "NPY_DISABLE_CPU_FEATURES": AVX512}  # environment on x86-64
DIGITS = 12  # significant ones of a recorded number
LEFT_OUT = ("version", "source", "provenance")  # of the JSON: where a fit was made
TEXT = ("reason", "notes")  # sentences: recorded, not compared
# Recorded keys and words that have another name today; emptied by recording.
RENAMED: dict[str, str] = {
    "resamples": "draws",
    "hp_own": "hp_unpooled",
    "hp_own_low": "hp_unpooled_low",
    "hp_own_high": "hp_unpooled_high",
}


@dataclass(frozen=True)
class Case:
    """One table and how it is fitted.

    Attributes:
        read: keyword arguments of `hptransfer.read`.
        fit: keyword arguments of `hptransfer.quantify`.
    """

    read: Mapping[str, Any] = field(default_factory=dict)
    fit: Mapping[str, Any] = field(default_factory=dict)


CASES = {
    "two_rules": Case(fit={"targets": [512], "coordinates": "sp"}),
    "ragged": Case(fit={"targets": [1024, 8192], "coordinates": "mup"}),
    "many_seeds": Case(fit={"level": 0.9, "tolerance": 0.02}),
    "no_seed": Case(fit={"targets": [2048], "holdout": 2}),
    "initial_loss": Case(),
    "edge": Case(),
    "two_scales": Case(fit={"targets": [512], "coordinates": "sp"}),
    "three_scales": Case(fit={"reference": "better", "targets": [1024]}),
    "parameters": Case(
        read={"scale": "params", "variant": "method", "loss": "val_loss"},
        fit={"targets": [1e9, 1e10], "holdout": 2, "family": "offset", "filter": 1.05, "draws": 400},
    ),
    # The two coordinates of SGD are one: so are the drifts.
    "sgd": Case(read={"optimizer": "sgd"}, fit={"targets": [256], "coordinates": "sp", "family": "const"}),
}


def table(name: str) -> Path:
    return FOLDER / f"{name}.csv"


def fits() -> dict[str, Any]:
    """Today's JSON of every case, by its name."""
    command = [sys.executable, "-m", "tests.golden.cases", "--json"]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return dict(json.loads(done.stdout))


def environment() -> dict[str, str]:
    """The environment of a process that fits: this one's with `KERNELS`, and the same modules to import."""
    kernels = KERNELS if platform.machine() in ("x86_64", "AMD64") else {}
    return {**os.environ, **kernels, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


def _fitted(case: Case, name: str) -> Any:
    return json.loads(hpt.quantify(hpt.read(str(table(name)), **case.read), **case.fit).to_json())


def made_with() -> dict[str, str]:
    """What a fit's last digits depend on, beside the code."""
    return {"numpy": np.__version__, "scipy": scipy.__version__, "machine": platform.machine()}


def allowed() -> tuple[float, float]:
    """Relative and absolute difference allowed here."""
    return EXACT if made_with() == json.loads(MADE_WITH.read_text(encoding="utf-8")) else ELSEWHERE


def recorded(name: str) -> Any:
    """The recorded JSON of a case, under today's names."""
    return _renamed(json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8")))


def _renamed(value: Any) -> Any:
    if isinstance(value, dict):
        return {RENAMED.get(key, key): _renamed(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_renamed(item) for item in value]
    return RENAMED.get(value, value) if isinstance(value, str) else value


def differences(before: Any, now: Any, within: tuple[float, float] = EXACT, path: str = "") -> Iterator[str]:
    """One line, with its path, for everything in which two JSON values differ by more than `within`."""
    if isinstance(before, dict) and isinstance(now, dict):
        yield from (f"{path}/{key}: gone" for key in before.keys() - now.keys() - {*LEFT_OUT})
        yield from (f"{path}/{key}: not recorded" for key in now.keys() - before.keys() - {*LEFT_OUT})
        for key in before.keys() & now.keys() - {*LEFT_OUT, *TEXT}:
            yield from differences(before[key], now[key], within, f"{path}/{key}")
    elif isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        for index, pair in enumerate(zip(before, now, strict=True)):
            yield from differences(*pair, within, f"{path}/{index}")
    elif _is_number(before) and _is_number(now):
        if not math.isclose(before, now, rel_tol=within[0], abs_tol=within[1]):
            away = abs(now - before) / max(abs(before), within[1])
            yield f"{path}: recorded {before:.12g}, today {now:.12g} (relative difference {away:.2g})"
    elif type(before) is not type(now) or before != now:
        yield f"{path}: recorded {before!r}, today {now!r}"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items() if key not in LEFT_OUT}
    if isinstance(value, list):
        return [_rounded(item) for item in value]
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value


def main() -> None:
    """Prints today's fits as JSON, or what recording again would change, and records again where asked."""
    if "--json" in sys.argv:
        print(json.dumps({name: _fitted(case, name) for name, case in CASES.items()}))
        return
    for name, now in fits().items():
        file = FOLDER / f"{name}.json"
        changes = sorted(differences(recorded(name), now)) if file.exists() else ["not recorded yet"]
        print("\n  ".join([f"{name}: {len(changes)} changes", *changes]))
        if "--write" in sys.argv:
            file.write_text(json.dumps(_rounded(now), indent=1) + "\n", encoding="utf-8")
            MADE_WITH.write_text(json.dumps(made_with()) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
