from __future__ import annotations

from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from hptransfer.cli import app as hptransfer
from hptransfer.cli.options import argument, option


@pytest.fixture
def app() -> typer.Typer:
    app = typer.Typer(rich_markup_mode=None)

    @app.command()
    def show(
        file: Annotated[str, argument("FILE", "What is read.")],
        step_size: Annotated[int, option("N", "How far it goes.", min=2)] = 3,
        target: Annotated[str, option("PATH", "Where to.", "--to")] = "here",
    ) -> None:
        typer.echo(f"{file} {step_size} {target}")

    return app


def test_placeholder_and_help_are_shown(app: typer.Typer) -> None:
    output = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "100"}).output
    for part in ("FILE", "What is read.", "--step-size N", "How far it goes.", "--to PATH", "Where to."):
        assert part in output
    assert "--target" not in output


def test_flags_limits_and_defaults_hold(app: typer.Typer) -> None:
    def invoke(*words: str) -> tuple[int, str]:
        result = CliRunner().invoke(app, list(words))
        return result.exit_code, result.output

    assert invoke("a") == (0, "a 3 here\n")
    assert invoke("a", "--step-size", "5", "--to", "b") == (0, "a 5 b\n")
    assert invoke("a", "--step-size", "1")[0] == invoke()[0] == 2


def test_fit_s_help_names_every_option_and_its_default() -> None:
    output = " ".join(CliRunner().invoke(hptransfer, ["fit", "--help"]).output.split())
    for flag, default in (
        ("--scale COLUMN", "width"),
        ("--hp COLUMN", "lr"),
        ("--by COLUMN", "variant"),
        ("--level X", "0.95"),
        ("--tolerance X", "0.01"),
        ("--holdout K", "1"),
        ("--filter X", "1.35"),
        ("--draws B", "1000"),
        ("--limit N", "20"),
        ("--optimizer NAME", "adamw"),
        ("--family LAW", "by AICc"),
    ):
        said = output.partition(f" {flag} ")[2].partition(" --")[0]
        assert f"[default: {default}" in said
