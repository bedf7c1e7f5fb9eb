from __future__ import annotations

import pytest
from pydantic import ValidationError

from hptransfer.runs.data_config import DataConfig


def test_the_default_text_is_the_interpreter_s_and_holds_out_a_twentieth() -> None:
    data = DataConfig()
    assert (data.source, data.validation_fraction, data.validation_tokens) == ("python-stdlib", 0.05, 16384)
    assert (data.order, data.classes, data.zipf, data.seed) == (1, 64, 1.2, 0)


@pytest.mark.parametrize(
    ("source", "fields"),
    [
        ("text", {"files": "*.txt", "tokenizer": "t.json"}),
        ("bin", {"files": "*.bin", "validation_files": "v.bin"}),
        ("hub", {"dataset": "d", "subset": "s", "split": "s", "column": "c", "revision": "r", "tokens": 5}),
        ("synthetic", {"order": 2, "classes": 8, "zipf": 0.5, "seed": 3, "tokens": 100}),
    ],
)
def test_each_source_has_its_fields_and_no_other_source_has_them(
    source: str, fields: dict[str, object]
) -> None:
    assert DataConfig.model_validate({"source": source, **fields}).source == source
    other = "python-stdlib"
    for name, value in fields.items():
        if name == "tokenizer":
            continue
        with pytest.raises(ValidationError, match=f"`{name}` must be given only with source .*{source}"):
            DataConfig.model_validate({"source": other, name: value})


@pytest.mark.parametrize(("source", "needed"), [("text", "files"), ("bin", "files"), ("hub", "dataset")])
def test_what_a_source_needs_is_named(source: str, needed: str) -> None:
    with pytest.raises(ValidationError, match=f"`{needed}` must be given with source '{source}'"):
        DataConfig.model_validate({"source": source})


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"source": "synthetic", "order": 4, "classes": 33}, r"classes \*\* order <= 1048576 .* 33 \*\* 4"),
        ({"source": "synthetic", "order": 9}, "less than or equal to 8"),
        ({"validation_fraction": 1.0}, "less than 1"),
        ({"source": "synthetic", "tokens": 0}, "greater than 0"),
        ({"source": "web"}, "'python-stdlib', 'text', 'bin', 'hub' or 'synthetic'"),
    ],
)
def test_impossible_data_is_refused(fields: dict[str, object], text: str) -> None:
    with pytest.raises(ValidationError, match=text):
        DataConfig.model_validate(fields)


def test_the_largest_number_of_contexts_is_taken() -> None:
    assert DataConfig(source="synthetic", order=4, classes=32).classes == 32
