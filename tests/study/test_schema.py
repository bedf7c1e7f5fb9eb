from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from hptransfer.study.presets import PRESETS, SIZES, preset
from hptransfer.study.schema import spec_schema
from hptransfer.study.spec import load_study

jsonschema = pytest.importorskip("jsonschema")
ROOT = Path(__file__).parents[2]
SPECS = [*ROOT.glob("examples/**/*.yaml"), ROOT / "src/hptransfer/study/demo.yaml"]
GOOD = {"name": "a", "variants": ["sp"], "widths": [32], "lr": {"low": "2^-9", "high": 0.5}}


@pytest.fixture(scope="module")
def check() -> Any:
    schema = spec_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema).is_valid


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_every_spec_of_the_repository_is_valid(path: Path, check: Any) -> None:
    load_study(path)
    assert check(yaml.safe_load(path.read_text()))


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("size", SIZES)
def test_every_preset_is_valid_as_it_is_stored(name: str, size: str, check: Any) -> None:
    assert check(preset(name, size).model_dump(mode="json"))


@pytest.mark.parametrize(
    "more",
    [
        {"weight_decays": ["2^-3", 0.1]},
        {"executor": {"kind": "ray", "gpus": 0.5}},
        {"trial": {"kind": "command", "command": "python x.py", "environment": {"A": "b", "N": 3}}},
        {"train": {"lr_ramps": {"embedding": {"exponent": -1}}}},
    ],
)
def test_every_way_of_writing_is_valid(more: dict[str, Any], check: Any) -> None:
    assert check({**GOOD, **more})


@pytest.mark.parametrize(
    "wrong",
    [
        {"widhts": [32]},
        {"lr": {"low": "2^", "high": 1}},
        {"executor": {"kind": "cloud"}},
        {"train": {"optimizer": "adamax"}},
        {"widths": [32.5]},
    ],
)
def test_what_is_wrong_is_not_valid(wrong: dict[str, Any], check: Any) -> None:
    assert not check({**GOOD, **wrong})


def test_the_file_that_the_docs_offer_is_current() -> None:
    told = json.loads((ROOT / "docs" / "reference" / "study.schema.json").read_text())
    assert told == spec_schema(), "write it anew: hptransfer schema --to docs/reference/study.schema.json"


def test_fields_say_what_they_are() -> None:
    schema = spec_schema()
    fields = [*schema["properties"].items()]
    for part in schema["$defs"].values():
        fields += part["properties"].items()
    said = [name for name, kind in fields if kind.get("description")]
    assert len(said) > 0.8 * len(fields)
    assert "same at every width" in schema["$defs"]["LRGrid"]["description"]
    assert schema["properties"]["base_width"]["description"].startswith("where every rule is the same")
