"""Studies: spec, plan, store, driver, run."""

from hptransfer.study.run import StudyInterrupted, StudyResult, load_result, run_study
from hptransfer.study.spec import StudySpec, load_study, parse_study

__all__ = [
    "StudyInterrupted",
    "StudyResult",
    "StudySpec",
    "load_result",
    "load_study",
    "parse_study",
    "run_study",
]
