from __future__ import annotations

import dataclasses
import json

import pytest
from pydantic import ValidationError

from hptransfer.runs.config import RunRecord, RunSpec
from hptransfer.runs.decode import Code, UserCodeRun, record_from, run_from

CODE = {"kind": "command", "call": ["train", "--lr", "{lr}"], "environment": {"B": 1, "A": "x"}}


def test_a_run_comes_back_as_what_it_was() -> None:
    plain = RunSpec(base_width=32, lr=0.01)
    own = UserCodeRun.model_validate({"base_width": 32, "lr": 0.01, "code": CODE})
    for run in (plain, own):
        again = run_from(json.loads(run.model_dump_json()))
        assert (type(again), again, again.run_id) == (type(run), run, run.run_id)
    assert own.code == Code(
        kind="command", call=("train", "--lr", "{lr}"), environment=(("A", "x"), ("B", "1"))
    )


def test_what_is_called_is_part_of_a_run_s_identity() -> None:
    ids = {
        run_from({"base_width": 32, "lr": 0.01, "code": {**CODE, **changes}}).run_id
        for changes in ({}, {"call": ["train"]}, {"environment": {}}, {"kind": "function"})
    }
    assert len(ids | {RunSpec(base_width=32, lr=0.01).run_id}) == 5


def test_a_record_has_tuples_where_json_has_lists_and_reads_numbers_from_text() -> None:
    record = RunRecord("id", "done", 3.5, curve=((0, 7.0), (9, 3.5)), spikes=((1, 2, 0.5, None),), tokens=8)
    assert record_from(json.loads(json.dumps(dataclasses.asdict(record)))) == record
    text = {"run_id": "id", "status": "done", "loss": "3.5", "tokens": "8"}
    assert record_from(text) == RunRecord("id", "done", 3.5, tokens=8)


@pytest.mark.parametrize("data", [{"lr": 0.01}, {"base_width": 32, "lr": 0.01, "code": {"kind": "web"}}])
def test_what_is_no_run_is_refused(data: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        run_from(data)


def test_what_is_no_record_is_refused() -> None:
    with pytest.raises(ValidationError, match="'done', 'diverged' or 'failed'"):
        record_from({"run_id": "id", "status": "lucky", "loss": 1.0})
