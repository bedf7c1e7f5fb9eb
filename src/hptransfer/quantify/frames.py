"""A fit as tidy pandas frames, one row a number."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hptransfer.errors import QuantifyError
from hptransfer.quantify.to_json import to_json_dict

if TYPE_CHECKING:
    import pandas as pd

    from hptransfer.quantify.result import SweepFit

TABLES = ("metrics", "optima", "laws", "regret", "predictions", "holdouts", "verdicts")


def to_frame(fit: SweepFit, table: str = "metrics") -> pd.DataFrame:
    """One table of a fit, the numbers and names of its JSON.

    Args:
        fit: the result of `quantify`.
        table: `metrics` and `laws` (a row for each of every variant), `optima`, `predictions` and
            `holdouts` (a row a scale), `regret` (a row a pair of scales), or `verdicts`.

    Raises:
        QuantifyError: where there is no such table.
    """
    import pandas as pd

    if table not in TABLES:
        raise QuantifyError(f"the table must be one of {', '.join(TABLES)}, but got {table!r}")
    rows: list[dict[str, Any]] = []
    for name, variant in to_json_dict(fit)["variants"].items():
        if table == "verdicts":
            part = [_flat(variant["verdict"])]
        elif table == "metrics":
            part = [{"metric": metric, **values} for metric, values in variant["metrics"].items()]
        elif table == "laws":
            fitted = {key: law for key, law in variant["laws"].items() if law is not None}
            part = [{"law": key, **{k: law[k] for k in _LAW_COLUMNS}} for key, law in fitted.items()]
        else:
            part = variant[table]
        rows += [{"variant": name, **row} for row in part]
    return pd.DataFrame(rows)


def _flat(verdict: dict[str, Any]) -> dict[str, Any]:
    """A verdict as one row: the two answers side by side, `keep`, `keep_cost` and so on."""
    row = {k: v for k, v in verdict.items() if k not in ("keep", "extrapolate", "suggested")}
    for name in ("keep", "extrapolate"):
        answer = verdict[name]
        row |= {name if key == "value" else f"{name}_{key}": value for key, value in answer.items()}
    return row


_LAW_COLUMNS = ("family", "exponent", "exponent_low", "exponent_high", "scatter", "flags")
