import math
from dataclasses import replace

import numpy as np
import pytest
from tests.dynamics.studies import simulated
from tests.report.studies import spiky

from hptransfer.quantify.result import Estimate
from hptransfer.report import dynamics_tables, number_format


def test_the_table_counts_spikes_and_raggedness() -> None:
    table = dynamics_tables.spike_table(spiky())
    rows = {row[0]: row for row in table.rows}
    assert rows["sp"][1:8] == (60.0, "0", "10", "10", "0", "1.25", "6")
    assert rows["sp+embd"][3:8] == ("0", "0", "0", number_format.MISSING, number_format.MISSING)
    assert rows["sp"][8].value == pytest.approx(0, abs=1e-9)


def test_the_table_counts_spikes_of_the_gradient() -> None:
    study = simulated()
    run, *others = study.runs
    values = np.tile(run.probes.values[:1], (30, 1))
    values[20, [row[2] for row in run.probes.rows].index("grad_norm")] *= 8
    run = replace(run, probes=replace(run.probes, steps=tuple(range(30)), values=values))
    table = dynamics_tables.spike_table(replace(study, runs=(run, *others)))
    assert {row[0]: row[5] for row in table.rows} == {"sp": "1", "sp+embd": "0"}


def test_an_interval_of_a_mean_is_student_s() -> None:
    found = dynamics_tables.mean_interval([1.0, 2.0, 3.0])
    assert (found.value, found.low) == (2.0, pytest.approx(2 - 4.303 / math.sqrt(3), abs=1e-3))
    assert dynamics_tables.mean_interval([1.0]) == Estimate(1.0)
    assert dynamics_tables.mean_interval([]).value is None


def test_edges_stand_with_their_hold_out_check() -> None:
    table = dynamics_tables.edge_table(simulated(0.05), [1024.0])
    cells = [
        row for row in table.rows if row[0] == "sp" and row[1].startswith("attention logit max = 10,000")
    ]
    assert [row[2] for row in cells] == [128.0, 1024.0]
    assert cells[0][6] in ("11 of 12", "12 of 12", "10 of 12")
    assert cells[1][4] == ""


def test_columns_are_defined() -> None:
    tables = (dynamics_tables.spike_table(spiky()), dynamics_tables.edge_table(simulated(), []))
    assert all(column.definition for table in tables for column in table.columns)
