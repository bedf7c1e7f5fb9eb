"""The dynamics section and the phase diagram: what they hold, before a browser draws them."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from tests.dynamics.studies import LRS, WIDTHS, simulated

from hptransfer.dynamics.spikes import Spike
from hptransfer.dynamics.study import StudyDynamics
from hptransfer.dynamics.trends import trends
from hptransfer.fit import TransferFit
from hptransfer.quantify.result import Estimate
from hptransfer.report import dynamics_plotly, page_dynamics, phase_diagram, table_data
from hptransfer.report import number_format as fmt
from hptransfer.report.dynamics_charts import POINTS, curve
from hptransfer.report.page import page


def spiky() -> StudyDynamics:
    study = simulated(0.1)
    spike = (Spike(100, 102, 1.25, 6),)
    hit = {run.run for run in study.runs if run.variant == "sp" and run.hp == LRS[-1]}
    runs = tuple(replace(run, known_spikes=spike if run.run in hit else ()) for run in study.runs)
    return replace(study, runs=runs)


def test_the_table_counts_spikes_and_raggedness() -> None:
    table = page_dynamics.spike_table(spiky())
    rows = {row[0]: row for row in table.rows}
    assert rows["sp"][1:8] == (60.0, "0", "10", "10", "0", "1.25", "6")
    assert rows["sp+embd"][3:8] == ("0", "0", "0", fmt.MISSING, fmt.MISSING)
    assert rows["sp"][8].value == pytest.approx(0, abs=1e-9)


def test_the_table_counts_spikes_of_the_gradient() -> None:
    study = simulated()
    run, *others = study.runs
    values = np.tile(run.probes.values[:1], (30, 1))
    values[20, [row[2] for row in run.probes.rows].index("grad_norm")] *= 8
    run = replace(run, probes=replace(run.probes, steps=tuple(range(30)), values=values))
    table = page_dynamics.spike_table(replace(study, runs=(run, *others)))
    assert {row[0]: row[5] for row in table.rows} == {"sp": "1", "sp+embd": "0"}


def test_an_interval_of_a_mean_is_student_s() -> None:
    found = page_dynamics.mean_interval([1.0, 2.0, 3.0])
    assert (found.value, found.low) == (2.0, pytest.approx(2 - 4.303 / math.sqrt(3), abs=1e-3))
    assert page_dynamics.mean_interval([1.0]) == Estimate(1.0)
    assert page_dynamics.mean_interval([]).value is None


def test_curves_have_a_panel_a_variant_and_scale_with_spikes_marked() -> None:
    panels = dynamics_plotly.curves(spiky(), ["sp", "sp+embd"], list(WIDTHS))
    assert set(panels) == {f"{i}|{j}" for i in range(2) for j in range(5)}
    lines = [t for t in panels["0|4"]["data"] if t["mode"] == "lines"]
    assert len(lines) == len(LRS)
    (marks,) = [t for t in panels["0|4"]["data"] if t["mode"] == "markers"]
    assert marks["x"] == [102]
    assert "height 1.25 nats" in marks["text"][0]
    assert all(t["mode"] == "lines" for t in panels["1|4"]["data"])


def test_thinning_keeps_the_top_of_a_spike() -> None:
    run = simulated().runs[0]
    losses = [4.0] * 1000
    losses[777] = 9.0
    steps, kept = curve(replace(run, steps=tuple(range(1000)), curve=tuple(losses)))
    assert len(steps) == POINTS
    assert kept[steps.index(777)] == 9.0


def test_the_heat_map_is_of_the_best_run() -> None:
    study = simulated()
    panels, names = dynamics_plotly.heat(study, ["sp"], list(WIDTHS))
    (data,) = panels[f"0|0|{names.index('relative_update')}"]["data"]
    assert data["y"] == ["token_embedding", "blocks.0.qkv", "blocks.1.qkv"]
    assert data["customdata"][1] == pytest.approx([2.0**-5] * 4)  # the learning rate of the lowest loss
    assert data["z"][1] == pytest.approx([-5.0] * 4)


def test_the_forest_holds_every_exponent() -> None:
    found = trends(simulated())
    panels, names = dynamics_plotly.forest(found, ["sp", "sp+embd"])
    (data,) = panels[str(names.index("relative_update"))]["data"]
    assert data["x"] == pytest.approx([-1, 0, 0, 0], abs=1e-6)
    assert "embedding: sp<br>-1.00 [-1.00, -1.00]" in data["text"][0]


def test_the_critical_lr_stands_beside_the_one_in_use() -> None:
    panels = dynamics_plotly.critical(simulated(), ["sp"], list(WIDTHS))
    assert [t["line"]["dash"] for t in panels["0"]["data"]] == ["solid", "dash"] * 5
    assert panels["0"]["data"][0]["y"] == [0.1] * 4


def test_edges_stand_with_their_hold_out_check() -> None:
    table = page_dynamics.edge_table(simulated(0.05), [1024.0])
    cells = [row for row in table.rows if row[0] == "sp" and row[1].startswith("attention logit max")]
    assert [row[2] for row in cells] == [128.0, 1024.0]
    assert cells[0][6] in ("11 of 12", "12 of 12", "10 of 12")
    assert cells[1][4] == ""


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


def test_the_phase_diagram_has_a_trace_a_variant(make_fit: Callable[..., TransferFit]) -> None:
    names = ("sp wd=0", "sp wd=0.01", "mup wd=0", "mup wd=0.01")
    variants = list(make_fit(names).variants.values())
    (panel,) = phase_diagram.diagram(variants)
    assert [t["meta"]["rule"] for t in panel["data"]] == ["sp", "sp", "mup", "mup"]
    assert [t["meta"]["decay"] for t in panel["data"]] == ["0", "0.01", "0", "0.01"]
    first = panel["data"][0]
    assert first["x"] == [pytest.approx(math.log10(variants[0].metrics["E"].value))]
    assert first["error_y"]["array"][0] == pytest.approx(
        variants[0].metrics["kappa"].high - variants[0].metrics["kappa"].value
    )
    text = phase_diagram.section(variants)
    assert text.count("<select") == 2
    assert phase_diagram.section(variants[:1]) == ""


def test_papers_get_the_same_figures(fit: TransferFit) -> None:
    from matplotlib.figure import Figure

    from hptransfer.report import dynamics_matplotlib

    study = spiky()
    axes = Figure().subplots(5, 1)
    phase_diagram.draw_phase(axes[0], fit)
    dynamics_matplotlib.draw_curves(axes[1], study, "sp", 128.0)
    dynamics_matplotlib.draw_heat(axes[2], study, "sp", 128.0, "relative_update")
    dynamics_matplotlib.draw_forest(axes[3], trends(study), "relative_update")
    dynamics_matplotlib.draw_critical(axes[4], study, "sp")
    assert len(axes[1].lines) == len(LRS) + 1  # and the spike's mark
    assert axes[3].get_yticklabels()[0].get_text() == "embedding: sp"
    assert np.isfinite(axes[4].lines[0].get_ydata()).all()


def test_columns_are_defined() -> None:
    tables = (page_dynamics.spike_table(spiky()), page_dynamics.edge_table(simulated(), []))
    assert all(column.definition for table in tables for column in table.columns)
    assert isinstance(tables[0], table_data.Table)
