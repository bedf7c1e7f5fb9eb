from __future__ import annotations

import http.client
import json
import shutil
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from hptransfer.study import store_integrity
from hptransfer.study.run import StudyResult
from hptransfer.study.serve import HOST, StudyServer, policy


@pytest.fixture(scope="module")
def server(undisturbed: StudyResult) -> Iterator[StudyServer]:
    server = StudyServer(undisturbed.folder)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def ask(
    server: StudyServer, path: str = "/", method: str = "GET", host: str | None = None
) -> tuple[int, dict[str, str], str]:
    connection = http.client.HTTPConnection(HOST, server.server_address[1], timeout=300)
    headers = {} if host is None else {"Host": host}
    connection.request(method, path, headers=headers)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, {k.lower(): v for k, v in answer.getheaders()}, text


def test_it_listens_on_this_machine_alone(server: StudyServer) -> None:
    assert server.server_address[0] == "127.0.0.1"
    assert server.url == f"http://127.0.0.1:{server.server_address[1]}/"


def test_front_page_state_and_report(server: StudyServer, undisturbed: StudyResult) -> None:
    status, headers, text = ask(server)
    assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "<title>small</title>" in text
    state = json.loads(ask(server, "/state")[2])
    assert state["variants"] == ["sp", "mup"]
    assert state["version"] == str(len(undisturbed.rows))
    status, headers, report = ask(server, "/report")
    assert status == 200
    assert "Study small" in report


def test_nothing_but_get_of_its_pages(server: StudyServer) -> None:
    for path in ("/study.sqlite", "/../study.sqlite", "/%2e%2e/etc/passwd", "/report?x=1", "/<script>"):
        status, headers, text = ask(server, path)
        assert (status, text) == (404, "no such page\n")
    for method in ("POST", "PUT", "DELETE", "OPTIONS", "HEAD", "TRACE"):
        status, headers, text = ask(server, method=method)
        assert status == 501
        assert "access-control-allow-origin" not in headers


def test_a_name_of_another_host_is_refused(server: StudyServer) -> None:
    port = server.server_address[1]
    for host in ("evil.example", f"evil.example:{port}", f"127.0.0.1.evil.example:{port}", "127.0.0.1", ""):
        status, _, text = ask(server, host=host)
        assert (status, text) == (421, "localhost only\n")
    assert ask(server, host=f"localhost:{port}")[0] == 200


def test_every_answer_says_what_a_browser_may_do(server: StudyServer) -> None:
    for path in ("/", "/state", "/report", "/nothing"):
        headers = ask(server, path)[1]
        rules = headers["content-security-policy"]
        assert "default-src 'none'" in rules
        assert "'unsafe-inline'" not in rules.partition("script-src")[2].partition(";")[0]
        assert "frame-ancestors 'self'" in rules
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
        assert "python" not in headers["server"].lower()


def test_scripts_run_by_their_hash_alone() -> None:
    assert "script-src 'none'" in policy("<p>no script</p>")
    empty = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="  # sha256 of nothing, base64
    assert f"script-src 'sha256-{empty}';" in policy("<script></script>")
    assert policy("<script>a()</script>") != policy("<script>b()</script>")
    assert policy("<script>a()</script><script>a()</script>").count("sha256-") == 2


@pytest.mark.browser
def test_in_a_browser_progress_and_report_are_shown_and_nothing_is_refused(server: StudyServer) -> None:
    playwright = pytest.importorskip("playwright.sync_api")
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("no chromium on the path")
    errors: list[str] = []
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=chromium,
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        page = browser.new_page()
        page.on("console", lambda message: errors.append(message.text))
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(server.url, timeout=300_000)
        page.frame_locator("#report").locator(".plot svg.main-svg").first.wait_for(timeout=300_000)
        assert page.locator("#cells tr").count() == 2
        assert "runs" in (page.locator("#summary").text_content() or "")
        browser.close()
    assert errors == []


def test_names_from_the_study_are_escaped(undisturbed: StudyResult, tmp_path: Path) -> None:
    shutil.copy(undisturbed.folder / "study.sqlite", tmp_path / "study.sqlite")
    # Written past the spec's own checks, as a store from elsewhere might be.
    spec = undisturbed.spec.model_dump(mode="json") | {"variants": ["</script><script>bad()</script>"]}
    with closing(sqlite3.connect(tmp_path / "study.sqlite")) as db, db:
        db.execute("UPDATE meta SET value = ? WHERE key = 'spec'", (json.dumps(spec),))
        store_integrity.add_checksums(db)
        db.execute(store_integrity.SEAL_SPEC)
    with pytest.raises(Exception, match="variants"):
        StudyServer(tmp_path)
    server = StudyServer(undisturbed.folder)
    try:
        seen = server.pages.state()
        seen["variants"] = ["</script><script>bad()</script>"]
        server.pages.state = lambda: seen  # type: ignore[method-assign]
        html = server.pages.front()
    finally:
        server.server_close()
    assert "<script>bad()" not in html
    assert html.count("<script>") == 1
