"""The report of a running study, on this machine alone, in a browser.

Three fixed pages, by GET: `/` (progress, with the report in a frame), `/report`, `/state` (JSON). The server
listens on 127.0.0.1. A request that names another host is refused, so that a web page elsewhere cannot reach
it by a name of its own that resolves here (DNS rebinding). Everything from the study is escaped, and scripts
run only if their hash stands in the page's Content-Security-Policy.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import sys
import threading
from collections.abc import Callable
from html import escape
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

from hptransfer.errors import HPTransferError
from hptransfer.files import printable
from hptransfer.study.progress import Snapshot
from hptransfer.study.progress_file import Watcher
from hptransfer.study.progress_text import cell_text, running_stacks, summary
from hptransfer.study.run import fit_study, load_result

HOST = "127.0.0.1"  # and no other: the study is nobody else's
_SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)
_COMMON = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class StudyServer(ThreadingHTTPServer):
    """Serves one study's pages; port 0 takes a free one.

    Raises:
        StoreError: there is no study in the folder.
        OSError: the port is taken.
    """

    daemon_threads = True

    def __init__(self, folder: Path, port: int = 0) -> None:
        self.pages = Pages(folder)
        super().__init__((HOST, port), Handler)

    def handle_error(self, *_: object) -> None:
        """One line, and none for a client that leaves early; no request ends the server."""
        error = sys.exc_info()[1]
        if not isinstance(error, ConnectionError | TimeoutError):
            print(f"error: {type(error).__name__}: {printable(str(error))}", file=sys.stderr)

    @property
    def url(self) -> str:
        """Where the pages are."""
        return f"http://{HOST}:{self.server_address[1]}/"


class Pages:
    """Makes the pages of a study; the report is made again where runs have finished since."""

    def __init__(self, folder: Path) -> None:
        self._watcher = Watcher(folder)
        self._folder = folder
        self._lock = threading.Lock()  # one fit at a time
        self._report = ("", "")  # what it was made of, and its HTML

    def state(self) -> dict[str, Any]:
        """Progress as text, and what the report would be made of."""
        with self._lock:
            seen = self._watcher.read()
        variants, sizes = list(seen.spec.variants_with_decay()), seen.spec.sizes
        return {
            "name": seen.spec.name,
            "state": seen.state,
            "summary": summary(seen),
            "running": running_stacks(seen),
            "variants": variants,
            "sizes": [str(size) for size in sizes],
            "cells": [[cell_text(seen.cells[variant, size]) for size in sizes] for variant in variants],
            "version": _version(seen),
        }

    def front(self) -> str:
        """The page with progress and the report's frame."""
        state = self.state()
        data = json.dumps(state).replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
        text = files("hptransfer.study").joinpath("assets", "serve.html").read_text(encoding="utf-8")
        return Template(text).substitute(name=escape(state["name"]), state=data)

    def report(self) -> str:
        """The study's report, or a line that says why there is none yet."""
        from hptransfer.fit_axes import AxesTransferFit
        from hptransfer.report.axes_page import axes_page
        from hptransfer.report.page import page

        with self._lock:
            version = _version(self._watcher.read())
            if self._report[0] != version:
                try:
                    result = load_result(self._folder)
                    fit, title = fit_study(result), f"Study {result.spec.name}"
                    if isinstance(fit, AxesTransferFit):
                        html = axes_page(fit, title=title)
                    else:
                        html = page(fit, title=title)
                except HPTransferError as error:
                    html = f"<!DOCTYPE html><title>No report yet</title><p>{escape(str(error))}</p>"
                self._report = (version, html)
            return self._report[1]


class Handler(BaseHTTPRequestHandler):
    """Answers GET of the fixed paths, and nothing else."""

    server: StudyServer
    server_version = "hptransfer"
    sys_version = ""
    protocol_version = "HTTP/1.1"
    timeout = 30

    def do_GET(self) -> None:
        """One of the pages."""
        if not self._own_host():
            self._answer(HTTPStatus.MISDIRECTED_REQUEST, "text/plain", "localhost only\n")
            return
        pages = self.server.pages
        makers: dict[str, tuple[str, Callable[[], str]]] = {
            "/": ("text/html", pages.front),
            "/report": ("text/html", pages.report),
            "/state": ("application/json", lambda: json.dumps(pages.state())),
        }
        if self.path not in makers:
            self._answer(HTTPStatus.NOT_FOUND, "text/plain", "no such page\n")
            return
        kind, make = makers[self.path]
        try:
            self._answer(HTTPStatus.OK, kind, make())
        except HPTransferError as error:
            self._answer(HTTPStatus.SERVICE_UNAVAILABLE, "text/plain", f"{printable(str(error))}\n")

    def send_error(self, code: int, *_: object, **__: object) -> None:
        """Refuse a request without repeating anything of it."""
        self.close_connection = True
        self._answer(HTTPStatus(code), "text/plain", f"{HTTPStatus(code).phrase}\n")

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: requests are no news."""

    def _own_host(self) -> bool:
        port = self.server.server_address[1]
        return self.headers.get_all("Host") in [[f"{name}:{port}"] for name in (HOST, "localhost")]

    def _answer(self, status: HTTPStatus, kind: str, text: str) -> None:
        body = text.encode(errors="replace")
        self.send_response(status)
        headers = {
            "Content-Type": f"{kind}; charset=utf-8",
            "Content-Length": str(len(body)),
            "Content-Security-Policy": policy(text if kind == "text/html" else ""),
            **_COMMON,
        }
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


def policy(html: str) -> str:
    """Content-Security-Policy of a page: nothing from elsewhere, and the page's own scripts by their hash."""
    hashes = [
        f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
        for script in _SCRIPT.findall(html)
    ]
    scripts = " ".join(hashes) if hashes else "'none'"
    return (
        f"default-src 'none'; script-src {scripts}; style-src 'unsafe-inline'; img-src data: blob:; "
        "connect-src 'self'; frame-src 'self'; frame-ancestors 'self'; base-uri 'none'; form-action 'none'"
    )


def _version(seen: Snapshot) -> str:
    return f"{seen.total('done')}"
