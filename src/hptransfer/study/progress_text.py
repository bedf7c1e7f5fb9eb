"""A study's progress in words: of one variant at one size, of all, of what is being trained."""

from __future__ import annotations

import math

from hptransfer.study.progress import Cell, Snapshot
from hptransfer.words import count, loss_text, plural, rough


def cell_text(cell: Cell) -> str:
    """`7/9, best 3.893, 1 diverged`."""
    parts = [f"{cell.done}/{cell.planned}"]
    if math.isfinite(cell.best):
        parts.append(f"best {loss_text(cell.best)}")
    parts += [f"{n} {name}" for name in ("diverged", "failed") if (n := getattr(cell, name))]
    return ", ".join(parts)


def summary(seen: Snapshot) -> str:
    """`33/135 runs, 2 diverged, 1:02 elapsed, about 3:10 left`."""
    parts = [f"{count(seen.total('done'))}/{plural(seen.total('planned'), 'run')}"]
    parts += [f"{n} {name}" for name in ("diverged", "failed") if (n := seen.total(name))]
    if seen.elapsed is not None:
        parts.append(f"{clock(seen.elapsed)} elapsed")
    if seen.left:
        parts.append(f"about {clock(seen.left)} left" + (" of this round" if seen.spec.adaptive else ""))
    return ", ".join(parts)


def running_stacks(seen: Snapshot) -> str:
    """`training: width 64, 8 runs, step 120/300; ...`, that no step is reported yet, or nothing."""
    if seen.running_stacks:
        parts = [f"{f.size}, {plural(f.runs, 'run')}, step {f.step}/{f.steps}" for f in seen.running_stacks]
        return f"training: {'; '.join(parts)}"
    ended = seen.total("done") + seen.total("failed")
    if seen.state != "running" or ended >= seen.total("planned"):
        return ""
    return "starting: no step is reported yet" + ("" if seen.left else ", so the time left is not known")


def clock(seconds: float) -> str:
    """`0:07`, `12:30`, `3:05:00`."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02d}:{second:02d}" if hours else f"{minute}:{second:02d}"


def lr_text(lr: float) -> str:
    """`2^-6` where it is a power of two, else a decimal."""
    exponent = math.log2(lr)
    return f"2^{count(exponent)}" if exponent.is_integer() else rough(lr)
