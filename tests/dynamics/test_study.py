import math
from dataclasses import replace

import numpy as np
import pytest
from studies import simulated

from hptransfer.dynamics.spikes import Spike


def test_series_and_table_hold_the_same() -> None:
    study = simulated()
    run = study.runs[0]
    steps, values = run.series("token_embedding", "relative_update")
    rows = study.table.select(run=run.run, layer="token_embedding", name="relative_update")
    assert rows.step.tolist() == steps.tolist()
    assert rows.value.tolist() == values.tolist()
    assert run.series("nowhere", "relative_update")[0].size == 0


def test_spikes_come_from_every_step_where_they_are_known() -> None:
    run = simulated().runs[0]
    assert run.spikes == ()
    curve = list(run.curve)
    curve[60] += 2
    assert [s.start for s in replace(run, curve=tuple(curve)).spikes] == [120]
    known = (Spike(7, 7, 1.0, 1),)
    assert replace(run, curve=tuple(curve), known_spikes=known).spikes == known


def test_gradient_spikes_are_of_the_log() -> None:
    run = simulated().runs[0]
    probes = run.probes
    values = np.tile(probes.values[:1], (30, 1))
    column = next(i for i, row in enumerate(probes.rows) if row[2] == "grad_norm")
    values[20, column] = 8.0
    spiky = replace(run, probes=replace(probes, steps=tuple(range(30)), values=values))
    (spike,) = spiky.gradient_spikes
    assert (spike.start, spike.height) == (20, pytest.approx(math.log(8)))


def test_raggedness_is_one_number_a_scale_and_seed() -> None:
    study = simulated()
    ragged = study.raggedness("sp")
    assert set(ragged) == {(n, s) for n in (32.0, 48.0, 64.0, 96.0, 128.0) for s in ("0", "1")}
    assert max(ragged.values()) == pytest.approx(0, abs=1e-9)
    bumpy = tuple(replace(r, loss=r.loss + 0.4) if r.hp == 2.0**-7 else r for r in study.runs)
    assert replace(study, runs=bumpy).raggedness("sp")[32.0, "0"] == pytest.approx(0.4 - 0.25, abs=0.2)
