from __future__ import annotations

import math
from typing import Any

import pytest
from small_study import study

from hptransfer.errors import SpecError
from hptransfer.study.spec import parse_study

BAD: list[tuple[dict[str, Any], list[str]]] = [
    ({"width": [32]}, ["`width: [32]`", "`widths`"]),
    ({"lr": {"low": 1e-3, "high": 1, "facter": 2}}, ["`lr.facter: 2`", "`lr.factor`", "extend"]),
    ({"model": {"width": 64}}, ["`model.width: 64`", "closest valid key is `widths`"]),
    ({"train": {"weight_decay": 0.1}}, ["`train.weight_decay: 0.1`", "`weight_decays`"]),
    ({"model": {"head": 4}}, ["`model.heads`"]),
    ({"data": {"sorce": "text"}}, ["`data.source`"]),
    ({"lr": {"low": 1e-2, "high": 1e-3}}, ["`lr`", "low < high", "low=0.01", "high=0.001"]),
    ({"lr": {"low": 0, "high": 1}}, ["`lr.low`", "got 0"]),
    ({"lr": {"low": "2^^3", "high": 1}}, ["`lr.low`", "'2^^3'"]),
    ({"lr": {"low": 1e-9, "high": 1, "factor": 1.001}}, ["at most 200"]),
    ({"lr": {"low": 1e-9, "high": 1, "coordinates": "ntk"}}, ["`lr.coordinates`", "'sp' or 'mup'", "'ntk'"]),
    ({"lr": 3}, ["`lr`", "key: value", "got 3"]),
    ({"widths": []}, ["`widths` must be given", "neither is"]),
    ({"widths": 32}, ["`widths`", "list", "got 32"]),
    ({"widths": [32, 32]}, ["`widths`", "32 is given twice"]),
    ({"widths": [32, -64]}, ["`widths`", "positive", "-64"]),
    ({"widths": [32, "wide"]}, ["`widths[1]`", "'wide'"]),
    (
        {"widths": [32, 48, 66]},
        ["`model.heads`", "heads=4", "width 66", "valid heads for these widths: 1, 2"],
    ),
    ({"base_width": 30}, ["`model.heads`", "width 30"]),
    ({"variants": ["sp", "mpu"]}, ["`variants`", "'mpu'", "did you mean 'mup'", "sp+embd"]),
    ({"variants": []}, ["`variants`", "at least 1"]),
    ({"seeds": [-1]}, ["`seeds`", "-1"]),
    ({"seeds": [0.5]}, ["`seeds[0]`", "0.5"]),
    ({"weight_decays": [math.nan]}, ["finite", "nan"]),
    ({"name": "../elsewhere"}, ["`name`", "letters", "'../elsewhere'"]),
    ({"compile": "yes"}, ["`compile`", "'auto', 'always' or 'never'", "'yes'"]),
    ({"stack": 0}, ["`stack`", "got 0"]),
    ({"train": {"steps": 0}}, ["`train.steps`", "got 0"]),
    ({"train": {"warmup": 0.9, "decay": 0.5}}, ["warmup + decay <= 1", "0.9", "0.5"]),
    ({"data": {"source": "text"}}, ["`data`", "`files` must be given"]),
    ({"model": {"vocab": 100}}, ["`model.vocab`", "got 100"]),
]


@pytest.mark.parametrize(("changes", "parts"), BAD, ids=lambda value: str(value)[:40])
def test_a_mistake_is_one_line_with_path_value_and_what_is_valid(
    changes: dict[str, Any], parts: list[str]
) -> None:
    with pytest.raises(SpecError) as caught:
        study(**changes)
    text = str(caught.value)
    assert "\n" not in text
    for part in parts:
        assert part in text


def test_a_missing_key_is_named_and_a_typo_comes_first() -> None:
    with pytest.raises(SpecError, match="`widths` must be given"):
        parse_study({"name": "a", "variants": ["sp"], "lr": {"low": 1, "high": 2}})
    with pytest.raises(SpecError, match=r"`widhts: .*closest valid key is `widths`.*\(and 1 more\)"):
        parse_study({"name": "a", "variants": ["sp"], "widhts": [32]})
