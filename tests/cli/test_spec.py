from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from small_study import study

from hptransfer.cli.spec import read_spec
from hptransfer.errors import SpecError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(study().model_dump(mode="json")))
    return path


def test_a_file_is_read_with_its_changes(path: Path) -> None:
    assert read_spec(str(path)) == study()
    assert read_spec(str(path), overrides=["train.steps=7"]).train.steps == 7


def test_a_preset_is_read_at_its_size(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert read_spec("lingle2024").name == "lingle2024-tiny"
    assert read_spec("lingle2024", "small", "lion").name == "lingle2024-lion-small"
    assert read_spec("lingle2024", overrides=["seeds=[4]"]).seeds == (4,)
    monkeypatch.chdir(tmp_path)  # a file of that name comes first
    Path("lingle2024").write_text(yaml.safe_dump(study(name="mine").model_dump(mode="json")))
    assert read_spec("lingle2024").name == "mine"


def test_what_goes_with_a_preset_goes_with_no_file(path: Path) -> None:
    with pytest.raises(SpecError, match="--size must go with a preset"):
        read_spec(str(path), size="tiny")
    with pytest.raises(SpecError, match="--ablation must go with a preset"):
        read_spec(str(path), ablation="lion")


def test_a_name_that_is_neither_is_refused_with_the_presets() -> None:
    with pytest.raises(SpecError, match=r"a YAML file or a preset \(kalra2026-step, .*, but got kalra"):
        read_spec("kalra")
