from dataclasses import replace

import pytest

from hptransfer.fit import TransferFit
from hptransfer.quantify.result import Estimate
from hptransfer.report import table_data


def test_every_row_is_as_long_as_its_columns_and_every_column_is_defined(fit: TransferFit) -> None:
    variants = list(fit.variants.values())
    names = table_data.main_metrics(fit)
    for table in (
        table_data.answers(fit, variants),
        table_data.reasons(fit, variants),
        table_data.metrics(fit, variants, names, "Metrics"),
        table_data.largest(fit, variants),
        table_data.optima(fit, variants),
        table_data.predictions(fit, variants),
        table_data.holdouts(fit, variants),
    ):
        assert all(len(row) == len(table.columns) for row in table.rows)
        assert all(c.definition for c in table.columns if c.title != "because"), table.title
        for row in table.rows:
            assert all(map(table_data.cell_text, table.columns, row)) or "flags" in table.columns[-1].title


@pytest.mark.parametrize(
    ("kind", "cell", "text"),
    [
        ("estimate", Estimate(0.5, 0.2, 0.8), "0.5 [0.2, 0.8]"),
        ("value", Estimate(0.5, 0.2, 0.8), "0.5"),
        ("hp_value", Estimate(0.01, 0.009, 0.011), "0.0100"),
        ("hp_interval", Estimate(0.01), "-"),
        ("estimate", None, "-"),
        ("flags", (), ""),
        ("flags", ("thin", "flat"), "thin, flat"),
        ("scale", 1024.0, "1,024"),
        ("number", 2000.0, "2,000"),
        ("text", "as it is", "as it is"),
    ],
)
def test_a_cell_is_written_as_its_column_asks(kind: str, cell: table_data.Cell, text: str) -> None:
    assert table_data.cell_text(table_data.Column("x", kind), cell) == text  # type: ignore[arg-type]


def test_plain_drift_gives_way_where_coordinates_are_known(fit: TransferFit) -> None:
    assert "drift" not in table_data.main_metrics(fit)
    metrics = {"drift": Estimate(1.0), "alpha": Estimate(1.0), "band": Estimate(1.0)}
    one = replace(fit, variants={"sp": replace(fit.variants["sp"], metrics=metrics)})
    assert table_data.main_metrics(one) == ("drift",)
    assert table_data.other_metrics(one) == ("alpha", "band")


def test_flags_are_named_once_and_silent_ones_left_out(fit: TransferFit) -> None:
    flags = ("thin: 2 runs", "thin: 3 runs", "beta of the power family")
    variant = fit.variants["sp"]
    last = replace(variant.optima[0], flags=flags)
    table = table_data.optima(fit, [replace(variant, optima=(last,))])
    assert table.rows[0][-1] == ("thin",)
