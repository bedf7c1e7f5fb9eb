"""The page in a real browser: nothing fetched, nothing broken, everything drawn, at every size."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.dynamics.studies import simulated

from hptransfer.dynamics.study import StudyDynamics
from hptransfer.fit import TransferFit
from hptransfer.report.page import write_html

pytestmark = pytest.mark.browser

PATIENCE = 120_000  # milliseconds; a busy machine is no failure

ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@dataclass
class Visit:
    """A page that was opened, and everything that went wrong while it was."""

    page: Any
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api")
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("no chromium on the path")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=list(ARGUMENTS))
        yield browser
        browser.close()


@pytest.fixture
def visit(browser: Any, tmp_path: Path) -> Iterator[Callable[..., Visit]]:
    pages = []

    def open_page(fit: TransferFit, width: int = 1280, study: StudyDynamics | None = None) -> Visit:
        path = tmp_path / "report.html"
        write_html(fit, path, study=study)
        page = browser.new_page(viewport={"width": width, "height": 900})
        pages.append(page)
        seen = Visit(page)
        page.on("console", lambda message: seen.errors.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: seen.errors.append(str(error)))
        page.on("request", lambda request: seen.requests.append(request.url))
        page.goto(path.as_uri(), timeout=PATIENCE)
        every = "[...document.querySelectorAll('.plot')].every(plot => plot.querySelector('svg.main-svg'))"
        while not page.evaluate(every):  # drawn a little at a time; pytest's own patience is the limit
            page.wait_for_timeout(100)
        return seen

    yield open_page
    for page in pages:
        page.close()


def _hover(page: Any, plot: str, dot: int = 0) -> Any:
    """The label of a dot, which the mouse moves onto again until plotly, busy drawing at first, shows it."""
    point = page.locator(f"{plot} .scatterlayer .points path").nth(dot)
    label = page.locator(f"{plot} .hoverlayer .hovertext").first
    for tries in range(PATIENCE // 250):
        point.scroll_into_view_if_needed(timeout=PATIENCE)
        box = point.bounding_box()  # anew, since what is drawn above moves it
        aside = 1.0 if tries % 2 else 0.0  # plotly looks again only where the mouse has moved
        page.mouse.move(box["x"] + box["width"] / 2 + aside, box["y"] + box["height"] / 2)
        page.wait_for_timeout(250)
        if label.is_visible():
            break
    return label


def _assert_clean(seen: Visit) -> None:
    assert seen.errors == []
    assert all(url.startswith(("file:", "data:", "blob:")) for url in seen.requests), seen.requests


def _drawn(page: Any) -> list[int]:
    """Marks in each plot that has an svg; a plot without one counts as -1."""
    return list(
        page.evaluate(
            """[...document.querySelectorAll('.plot')].map(plot => plot.querySelector('svg.main-svg')
            ? plot.querySelectorAll('.scatterlayer .points path, .scatterlayer .js-line').length : -1)"""
        )
    )


def test_opens_offline_and_draws_every_figure(
    visit: Callable[..., Visit], fit: TransferFit, tmp_path: Path
) -> None:
    seen = visit(fit)
    marks = _drawn(seen.page)
    assert len(marks) == 10  # the phase diagram, and three figures of three panels
    assert min(marks) >= 3
    seen.page.screenshot(path=tmp_path / "report.png", full_page=True, timeout=PATIENCE)
    assert (tmp_path / "report.png").stat().st_size > 50_000
    assert len(seen.requests) <= 2  # the file itself, and its empty icon
    _assert_clean(seen)


def test_hovering_a_run_shows_it_and_zooming_moves_all_panels(
    visit: Callable[..., Visit], fit: TransferFit
) -> None:
    page = (seen := visit(fit)).page
    label = _hover(page, ".plot[data-figure=basins]", dot=4)
    assert "width" in label.text_content()
    assert "loss" in label.text_content()
    ranges = (
        "[...document.querySelectorAll('.plot[data-figure=basins]')].map(p => p.layout.xaxis.range.join())"
    )
    before = page.evaluate(ranges)
    ticks = "[...document.querySelectorAll('.plot[data-figure=basins] .xtick text')].map(t => t.textContent)"
    assert page.evaluate(f"{ticks}.length > 3 && {ticks}.every(t => /^2\\W*\\d+\\W*$/.test(t))"), (
        "whole powers"
    )
    page.evaluate(
        "Plotly.relayout(document.querySelector('.plot[data-figure=basins]'), {'xaxis.range': [-9, -5]})"
    )
    page.wait_for_function(f"new Set({ranges}).size === 1 && ({ranges})[2] === '-9,-5'", timeout=PATIENCE)
    assert before != page.evaluate(ranges)
    _assert_clean(seen)


@pytest.mark.parametrize("width", [390, 1280])
def test_no_sideways_scrolling(visit: Callable[..., Visit], fit: TransferFit, width: int) -> None:
    page = visit(fit, width).page
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    outside = page.evaluate(
        """[...document.querySelectorAll('.plot svg.main-svg')].filter(
            svg => svg.getBoundingClientRect().right > innerWidth).length"""
    )
    assert outside == 0


def test_paper_gets_panels_that_fit_it(visit: Callable[..., Visit], fit: TransferFit) -> None:
    page = (seen := visit(fit)).page
    widths = "[...document.querySelectorAll('.plot svg.main-svg')].map(s => s.getBoundingClientRect().width)"
    screen = page.evaluate(widths)
    page.evaluate(f"addEventListener('beforeprint', () => {{ window.paper = {widths}; }})")
    assert len(page.pdf(format="A4")) > 50_000
    assert set(page.evaluate("window.paper")) == {330, 640}  # panels side by side, and one alone
    page.wait_for_function(f"({widths})[0] === {screen[0]}", timeout=PATIENCE)
    _assert_clean(seen)


def test_names_are_never_run_as_code(
    visit: Callable[..., Visit], make_fit: Callable[..., TransferFit]
) -> None:
    seen = visit(make_fit(("<script>window.bad = 1</script>", "<img src=x onerror='window.bad = 1'>")))
    assert seen.page.evaluate("typeof window.bad") == "undefined"
    assert "<script>window.bad = 1</script>" in (seen.page.locator("body").inner_text())
    _assert_clean(seen)


@pytest.mark.parametrize("name", ["thin_fit", "lost_scale_fit"])
def test_poor_data_is_no_error(
    visit: Callable[..., Visit], name: str, request: pytest.FixtureRequest
) -> None:
    seen = visit(request.getfixturevalue(name))
    assert min(_drawn(seen.page)) >= 0
    _assert_clean(seen)


def test_the_dynamics_section_filters_chooses_and_hovers(
    visit: Callable[..., Visit], make_fit: Callable[..., TransferFit]
) -> None:
    names = ("sp wd=0", "sp wd=0.01", "mup wd=0", "mup wd=0.01")
    study = simulated(variants=dict.fromkeys(names, 0.0))
    page = (seen := visit(make_fit(names), study=study)).page
    shown = "document.querySelector('.plot[data-figure=phase]').data.filter(t => t.visible !== false).length"
    panels = "[...document.querySelectorAll('.panel[data-variant]')].filter(p => !p.hidden).length"
    every = page.evaluate(panels)
    assert page.evaluate(shown) == 4
    page.select_option("form[data-filters=phase] select[name=decay]", "0.01")
    page.wait_for_function(f"{shown} === 2", timeout=PATIENCE)
    assert page.evaluate(panels) == every // 2
    rows = "[...document.querySelectorAll('tbody tr[data-variant]')].filter(r => r.checkVisibility())"
    assert page.evaluate(f"{rows}.every(r => r.dataset.variant.endsWith('wd=0.01'))")
    page.select_option("form[data-filters=phase] select[name=decay]", "")
    page.wait_for_function(f"{shown} === 4", timeout=PATIENCE)
    assert "wd=" in _hover(page, ".plot[data-figure=phase]").text_content()
    heat = "document.querySelector('.plot[data-figure=heat]').data[0].customdata[0][0]"
    before = page.evaluate(heat)
    page.select_option("form[data-for=heat] select[name=probe]", label="attention logit max")
    page.wait_for_function(f"{heat} !== {before}", timeout=PATIENCE)
    _assert_clean(seen)
