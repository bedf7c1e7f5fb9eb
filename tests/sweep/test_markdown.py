import pytest

from hptransfer.errors import SweepError
from hptransfer.sweep import read

LONG = """| Width | LR | Val loss |
| ---: | ---: | :---: |
| 64 | 0.1 | **3.0** |
| 64 | 0.2 | ~~3.5~~ |
| 128 | 0.1 | 2.5* |
"""


def test_a_long_table_with_bold_struck_and_starred_cells(write):
    sweep = read(write("# Runs\n\nSome words | with a bar.\n\n" + LONG, "README.md"))
    assert sweep.loss.tolist() == [3.0, 3.5, 2.5]
    assert sweep.taken == "Read as loss = Val loss. --loss says otherwise."
    assert "struck out are read as they stand" in sweep.notes[-1]


def test_headings_label_several_tables_and_other_tables_are_left_out(write):
    wide = "| lr | 64 | 128 |\n|---|---|---|\n| 1e-3 | 3.1 | **2.9** |\n| 2e-3 | 3.0 | OOM |\n"
    other = "| Option | Meaning |\n|---|---|\n| a | b |\n"
    sweep = read(write(f"## SP\n\n{wide}\n{other}\n**muP**\n\n{wide}", "README.md"))
    assert sweep.variants == ("SP", "muP")
    assert len(sweep) == 6
    assert "left out where loss is OOM (2)" in sweep.notes[-1]


def test_a_table_is_found_without_the_name_of_the_file(write):
    assert len(read(write(LONG, "notes.txt"))) == 3


def test_a_row_is_named_by_its_line(write):
    with pytest.raises(SweepError, match=r"row 4 of .*LR=fast"):
        read(write(LONG.replace("64 | 0.2", "64 | fast"), "r.md"), hp="LR", loss="Val loss")


def test_a_text_without_a_table_is_refused(write):
    with pytest.raises(SweepError, match="must hold a pipe table"):
        read(write("# Nothing\n", "r.md"))
