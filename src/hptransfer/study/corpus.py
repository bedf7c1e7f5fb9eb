"""The text that a study's runs are trained on, and whether runs from elsewhere saw it."""

from __future__ import annotations

from collections.abc import Iterable

from hptransfer.errors import StoreError
from hptransfer.runs.config import RunRecord
from hptransfer.study.spec import StudySpec


def corpus_of(spec: StudySpec) -> str:
    """Hash of the tokens that a study of the built-in model is trained on; tokenises them if need be.

    Raises:
        DataError: the text cannot be found or used; MissingExtraError: tokenising it needs a package.
    """
    from hptransfer.lm.data import load_corpus

    run = spec.example_run(max(spec.sizes, key=lambda size: size.width))
    return load_corpus(run.data, run.model).sha256


def check_corpus(corpus: str, records: Iterable[RunRecord], where: str) -> None:
    """Refuses runs that were trained on another text, as the same spec can mean where files were edited.

    A record holds the beginning of its corpus's hash; runs of a user's own code have none.

    Raises:
        StoreError: a run of `where` was trained on other text.
    """
    seen = {str(found) for record in records if (found := record.engine.get("corpus"))}
    if other := sorted(found for found in seen if not corpus.startswith(found)):
        raise StoreError(
            f"a study's runs must be trained on the same text, but those in {where} were on corpus "
            f"{other[0]} and this study's is {corpus[:16]}: use another folder, or "
            "the text that they were trained on"
        )
