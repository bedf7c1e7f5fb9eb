"""What the dynamics section's figures hold, before a back end draws them."""

from dataclasses import replace

import numpy as np
import pytest
from tests.dynamics.studies import LRS, simulated
from tests.report.studies import spiky

from hptransfer.dynamics.trends import trends
from hptransfer.errors import DynamicsError
from hptransfer.report import charts, dynamics_charts


def test_a_line_a_learning_rate_with_its_spikes_marked() -> None:
    panel = dynamics_charts.curves(spiky(), "sp", 128.0)
    lines = [m for m in panel.marks if isinstance(m, charts.Line)]
    assert [line.name for line in lines] == [f"{lr:.3g}" for lr in LRS]
    (marks,) = [m for m in panel.marks if isinstance(m, charts.Points)]
    assert marks.x.tolist() == [102]
    assert marks.texts[0] == "spike at step 100\nheight 1.25 nats\nback after 6 steps"
    assert panel.y.low < lines[0].y.min()


def test_no_spike_no_mark() -> None:
    panel = dynamics_charts.curves(spiky(), "sp+embd", 128.0)
    assert all(isinstance(m, charts.Line) for m in panel.marks)


def test_at_most_twelve_lines_of_one_seed() -> None:
    run = simulated().runs[0]
    runs = [replace(run, hp=0.01 * k, seed=str(seed)) for k in range(1, 31) for seed in (0, 1)]
    kept = dynamics_charts.representative(runs)
    assert len(kept) == dynamics_charts.LINES
    assert {r.seed for r in kept} == {"0"}
    assert (kept[0].hp, kept[-1].hp) == (0.01, 0.3)


def test_thinning_keeps_the_top_of_a_spike() -> None:
    losses = [4.0] * 1000
    losses[777] = 9.0
    run = replace(simulated().runs[0], steps=tuple(range(1000)), curve=tuple(losses))
    steps, kept = dynamics_charts.thinned(run)
    assert len(steps) == dynamics_charts.POINTS
    assert kept[steps.tolist().index(777)] == 9.0


def test_a_run_that_blows_up_leaves_the_frame() -> None:
    study = simulated()
    runs = tuple(
        replace(r, curve=(*r.curve[:-1], 1e9)) if r.run == study.runs[0].run else r for r in study.runs
    )
    panel = dynamics_charts.curves(replace(study, runs=runs), study.runs[0].variant, study.runs[0].scale)
    assert panel.y.high < 100


def test_the_heat_map_is_of_the_best_run() -> None:
    panel = dynamics_charts.heat(simulated(), "sp", 32.0, "relative_update")
    (heat,) = panel.marks
    assert isinstance(heat, charts.Heat)
    assert heat.rows == ("token_embedding", "blocks.0.qkv", "blocks.1.qkv")
    assert heat.values[1].tolist() == pytest.approx([2.0**-5] * 4)  # the learning rate of the lowest loss
    assert heat.shown[1].tolist() == pytest.approx([-5.0] * 4)
    assert heat.label == "log2 relative update"
    assert panel.y.low > panel.y.high  # the first layer on top


def test_a_probe_that_may_be_negative_is_shown_as_it_is() -> None:
    (heat,) = dynamics_charts.heat(simulated(), "sp", 32.0, "attention_logit_max").marks
    assert isinstance(heat, charts.Heat)
    np.testing.assert_array_equal(heat.values, heat.shown)
    assert heat.label == "attention logit max"


def test_probes_with_layers_are_those_with_a_heat_map() -> None:
    study = simulated()
    names = dynamics_charts.probes_with_layers(study, ["sp"])
    assert "relative_update" in names
    assert "critical_lr" not in names
    for name in names:
        dynamics_charts.heat(study, "sp", 32.0, name)
    with pytest.raises(DynamicsError, match="needs a run with rows_touched, but sp at 32 has none"):
        dynamics_charts.heat(study, "sp", 32.0, "rows_touched")


def test_the_forest_holds_every_exponent_by_role() -> None:
    panel = dynamics_charts.forest(trends(simulated()), "relative_update", ["sp", "sp+embd"])
    (points,) = panel.marks
    assert isinstance(points, charts.Points)
    assert points.x.tolist() == pytest.approx([-1, 0, 0, 0], abs=1e-6)
    assert points.texts[0].startswith("embedding: sp\n-1.00 [-1.00, -1.00]\n5 scales, ")
    labels = dict(panel.y.ticks)
    assert labels[points.y[0]] == "embedding: sp"
    assert points.y[0] == 3  # on top
    with pytest.raises(DynamicsError, match="needs exponents of log_z"):
        dynamics_charts.forest([], "log_z")


def test_the_critical_lr_stands_beside_the_one_in_use() -> None:
    panel = dynamics_charts.critical(simulated(), "sp")
    assert [line.dashed for line in panel.marks] == [False, True] * 5
    assert panel.marks[0].y.tolist() == pytest.approx([-1.0] * 4)  # log10 of 0.1
    assert panel.y.base == 10
    assert panel.y.low < -1 < panel.y.high


def test_no_critical_lr_is_an_empty_panel() -> None:
    study = simulated()
    bare = replace(study, runs=tuple(replace(run, probes=None) for run in study.runs))
    assert dynamics_charts.critical(bare, "sp").marks == ()
