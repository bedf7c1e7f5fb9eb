"""Every kind of report keeps axe's rules of accessibility in a real browser, on a screen and on a phone."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from joint_sweeps import two_hps
from surfaces import FOUR, sweep_of
from tests.dynamics.studies import simulated

import hptransfer as hpt
from hptransfer.fit import TransferFit
from hptransfer.joint import quantify_joint
from hptransfer.report.page import page

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api")
    pytest.importorskip("axe_playwright_python")
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("no chromium on the path")
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield opened
        opened.close()


def _report(kind: str, fit: TransferFit) -> str:
    if kind == "one axis":
        return page(fit)
    if kind == "probes":
        return page(fit, study=simulated(variants=dict.fromkeys(fit.variants, 0.0)))
    if kind == "several hyperparameters":
        joint = quantify_joint(two_hps(), combinations=["lr/batch_size"], targets=[4096], draws=100)
        return joint.to_html()
    sweep = sweep_of(FOUR)
    return hpt.quantify(
        sweep, scale=["params", "tokens"], targets=["params=3e9,tokens=20x"], draws=100
    ).to_html()


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("kind", ["one axis", "probes", "several axes", "several hyperparameters"])
def test_a_report_is_accessible(
    browser: Any, fit: TransferFit, tmp_path: Path, kind: str, width: int
) -> None:
    from axe_playwright_python.sync_playwright import Axe

    path = tmp_path / "report.html"
    path.write_text(_report(kind, fit), encoding="utf-8")
    opened = browser.new_page(viewport={"width": width, "height": 900})
    opened.goto(path.as_uri(), timeout=120_000)
    broken = Axe().run(opened).response["violations"]
    opened.close()
    assert not [(rule["id"], [node["html"][:200] for node in rule["nodes"]]) for rule in broken]
