"""Studies whose dynamics are reported on."""

from dataclasses import replace

from tests.dynamics.studies import LRS, simulated

from hptransfer.dynamics.spikes import Spike
from hptransfer.dynamics.study import StudyDynamics


def spiky() -> StudyDynamics:
    """A study in which every run of `sp` at the largest learning rate has one spike."""
    study = simulated(0.1)
    spike = (Spike(100, 102, 1.25, 6),)
    hit = {run.run for run in study.runs if run.variant == "sp" and run.hp == LRS[-1]}
    runs = tuple(replace(run, known_spikes=spike if run.run in hit else ()) for run in study.runs)
    return replace(study, runs=runs)
