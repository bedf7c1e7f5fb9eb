from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from hptransfer.runs.config import RunSpec
from hptransfer.runs.probe_config import ProbeConfig
from hptransfer.runs.probe_names import PROBES


def test_probes_are_at_least_thirty_steps_apart_unless_said() -> None:
    assert [ProbeConfig().interval(steps) for steps in (10, 1200, 1201, 4000)] == [30, 30, 31, 100]
    assert ProbeConfig(every=7).interval(4000) == 7


@given(st.integers(1, 10**7))
def test_a_run_is_probed_at_forty_steps_or_fewer(steps: int) -> None:
    assert -(-steps // ProbeConfig().interval(steps)) <= 40


def test_names_are_checked_and_all_stands_for_every_one() -> None:
    assert ProbeConfig().names is None
    assert ProbeConfig(names=("all",)).names == tuple(PROBES)
    assert ProbeConfig(names=("lr", "lr")).names == ("lr",)
    with pytest.raises(ValidationError, match="did you mean 'weight_rms'"):
        ProbeConfig(names=("weight_rsm",))


def test_probes_are_no_part_of_a_run_s_id() -> None:
    run = RunSpec(base_width=32, lr=0.01)
    assert run.model_copy(update={"probes": ProbeConfig(every=3)}).run_id == run.run_id
