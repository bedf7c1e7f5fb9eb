"""Text to tokens to batches: sources, tokenizers, the cache, what a step reads."""

from hptransfer.lm.data.batches import batch, load_corpus, validation_sequences
from hptransfer.lm.data.cache import Corpus, cache_directory
from hptransfer.lm.data.text import source_files

__all__ = ["Corpus", "batch", "cache_directory", "load_corpus", "source_files", "validation_sequences"]
