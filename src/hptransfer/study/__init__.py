"""Studies: spec, plan, trial, store, executors, run."""

from hptransfer.sweep.run import StudyInterrupted, StudyResult, load_result, run_study
from hptransfer.sweep.study import StudySpec, load_study, parse_study

__all__ = [
    "StudyInterrupted",
    "StudyResult",
    "StudySpec",
    "load_result",
    "load_study",
    "parse_study",
    "run_study",
]
