from __future__ import annotations

from hptransfer.study.probe_data import result_dynamics, study_dynamics
from hptransfer.study.run import StudyResult


def test_the_dynamics_of_a_result_are_those_of_its_folder(undisturbed: StudyResult) -> None:
    one, other = result_dynamics(undisturbed), study_dynamics(undisturbed.folder)
    assert one is not None
    assert len(one.runs) == len(undisturbed.sweep)
    assert repr(one) == repr(other)
