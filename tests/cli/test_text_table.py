from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hptransfer.cli.text_table import print_table


def test_columns_are_as_wide_as_their_widest_cell(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("width", "n"), [("32", "1234"), ("all", "")])
    assert capsys.readouterr().out == "width     n\n   32  1234\n  all\n"


@given(st.lists(st.tuples(*[st.text("abc1", min_size=1, max_size=9)] * 3), min_size=1, max_size=5))
def test_no_cell_is_lost_and_cells_end_where_their_head_does(rows: list[tuple[str, str, str]]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        lines: list[str] = []
        patch.setattr("typer.echo", lines.append)
        print_table(("first", "second", "third"), rows)
    assert [tuple(line.split()) for line in lines[1:]] == rows
    assert len({len(line) for line in lines}) == 1
