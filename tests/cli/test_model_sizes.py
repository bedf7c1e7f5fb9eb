from __future__ import annotations

import pytest

from hptransfer.cli.model_sizes import ModelSizes, comma_separated
from hptransfer.errors import DynamicsError, RuleError

SIZES = ModelSizes(depth=2, heads=4, context=16, vocab=300)


def test_sizes_make_a_decoder_of_any_width_that_they_fit() -> None:
    config = SIZES.decoder_config(64)
    assert (config.width, config.depth, config.heads, config.context, config.vocab) == (64, 2, 4, 16, 300)
    assert SIZES.as_arguments() == {"depth": 2, "heads": 4, "context": 16, "vocab": 300}


@pytest.mark.parametrize(
    ("sizes", "width", "text"),
    [
        (SIZES, 66, r"model: heads must divide width, but got width=66, heads=4"),
        (ModelSizes(0, 4, 16, 300), 64, "depth: Input should be greater than 0"),
        (ModelSizes(2, 4, 16, 100), 64, "vocab: Input should be greater than or equal to 257"),
    ],
)
def test_sizes_that_do_not_fit_are_one_line(sizes: ModelSizes, width: int, text: str) -> None:
    with pytest.raises(RuleError, match=text) as caught:
        sizes.decoder_config(width)
    assert "\n" not in str(caught.value)


def test_numbers_of_an_option() -> None:
    assert comma_separated("64,128", "--widths", int, RuleError) == [64, 128]
    assert comma_separated("-0.25, 1e-1", "--threshold", float, RuleError) == [-0.25, 0.1]
    with pytest.raises(
        DynamicsError, match=r"--widths must be whole numbers, comma-separated, but got '64,1.5'"
    ):
        comma_separated("64,1.5", "--widths", int, DynamicsError)
    with pytest.raises(RuleError, match="--threshold must be numbers, comma-separated, but got ''"):
        comma_separated("", "--threshold", float, RuleError)
