from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from hptransfer.errors import SweepError
from hptransfer.sweep import read

COLUMNS = {
    "width": [64, 64, 128],
    "lr": [0.1, 0.2, 0.1],
    "loss": [3.0, None, 2.0],
    "seed": [1, 2, 3],
    "variant": ["sp", "sp", "mup"],
}


def same(sweep):
    assert sweep.scale.tolist() == [64.0, 64.0, 128.0]
    assert sweep.hp.tolist() == [0.1, 0.2, 0.1]
    np.testing.assert_array_equal(sweep.loss, [3.0, np.nan, 2.0])
    assert sweep.seed.tolist() == ["1", "2", "3"]
    assert sweep.variant.tolist() == ["sp", "sp", "mup"]
    assert sweep.source.path is None


def test_dataframes():
    same(read(pd.DataFrame(COLUMNS)))
    same(read(pd.DataFrame(COLUMNS).convert_dtypes()))
    same(read(pd.DataFrame(COLUMNS).astype({"variant": "category", "seed": float})))
    pa = pytest.importorskip("pyarrow")
    same(read(pa.table(COLUMNS)))


def test_mappings_and_records():
    same(read(COLUMNS))
    same(read({name: np.array(cells, dtype=object) for name, cells in COLUMNS.items()}))
    same(read(pd.DataFrame(COLUMNS).to_dict("records")))


def test_a_frame_with_nested_configs():
    frame = pd.DataFrame({"config": [{"lr": 0.1, "width": 8}, {"lr": 0.3, "width": 8}], "loss": [1.0, 2.0]})
    assert read(frame).hp.tolist() == [0.1, 0.3]


@pytest.mark.parametrize("thing", [3, None, object(), "", [], [3], b"bytes"])
def test_what_is_no_table(thing):
    with pytest.raises(SweepError):
        read(thing)


def trial(number, state, value, **attributes):
    return SimpleNamespace(
        number=number,
        state=SimpleNamespace(name=state),
        value=value,
        params={"lr": 0.1 * (number + 1)},
        user_attrs=attributes,
    )


def study(trials, directions=("MINIMIZE",)):
    names = [SimpleNamespace(name=name) for name in directions]
    return SimpleNamespace(study_name="lr-sweep", trials=trials, directions=names)


def test_an_optuna_study():
    sweep = read(
        study(
            [
                trial(0, "COMPLETE", 3.0, width=64),
                trial(1, "FAIL", None, width=64),
                trial(2, "PRUNED", 2.0, width=64),
                trial(3, "RUNNING", None, width=64),
                trial(4, "COMPLETE", 2.5, width=128),
            ]
        )
    )
    np.testing.assert_array_equal(sweep.loss, [3.0, np.nan, 2.5])
    assert sweep.hp.tolist() == pytest.approx([0.1, 0.2, 0.5])
    assert sweep.scale.tolist() == [64.0, 64.0, 128.0]
    assert sweep.variants == ("all",)


def test_optuna_studies_that_do_not_fit():
    with pytest.raises(SweepError, match="must minimise one loss"):
        read(study([trial(0, "COMPLETE", 3.0, width=64)], ["MAXIMIZE"]))
    with pytest.raises(SweepError, match="must minimise one loss"):
        read(study([trial(0, "COMPLETE", 3.0, width=64)], ["MINIMIZE", "MINIMIZE"]))
    with pytest.raises(SweepError, match="has no rows"):
        read(study([trial(0, "RUNNING", None, width=64)]))
    with pytest.raises(SweepError, match=r"row 7 of study lr-sweep has width=abc"):
        read(study([trial(0, "COMPLETE", 3.0, width=64), trial(7, "COMPLETE", 3.0, width="abc")]))
