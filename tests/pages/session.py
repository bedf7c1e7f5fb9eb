"""One page's blocks, run in order as a reader would, in one folder and one Python namespace."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from tests.pages import givens
from tests.pages.blocks import ROOT, Block, same_output
from typer.testing import CliRunner

from hptransfer.cli import app
from hptransfer.errors import HPTransferError
from hptransfer.parametrization.custom import rule_from
from hptransfer.study.spec import parse_study

SHELL = {"", "bash", "sh", "shell"}
MOST_S = 900  # of a block
# A command of ours that no shell would change: its words are those that `shlex` finds.
_PLAIN = re.compile(r"\s*hptransfer ([^|&;<>$`*#\n]*?)\s*(?:#[^\n]*)?")
_SPEC = {"name": "page", "variants": ["sp"], "widths": [32, 64], "lr": {"low": 0.001, "high": 0.01}}


class BlockError(AssertionError):
    """A block does not run, or prints something else than its page says."""


@dataclass
class Session:
    """The state that a page's blocks share."""

    folder: Path
    names: dict[str, Any] = field(default_factory=dict)  # Python's
    printed: str = ""  # by the last block that ran

    def run(self, block: Block) -> None:
        """Runs a block.

        Raises:
            BlockError: it fails, or its output is not the one that its page shows.
        """
        if block.kind == "output":
            _compare(block, self.printed, block.text)
        elif block.kind.startswith("file "):
            self._file(block)
        elif block.language == "python":
            self._python(block)
        elif block.language in SHELL:
            self._shell(block)
        elif block.language == "console":
            self._transcript(block)
        elif block.language == "yaml":
            _check_yaml(block)
        elif block.language in ("bibtex", "text"):
            pass
        elif block.language == "json":
            json.loads(block.text)
        else:
            raise BlockError(f"{block}: no test knows the language {block.language!r}; say what it is")

    def _file(self, block: Block) -> None:
        (self.folder / block.kind.removeprefix("file ")).write_text(block.text)
        if block.language == "yaml":
            _check_yaml(block)
        elif block.language == "python":
            compile(block.text, str(block), "exec")

    def _python(self, block: Block) -> None:
        code = compile(block.text, str(block), "exec")
        givens.files(self.folder, block)
        givens.names(self.names, set(code.co_names), block)
        out = io.StringIO()
        with contextlib.chdir(self.folder), contextlib.redirect_stdout(out):
            exec(code, self.names)
        self.printed = out.getvalue()

    def _shell(self, block: Block) -> None:
        givens.files(self.folder, block)
        commands = block.text.replace("\\\n", " ").splitlines()
        plain = [_PLAIN.fullmatch(line) for line in commands if line.strip()]
        if all(plain):
            self.printed = "".join(self._command(block, line[1]) for line in plain if line)
        else:
            self.printed = self._bash(block, block.text)

    def _transcript(self, block: Block) -> None:
        """Lines after `$ ` are commands, `> ` goes on with one; the rest is what they print."""
        givens.files(self.folder, block)
        for command, expected in _steps(block.text):
            plain = _PLAIN.fullmatch(command.replace("\\\n", " "))
            self.printed = self._command(block, plain[1]) if plain else self._bash(block, command)
            _compare(block, self.printed, expected, command)

    def _command(self, block: Block, line: str) -> str:
        """A plain `hptransfer ...`, in this process: to start another for each takes most of the time."""
        with contextlib.chdir(self.folder):
            done = CliRunner().invoke(app, shlex.split(line), env=_environment(self.folder))
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise BlockError(f"{block}: hptransfer {line}") from done.exception
        return _ended(block, line, done.exit_code, done.output)

    def _bash(self, block: Block, text: str) -> str:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", text],
            cwd=self.folder,
            env=_environment(self.folder),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=MOST_S,
        )
        return _ended(block, text, done.returncode, done.stdout)


def _ended(block: Block, text: str, code: int, output: str) -> str:
    wanted = int(block.kind.removeprefix("exit ")) if block.kind.startswith("exit ") else 0
    if code != wanted:
        raise BlockError(f"{block} ended with {code}, not {wanted}:\n{text}\n{output}")
    return output


def _steps(text: str) -> Iterator[tuple[str, str]]:
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        lines = part.split("\n")
        count = 1
        while count < len(lines) and (lines[count - 1].endswith("\\") or lines[count].startswith("> ")):
            count += 1
        yield "\n".join(line.removeprefix("> ") for line in lines[:count]), "\n".join(lines[count:])


def _compare(block: Block, printed: str, expected: str, command: str = "") -> None:
    if not same_output(printed, expected):
        raise BlockError(f"{block} shows\n{command}\n{expected}\nbut what is printed is\n{printed}")


def _environment(folder: Path) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("HPTRANSFER_", "PYTEST"))}
    path = os.pathsep.join([str(Path(sys.executable).parent), kept["PATH"]])
    more = {
        "PYTHONPATH": f"{ROOT / 'src'}",
        "COLUMNS": "80",
        "NO_COLOR": "1",
        "MPLBACKEND": "agg",
        "WANDB_MODE": "offline",
    }
    return {
        **kept,
        **more,
        "PATH": path,
        "OMP_NUM_THREADS": "1",
        "HPTRANSFER_CACHE": str(folder.parent / "cache"),
    }


def _check_yaml(block: Block) -> None:
    """A study's spec, a part of one, or a rule."""
    data = yaml.safe_load(block.text)
    if data is None:  # a comment
        return
    try:
        if "roles" in data:
            rule_from(data)
        else:
            parse_study(data if "name" in data else {**_SPEC, **data})
    except HPTransferError as error:
        raise BlockError(f"{block}: {error}") from None
