import json
from pathlib import Path

import numpy as np
import pytest

from hptransfer.dynamics.probe_table import COLUMNS, ProbeLog, table
from hptransfer.errors import DynamicsError

LOG = ProbeLog(
    (0, 10),
    (("readout", "readout", "grad_rms"), ("", "", "critical_lr")),
    np.array([[0.1234567891, np.nan], [2.0, 3.0]]),
)


def test_a_log_is_plain_data_and_comes_back() -> None:
    again = ProbeLog.from_data(json.loads(json.dumps(LOG.as_data(), allow_nan=False)))
    assert (again.steps, again.rows) == (LOG.steps, LOG.rows)
    np.testing.assert_allclose(again.values, LOG.values, rtol=1e-6)


@pytest.mark.parametrize("data", [{}, {"steps": [0], "rows": [["a", "b"]], "values": [[1.0]]}])
def test_other_data_is_refused_in_one_line(data: dict) -> None:
    with pytest.raises(DynamicsError, match="probe log must hold"):
        ProbeLog.from_data(data)


def test_a_log_of_the_wrong_shape_is_refused() -> None:
    with pytest.raises(DynamicsError, match=r"\[1, 1\], but got \[2, 1\]"):
        ProbeLog((0,), (("a", "hidden", "grad_rms"),), np.zeros((2, 1)))


def test_a_table_has_a_row_a_known_value() -> None:
    both = table({"r1": LOG, "r2": LOG})
    frame = both.to_frame()
    assert tuple(frame.columns) == COLUMNS
    assert len(both) == 6
    assert frame.value.notna().all()
    one = both.select(run="r2", name="grad_rms", step=10)
    assert one.value.tolist() == [2.0]
    assert one.role.tolist() == ["readout"]


def test_selecting_by_an_unknown_column_names_the_valid_ones() -> None:
    with pytest.raises(DynamicsError, match="run, step, layer, role, name, but got 'probe'"):
        table({"r": LOG}).select(probe="grad_rms")


def test_csv_holds_the_same(tmp_path: Path) -> None:
    import pandas as pd

    path = tmp_path / "probes.csv"
    table({"r": LOG}).to_csv(path)
    found = pd.read_csv(path, keep_default_na=False)
    pd.testing.assert_frame_equal(found, table({"r": LOG}).to_frame(), check_dtype=False)


def test_no_runs_make_an_empty_table() -> None:
    assert len(table({})) == 0
    assert "nothing" in repr(table({}))
