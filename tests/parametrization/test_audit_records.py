"""Records of a stack: what may stand in them, and what is refused in one line."""

import pytest

from hptransfer.errors import RuleError
from hptransfer.parametrization.audit_records import read_record

ROW = {"name": "a", "shape": [4, 8], "lr": 0.1}


def test_forms_of_a_record() -> None:
    mapping = {"a": {"shape": [4, 8], "lr": 0.1}}
    for data in ([ROW], mapping, {"tensors": [ROW]}, {"tensors": mapping}):
        record = read_record(data)
        assert record.tensors["a"].shape == (4, 8)
        assert dict(record.tensors["a"].settings) == {"lr": 0.1}
        assert read_record(record) is record


def test_words_of_other_stacks_and_wrappers() -> None:
    row = ROW | {"name": "module._orig_mod.a", "weight_decay": 0.1, "init_std": 0.2, "epsilon": None}
    tensor = read_record([row]).tensors["a"]
    assert dict(tensor.settings) == {"lr": 0.1, "wd": 0.1, "std": 0.2}


def test_what_stands_beside_the_tensors() -> None:
    record = read_record({"width": 64, "depth": 2, "optimizer": "AdamW", "head_dim": 16, "tensors": [ROW]})
    assert (record.width, record.depth, record.optimizer, record.head_dim) == (64, 2, "adamw", 16)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ([], "must hold a list of tensors"),
        (3, "must hold a list of tensors.*holds int"),
        (["x"], "tensor 0 must be a mapping with name, shape and lr"),
        ([{"name": "a", "shape": [4]}], r"\(a\) must have its lr; found name, shape"),
        ([ROW | {"shape": [4, -1]}], "shape must be a list of positive whole numbers"),
        ([ROW | {"shape": "4x8"}], "shape must be a list"),
        ([ROW | {"lr": "big"}], 'lr must be a number, zero or more and finite, but got "big"'),
        ([ROW | {"wd": float("nan")}], "wd must be a number"),
        ([ROW | {"lr": True}], "lr must be a number"),
        ([ROW | {"role": "matrix"}], "role must be one of embedding, hidden"),
        ([ROW | {"layout": "rows"}], "layout must be one of out,in, in,out"),
        ([ROW, ROW], "a is there twice"),
        ({"width": 0, "tensors": [ROW]}, "width must be positive"),
        ({"depth": 1.5, "tensors": [ROW]}, "depth must be positive and whole"),
    ],
)
def test_what_is_refused(data, says: str) -> None:
    with pytest.raises(RuleError, match=says):
        read_record(data)


@pytest.mark.parametrize("text", ["{", '{"a": 1, "a": 2}', "[" * 5000])
def test_files_that_are_no_record(tmp_path, text: str) -> None:
    (tmp_path / "r.json").write_text(text)
    with pytest.raises(RuleError, match="cannot read a record from"):
        read_record(tmp_path / "r.json")
