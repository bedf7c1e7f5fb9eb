"""The tokens of a source, whichever it is."""

from __future__ import annotations

from collections.abc import Callable

from hptransfer.lm.data.batches import check_length
from hptransfer.lm.data.bins import bin_corpus
from hptransfer.lm.data.cache import Corpus
from hptransfer.lm.data.hub import hub_corpus
from hptransfer.lm.data.synthetic import synthetic_corpus
from hptransfer.lm.data.text import text_corpus
from hptransfer.runs.config import DataConfig, ModelConfig

_SOURCES: dict[str, Callable[[DataConfig, ModelConfig], Corpus]] = {
    "python-stdlib": text_corpus,
    "text": text_corpus,
    "bin": bin_corpus,
    "hub": hub_corpus,
    "synthetic": synthetic_corpus,
}


def load_corpus(data: DataConfig, model: ModelConfig) -> Corpus:
    """The tokens of a source, from the cache, or newly made and then cached.

    What decides the tokens (the files' bytes, the split, the tokenizer) is hashed, and the hash names the
    cache entry, so a changed file is a new entry. A damaged entry is made again.

    Raises:
        DataError: no files, too few tokens, tokens beyond the vocabulary, or a cache that cannot be written.
        MissingExtraError: the source needs a package that is not installed.
    """
    corpus = _SOURCES[data.source](data, model)
    check_length(corpus, data, model)
    return corpus
