"""`run`, `report` and `demo` with the real trainer, at a size that trains in seconds."""

import json
import sqlite3
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hptransfer.cli import app
from hptransfer.study.spec import load_study

pytest.importorskip("torch")

SPEC = """
name: small
variants: [sp, mup]
widths: [8, 16, 32]
lr: {{low: 2^-8, high: 2^0, factor: 4, extend: 1}}
targets: [64]
workers: 1
compile: never
model: {{depth: 1, heads: 2, context: 16, vocab: 280}}
data: {{source: text, files: "{files}", validation_fraction: 0.3, validation_tokens: 128}}
train: {{steps: 30, batch_size: 4}}
"""


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, str]:
    """Spec, folder and output of a study that was run once."""
    folder = tmp_path_factory.mktemp("study")
    for number in range(16):
        lines = [f"def f{i}(x): return x + {(i * number) % 5}" for i in range(50)]
        (folder / f"{number:02}.txt").write_text("\n".join(lines))
    spec = folder / "small.yaml"
    spec.write_text(SPEC.format(files=folder / "*.txt"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HPTRANSFER_CACHE", str(folder / "cache"))
        result = CliRunner().invoke(app, ["run", str(spec), "--out", str(folder / "out")])
    assert result.exit_code == 0, result.output
    return spec, folder / "out", result.output


def test_a_run_ends_with_tables_and_files(study: tuple[Path, Path, str]) -> None:
    _, folder, output = study
    for word in ("The answer", "Drift", "R(inf)", "Hold-out", str(folder / "report.html")):
        assert word in output
    fit = json.loads((folder / "fit.json").read_text())
    assert fit["schema"] == 2
    assert fit["settings"]["coordinates"] == "sp"
    assert set(fit["variants"]) == {"sp", "mup"}
    assert len((folder / "runs.csv").read_text().splitlines()) > 2 * 3 * 5
    assert (folder / "report.html").read_text().startswith("<!DOCTYPE html>")


def test_a_second_run_trains_nothing_and_says_the_same(
    study: tuple[Path, Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    spec, folder, output = study
    before = (folder / "runs.csv").read_bytes()
    monkeypatch.setattr("hptransfer.study.driver.Driver.run", lambda *_: pytest.fail("trained again"))
    result = CliRunner().invoke(app, ["run", str(spec), "--out", str(folder)])
    assert result.exit_code == 0
    assert result.output.partition("The answer")[2] == output.partition("The answer")[2]
    assert (folder / "runs.csv").read_bytes() == before


def test_report_makes_the_files_anew(study: tuple[Path, Path, str]) -> None:
    _, folder, _ = study
    before, runs = (folder / "fit.json").read_text(), (folder / "runs.csv").read_bytes()
    for name in ("runs.csv", "fit.json", "report.html"):
        (folder / name).unlink()
    result = CliRunner().invoke(app, ["report", str(folder)])
    assert result.exit_code == 0
    assert (folder / "fit.json").read_text() == before
    assert (folder / "runs.csv").read_bytes() == runs
    assert (folder / "report.html").exists()


def test_fit_reads_a_studys_runs(study: tuple[Path, Path, str]) -> None:
    _, folder, _ = study
    result = CliRunner().invoke(app, ["fit", str(folder / "runs.csv"), "--coordinates", "sp"])
    assert result.exit_code == 0
    assert "The answer" in result.output


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("name: x\nvariant: [sp]\n", "variants"),
        ("name: x\nvariants: [mupp]\nwidths: [8]\nlr: {low: 0.1, high: 1}\n", "did you mean 'mup'"),
        ("name: x\nvariants: [sp]\nwidths: [8]\nlr: {low: 1, high: 0.1}\n", "low < high"),
        ("- a list\n", "key: value"),
        ("a: [\n", "YAML"),
    ],
)
def test_a_bad_spec_is_one_line_and_exit_code_2(text: str, says: str, tmp_path: Path) -> None:
    spec = tmp_path / "spec.yaml"
    spec.write_text(text)
    result = CliRunner().invoke(app, ["run", str(spec), "--out", str(tmp_path / "out")])
    assert result.exit_code == 2
    assert says in result.output
    assert len(result.output.strip().splitlines()) == 1


def test_places_that_hold_no_study_are_refused(tmp_path: Path) -> None:
    for arguments in (["report", str(tmp_path / "none")], ["run", str(tmp_path / "none.yaml")]):
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == 2
        assert len(result.output.strip().splitlines()) == 1


def test_a_store_of_another_version_is_refused(study: tuple[Path, Path, str], tmp_path: Path) -> None:
    _, folder, _ = study
    other = tmp_path / "other"
    other.mkdir()
    (other / "study.sqlite").write_bytes((folder / "study.sqlite").read_bytes())
    with sqlite3.connect(other / "study.sqlite") as connection:
        connection.execute("PRAGMA user_version = 999")
    connection.close()
    result = CliRunner().invoke(app, ["report", str(other)])
    assert result.exit_code == 2
    assert "store schema 3" in result.output
    assert "has 999" in result.output


def test_the_demo_is_what_it_says() -> None:
    from importlib.resources import as_file, files

    with as_file(files("hptransfer.study") / "demo.yaml") as path:
        spec = load_study(path)
    assert spec.variants == ("sp", "sp+embd", "mup")
    assert (min(spec.widths), max(spec.widths), len(spec.widths)) == (32, 128, 5)
    assert spec.lr.count >= 8
    assert spec.lr.factor == 2
    assert spec.tolerance == 0.03
