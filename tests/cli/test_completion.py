from __future__ import annotations

import os
import subprocess
import sys

import pytest

ANSWERS = {"bash": "complete_bash", "zsh": "complete_zsh", "fish": "complete_fish"}


def run(*arguments: str, **environment: str) -> str:
    command = [sys.executable, "-m", "hptransfer", *arguments]
    done = subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, check=True
    )
    return done.stdout


@pytest.mark.parametrize("shell", ANSWERS)
def test_a_shell_completes_commands_and_options(shell: str) -> None:
    def completions(line: str) -> str:
        asked = {"_HPTRANSFER_COMPLETE": ANSWERS[shell], "_TYPER_COMPLETE_ARGS": line}
        asked |= {"_TYPER_COMPLETE_FISH_ACTION": "get-args", "COMP_WORDS": line}
        return run(**asked, COMP_CWORD=str(len(line.split(" ")) - 1))

    assert "example" in completions("hptransfer ex")
    assert "--target" in completions("hptransfer report --t")


def test_its_script_is_shown() -> None:
    told = run("--show-completion", "bash", _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1")
    assert "_HPTRANSFER_COMPLETE=complete_bash" in told
