from __future__ import annotations

import typer.main
from click import Group
from tests.cli.study_commands import invoke

from hptransfer.cli import app


def test_arguments_stand_in_help_by_their_names() -> None:
    code, output = invoke("runs", "export", "--help")
    assert code == 0
    assert "hptransfer runs export [OPTIONS] DIR...\n" in output.replace("Usage: root", "Usage: hptransfer")
    assert "list[" not in output
    assert "<path>" not in invoke("report", "--help")[1]
    assert "[OPTIONS] [NAME]\n" in invoke("example", "--help")[1]


def test_no_command_s_summary_is_cut() -> None:
    group = typer.main.get_command(app)
    for name, command in {**group.commands, **group.commands["runs"].commands}.items():
        short = command.get_short_help_str(64)
        assert not short.endswith("..."), f"{name}: {short}"
        assert not isinstance(command, Group) or short
