from __future__ import annotations

import json
from pathlib import Path

from tests.cli.study_commands import invoke

from hptransfer.study.schema import spec_schema


def test_it_is_printed_or_written(tmp_path: Path) -> None:
    code, output = invoke("schema")
    assert code == 0
    assert json.loads(output) == spec_schema()
    code, output = invoke("schema", "--to", tmp_path / "s.json")
    assert code == 0
    assert json.loads((tmp_path / "s.json").read_text()) == spec_schema()
    assert "# yaml-language-server: $schema=s.json" in output
