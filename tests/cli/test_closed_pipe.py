"""Commands whose reader leaves early, as `| head -1` does: their files are written, and they end quietly."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from fake_trainer import NAME
from small_study import study

from hptransfer.study.run import run_study

CLOSED = 141  # 128 + SIGPIPE


def run_into_closed_pipe(*arguments: object) -> subprocess.CompletedProcess[str]:
    """A command in a process of its own, whose standard output is a pipe that nobody reads."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        return subprocess.run(
            [sys.executable, "-m", "hptransfer", *map(str, arguments)],
            stdout=writer,
            stderr=subprocess.PIPE,
            text=True,
            timeout=300,
        )
    finally:
        os.close(writer)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished study, and its spec beside it."""
    folder = tmp_path_factory.mktemp("finished")
    spec = study(widths=[32, 64, 128])
    run_study(spec, folder / "study", train=NAME)
    (folder / "study.yaml").write_text(yaml.safe_dump(spec.model_dump(mode="json", exclude={"adaptive"})))
    return folder


@pytest.mark.parametrize(
    ("arguments", "outputs"),
    [
        ("fit {study}/runs.csv --json {out}/a.json --html {out}/a.html", "{out}/a.json {out}/a.html"),
        ("report {study}", "{study}/fit.json {study}/report.html"),
        ("run {spec} --out {study}", "{study}/fit.json {study}/report.html"),
        ("runs compare {study} --html {out}/a.html", "{out}/a.html"),
        ("runs export {study} --to {out}/a.csv", "{out}/a.csv"),
        ("plan {spec} --out {study}", ""),
        ("watch {study} --once", ""),
        ("runs list {study}", ""),
        ("table mup", ""),
    ],
)
def test_files_are_written_and_the_command_ends_quietly(
    arguments: str, outputs: str, finished: Path, tmp_path: Path
) -> None:
    places = {"study": finished / "study", "spec": finished / "study.yaml", "out": tmp_path}
    files = [Path(name.format(**places)) for name in outputs.split()]
    for file in files:
        file.unlink(missing_ok=True)
    ended = run_into_closed_pipe(*(part.format(**places) for part in arguments.split()))
    assert [file for file in files if not file.exists()] == []
    assert ended.returncode == CLOSED
    assert ended.stderr in ("", "Nothing to train: every run of the study is finished.\n")


def test_a_coordinate_check_writes_its_files_first(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    outputs = (tmp_path / "a.json", tmp_path / "a.png")
    sizes = (
        "--widths",
        "8,16,32",
        "--steps",
        1,
        "--seeds",
        1,
        "--heads",
        2,
        "--context",
        8,
        "--batch-size",
        2,
    )
    ended = run_into_closed_pipe("coord-check", "mup", *sizes, "--json", outputs[0], "--plot", outputs[1])
    assert all(output.exists() for output in outputs)
    assert (ended.returncode, ended.stderr) == (CLOSED, "")
