"""The page's dynamics section: which panels and choices it has."""

from __future__ import annotations

import json
import re
from dataclasses import replace

from tests.dynamics.studies import WIDTHS, simulated
from tests.report.studies import spiky

from hptransfer.fit import TransferFit
from hptransfer.report import page_dynamics
from hptransfer.report.page import page


def test_every_choice_has_its_panel() -> None:
    study = spiky()
    text, figures = page_dynamics.section(study, [1024.0])
    assert set(figures) == {"curves", "heat", "forest", "critical"}
    assert set(figures["curves"]) == {f"{i}|{j}" for i in range(2) for j in range(len(WIDTHS))}
    probes = text.split('data-for="heat"')[1].split("</form>")[0].split('name="probe"')[1].count("<option")
    assert set(figures["heat"]) == {
        f"{i}|{j}|{k}" for i in range(2) for j in range(len(WIDTHS)) for k in range(probes)
    }
    assert '<option value="4" selected>128</option>' in text  # the largest scale first
    assert " selected>relative update</option>" in text
    assert "Where instability begins" in text


def test_every_column_head_leads_to_its_definition(fit: TransferFit) -> None:
    text = page(fit, study=spiky())
    links = set(re.findall(r'<a href="#([^"]+)"', text))
    assert {"d-raggedness", "d-held-out", "d-with-spikes"} <= links
    assert links <= set(re.findall(r' id="([^"]+)"', text))


def test_a_study_without_probes_has_curves_alone() -> None:
    study = simulated()
    bare = replace(study, runs=tuple(replace(run, probes=None) for run in study.runs))
    text, figures = page_dynamics.section(bare)
    assert set(figures) == {"curves"}
    assert "Inside a run" not in text


def test_the_page_holds_the_section_escaped(fit: TransferFit) -> None:
    study = simulated(variants={"<b>x</b>": 0.0, "sp": -1.0})
    text = page(fit, study=study)
    assert "<b>x</b>" not in text.split("<script")[0]
    data = text.split('id="figures">')[1].split("</script>")[0]
    figures = json.loads(data)
    assert {"phase", "curves", "heat", "forest", "critical"} <= set(figures)
    assert "Where each variant stands" in text
