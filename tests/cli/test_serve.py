from __future__ import annotations

import re
import signal
import subprocess
import sys
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from typing import Any


def test_serve_answers_until_it_is_interrupted(first: Path) -> None:
    command = [sys.executable, "-u", "-m", "hptransfer", "serve", str(first), "--port", "0"]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with (
        # A shell's background jobs ignore Ctrl-C; the server must not inherit that from the tests.
        subprocess.Popen(
            command, **pipes, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)
        ) as server,
        ExitStack() as cleanup,
    ):
        cleanup.callback(server.kill)  # where an assertion fails, do not wait for it
        assert server.stdout is not None
        line = server.stdout.readline()
        found = re.fullmatch(rf"Serving {re.escape(str(first))} on (http://127\.0\.0\.1:\d+/); .*\n", line)
        assert found is not None
        with urllib.request.urlopen(found[1], timeout=60) as answer:
            assert "<title>first</title>" in answer.read().decode()
        with urllib.request.urlopen(found[1] + "state", timeout=60) as answer:
            assert '"state": "ended"' in answer.read().decode()
        server.send_signal(signal.SIGINT)
        rest, errors = server.communicate(timeout=60)
    assert (server.returncode, rest, errors) == (0, "The server has ended.\n", "")
