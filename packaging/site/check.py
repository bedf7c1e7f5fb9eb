"""Checks the built site in a real browser: accessibility, width of a phone, and what a new user searches for.

    python packaging/site/check.py site [--pages how-to/] [--pictures FOLDER]

Exit code 1 where something is wrong; every fault is a line.
"""

from __future__ import annotations

import argparse
import functools
import http.server
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain, product
from pathlib import Path
from typing import Any

import yaml
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

SIZES = {"desktop": (1280, 900), "phone": (390, 844)}
SCHEMES = ("light", "dark")
PAUSE, PATIENCE = 1500, 60_000  # milliseconds: results that stay for one are those; the longest wait
BEST = 5  # results of a search among which the answer must be
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
TASKS = yaml.safe_load((Path(__file__).parent / "tasks.yaml").read_text(encoding="utf-8"))


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Says nothing of what is asked for."""


@contextmanager
def served(site: Path) -> Iterator[str]:
    """The address at which the folder is served while the block runs."""
    handler = functools.partial(_Quiet, directory=str(site))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()


def addresses(site: Path, part: str) -> list[str]:
    """Every page of the site, also the reports that stand in it as files, whose address has this part."""
    found = (path.relative_to(site).as_posix() for path in site.rglob("*.html") if path.name != "404.html")
    return sorted(name.removesuffix("index.html") for name in found if part in name)


def faults_of(page: Page, rules: Axe) -> list[str]:
    """The rules of axe that the open page breaks, with an element for each, and whether it is too wide."""
    broken = rules.run(page).response["violations"]
    faults = [f"{rule['id']} at {len(rule['nodes'])}: {_first(rule['nodes'])}" for rule in broken]
    wide, width = page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
    return faults + ([f"{wide} pixels wide on a screen of {width}"] if wide > width else [])


def _first(nodes: list[Any]) -> str:
    """The first element that breaks a rule, and why."""
    html, why = (" ".join(nodes[0].get(key, "").split()) for key in ("html", "failureSummary"))
    return f"{html[:140]} ({why.removeprefix('Fix any of the following: ')[:180]})"


def check_pages(browser: Browser, root: str, pages: list[str], pictures: Path | None) -> Iterator[str]:
    """Faults of every page at each size and in each scheme."""
    rules = Axe()
    for (size, (width, height)), scheme in product(SIZES.items(), SCHEMES):
        context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
        page = context.new_page()
        for name in pages:
            answer = page.goto(root + name, wait_until="load")
            if answer is None or not answer.ok:
                yield f"/{name} is not served"
            yield from (f"/{name} ({size}, {scheme}): {fault}" for fault in faults_of(page, rules))
            if pictures:
                words = name.strip("/").removesuffix(".html").replace("/", "-")
                file = f"{words or 'home'}-{size}-{scheme}.png"
                page.screenshot(path=pictures / file, full_page=True)
        context.close()


def check_tasks(browser: Browser, root: str) -> Iterator[str]:
    """Faults of the search: a task whose page is not among the first results, or does not hold the answer."""
    page = browser.new_page()
    for task in TASKS:
        wanted = task["page"].removesuffix(".md").removesuffix("index") + "/"
        found = results(page, root, task["search"])
        if wanted not in found[:BEST]:
            yield f"search for {task['search']!r}: {wanted} is not among {found[:BEST]}"
            continue
        page.goto(root + wanted)
        if task["answer"] not in page.inner_text("article"):
            yield f"search for {task['search']!r}: {wanted} does not say {task['answer']!r}"


def results(page: Page, root: str, words: str) -> list[str]:
    """Pages that the site's own search lists for these words, best first."""
    page.goto(root)
    page.keyboard.press("s")
    page.locator("[data-md-component=search-query]").press_sequentially(words)
    links, before = page.locator(".md-search-result__item > a"), None
    for _ in range(PATIENCE // PAUSE):
        page.wait_for_timeout(PAUSE)
        hrefs: list[str] = links.evaluate_all("links => links.map(link => link.href)")
        if hrefs and hrefs == before:
            break
        before = hrefs
    return list(dict.fromkeys(h.removeprefix(root).split("?")[0].split("#")[0] for h in before or []))


def main() -> None:
    """Reads the arguments, checks, prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("site", type=Path)
    parser.add_argument("--pages", default="", help="only pages whose address has this in it")
    parser.add_argument("--pictures", type=Path, help="folder for a picture of every page")
    options = parser.parse_args()
    if options.pictures:
        options.pictures.mkdir(parents=True, exist_ok=True)
    executable = next(filter(None, map(shutil.which, BROWSERS)), None)
    pages, faults = addresses(options.site, options.pages), 0
    with sync_playwright() as playwright, served(options.site) as root:
        browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        searches = iter(()) if options.pages else check_tasks(browser, root)
        for fault in chain(searches, check_pages(browser, root, pages, options.pictures)):
            faults += 1
            print(fault, flush=True)
        browser.close()
    print(f"{len(pages)} pages, {0 if options.pages else len(TASKS)} searches, {faults} faults")
    raise SystemExit(faults > 0)


if __name__ == "__main__":
    main()
