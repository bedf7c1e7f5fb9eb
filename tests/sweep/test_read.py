import datetime
import decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hptransfer.errors import SweepError
from hptransfer.sweep import read

COLUMNS = {"width": [64, 64, 128], "lr": [0.1, 0.2, 0.1], "loss": [3.0, 2.5, 2.0]}


def test_variant_and_seed_may_be_absent():
    sweep = read(COLUMNS)
    assert sweep.variants == ("all",)
    assert sweep.seed.tolist() == ["", "", ""]
    with pytest.raises(SweepError, match="no column 'rule'"):
        read(COLUMNS, variant="rule")
    with pytest.raises(SweepError, match="no column 'rng'"):
        read(COLUMNS, seed="rng")


def test_blank_seeds_and_variants():
    sweep = read(COLUMNS | {"seed": ["", None, "mean_of_3"], "variant": [None, "sp", ""]})
    assert sweep.seed.tolist() == ["", "", "mean_of_3"]
    assert sweep.variants == ("(blank)", "sp")


def test_several_variant_columns_join():
    sweep = read(COLUMNS | {"rule": ["sp", "sp", "mup"], "wd": [0.1, 0.0, 0.1]}, variant="rule, wd")
    assert sweep.variants == ("sp wd=0.1", "sp wd=0", "mup wd=0.1")
    assert sweep.columns.variant == "rule, wd"


def test_names_match_without_regard_to_case_where_there_is_no_doubt():
    sweep = read({"Width": [8], "LR": [0.1], "Loss": [1.0], "Variant": ["sp"]})
    assert sweep.variants == ("sp",)
    ways = r'in several ways; choose one: hptransfer fit the mapping --hp "LR"  or  .* --hp "Lr"$'
    with pytest.raises(SweepError, match=ways):
        read({"width": [8], "LR": [0.1], "Lr": [0.2], "loss": [1.0]})


def test_any_positive_columns_are_scale_and_hp():
    sweep = read({"tokens": [1e9], "batch": [32], "val": [3]}, scale="tokens", hp="batch", loss="val")
    assert (sweep.scale[0], sweep.hp[0], sweep.loss[0]) == (1e9, 32.0, 3.0)
    assert sweep.columns.scale == "tokens"


def test_extra_holds_the_other_numeric_columns():
    sweep = read(
        COLUMNS | {"flops": [1, "", "2e3"], "note": ["a", "1", ""], "void": [None] * 3, "ok": [True] * 3}
    )
    assert list(sweep.extra) == ["flops"]
    np.testing.assert_array_equal(sweep.extra["flops"], [1, np.nan, 2000])


@pytest.mark.parametrize(
    "text", ["nan", "NaN", "inf", "-inf", "Infinity", "diverged", " Diverged ", "", "None"]
)
def test_texts_of_a_diverged_run(text):
    sweep = read(COLUMNS | {"loss": ["3.0", text, 2.0]})
    np.testing.assert_array_equal(sweep.loss, [3.0, np.nan, 2.0])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"loss": ["3.0", "oops", "2"]}, "loss must be a number .* row 1 of the mapping has loss=oops"),
        ({"loss": [True, 1.0, 2.0]}, "row 0 of the mapping has loss=True"),
        ({"lr": [0.1, "fast", 0.1]}, "lr must be a positive number, but row 1 of the mapping has lr=fast"),
        ({"lr": [0.1, 0.2, float("nan")]}, "row 2 of the mapping has lr=nan"),
        ({"lr": [0.1, "", 0.1]}, "row 1 of the mapping has lr=''"),
        ({"lr": [0.1, 10**400, 0.1]}, "row 1 of the mapping has lr=1000"),
        ({"width": [64, float("inf"), 128]}, "width must be a positive number"),
        ({"width": ["a\nb" * 50, 64, 128]}, r"row 0 of the mapping has width='a\\nb"),
    ],
)
def test_bad_cells_are_named(changes, message):
    with pytest.raises(SweepError, match=message) as caught:
        read(COLUMNS | changes)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 200


def test_missing_columns_name_the_closest():
    with pytest.raises(SweepError, match=r"no column 'loss' \(loss\) in the mapping; did you mean 'los'\?"):
        read({"width": [1], "lr": [1], "los": [1]}, loss="loss")
    with pytest.raises(
        SweepError, match=r"plainly the scale .*--scale COLUMN, or for the loss: .*--loss COLUMN"
    ):
        read({"a": [1], "lr": [1], "b": [1]})
    with pytest.raises(SweepError, match=r"columns: width, lr, c0, .* and 8 more"):
        read({"width": [1], "lr": [1]} | {f"c{i}": [1] for i in range(18)})


def test_one_column_cannot_play_two_parts():
    with pytest.raises(SweepError, match="scale and hp must be different columns, but both are 'lr'"):
        read(COLUMNS, scale="lr")


def test_where_filters_before_the_cells_are_checked():
    columns = COLUMNS | {"lr": [0.1, "n/a", 0.1], "epoch": [5, 1, 5]}
    assert len(read(columns, where="epoch == 5")) == 2


def test_repeated_rows_stay_replicates_and_a_splitting_column_is_noted():
    columns = {name: cells * 4 for name, cells in COLUMNS.items()}
    plain = read(columns)
    assert len(plain) == 12
    assert plain.notes == ()
    epochs = read(columns | {"epoch": [1] * 3 + [2] * 3 + [3] * 3 + [4] * 3, "id": list("abcdefghijkl")})
    assert len(epochs.notes) == 1
    assert "differ in 'epoch' and count as replicates" in epochs.notes[0]
    assert read(columns | {"seed": [s for s in "0123" for _ in range(3)]}).notes == ()


def test_reading_a_table_imports_neither_pandas_nor_narwhals(tmp_path):
    import subprocess
    import sys

    path = tmp_path / "runs.csv"
    path.write_text("width,lr,loss\n64,0.1,2\n")
    code = (
        "import sys; from hptransfer.sweep import read; read(sys.argv[1]);"
        "print([m for m in ('pandas', 'narwhals', 'torch', 'scipy', 'matplotlib') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


CELLS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.decimals(),
    st.text(max_size=4),
    st.binary(max_size=4),
    st.dates(),
    st.dictionaries(st.text(max_size=2), st.integers(0, 3), max_size=2),
    st.lists(st.integers(0, 3), max_size=2),
    st.sampled_from([0.1, 64, "0.1", "64", np.float32(0.5), decimal.Decimal("0.5"), datetime.date.today()]),
)


@given(
    st.lists(
        st.fixed_dictionaries(
            dict.fromkeys(("width", "lr", "loss"), CELLS),
            optional={"variant": CELLS, "seed": CELLS, "wd": CELLS},
        ),
        max_size=4,
    ),
    st.sampled_from([{}, {"profile": "wd"}, {"where": "wd == 1"}, {"variant": "variant,wd"}]),
)
def test_any_objects_are_read_or_refused_in_one_line(records, settings):
    try:
        said = repr(read(records, **settings))
    except SweepError as error:
        said = str(error).replace("\n", "a second line")
    assert "a second line" not in said
