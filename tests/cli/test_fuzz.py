"""Any table and any arguments: an answer and exit code 0, or one line and exit code 2."""

import contextlib
import io
import json
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hptransfer.cli import main
from hptransfer.quantify import suggest

FEW = settings(max_examples=60)
NAMES = ("variant", "width", "lr", "seed", "loss", "epoch")


def run(content: bytes, arguments: list[str], name: str = "runs.csv") -> tuple[int, str, str, dict | None]:
    with tempfile.TemporaryDirectory() as folder:
        path, out = Path(folder, name), Path(folder, "fit.json")
        path.write_bytes(content)
        printed, errors = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(errors):
            try:
                main(["fit", str(path), "--draws", "100", "--json", str(out), *arguments])
            except SystemExit as ended:
                code = ended.code
        document = json.loads(out.read_text(), parse_constant=float) if out.exists() else None
        return code or 0, printed.getvalue(), errors.getvalue(), document


def fine(code: int, printed: str, errors: str, document: dict | None) -> None:
    """What must hold of every run of the program."""
    assert "Traceback" not in printed + errors
    if code == 0:
        assert document is not None
        assert printed
    else:
        assert code == 2
        assert document is None or "holds one, " in errors
        assert errors.splitlines()[-1].lower().startswith("error: ")


@FEW
@given(st.binary(max_size=200), st.sampled_from(["runs.csv", "runs.json", "runs.jsonl", "runs.tsv", "runs"]))
@example(b"PAR1PAR1", "runs.parquet")
@example(b"\xef\xbb\xbf", "runs.csv")
@example(b'{"width": {}, "lr": {}}', "runs.json")
def test_any_bytes(content, name):
    fine(*run(content, [], name))


CELL = st.one_of(
    st.sampled_from(
        ["", "nan", "inf", "-1", "0", "1e-3", "0.5", "64", "128", "256", "3.2", "diverged", "sp", "é", '"']
    ),
    st.floats(allow_nan=True).map(repr),
    st.integers().map(str),
    st.text(max_size=6),
)


@FEW
@given(st.lists(st.lists(CELL, min_size=5, max_size=5), max_size=12), st.permutations(NAMES))
def test_any_cells(rows, names):
    lines = [",".join(names[:5]), *(",".join(row) for row in rows)]
    fine(*run("\n".join(lines).encode(), []))


LRS = st.sampled_from([2.0**-k for k in range(12)])
WIDTHS = st.sampled_from([1e-3, 64, 128, 256, 512, 1e9])
LOSSES = st.one_of(
    st.sampled_from(["nan", "inf", "0", "3", "6e11", "3e38", "1e200", "-5", "1e-38"]),
    st.floats(0, 10).map(repr),
)


@FEW
@given(
    st.lists(
        st.tuples(st.sampled_from("ab"), WIDTHS, LRS, st.sampled_from("01"), LOSSES), min_size=1, max_size=60
    ),
    st.sampled_from(
        [[], ["--family", "power"], ["--family", "offset"], ["--family", "const"], ["--holdout", "3"]]
    ),
    st.sampled_from(
        [[], ["--reference", "a"], ["--coordinates", "sp"], ["--target", "4096", "--target", "1e-9"]]
    ),
)
def test_any_sweep_that_can_be_read_is_fitted(rows, law, more):
    lines = ["variant,width,lr,seed,loss", *(",".join(map(str, row)) for row in rows)]
    variants = {row[0] for row in rows}
    chosen = law + more
    code, printed, errors, document = run("\n".join(lines).encode(), ["--no-suggest", *chosen])
    fine(code, printed, errors, document)
    refused = "--reference" in chosen and "a" not in variants
    thin = len({row[1] for row in rows}) == 1 or "diverged" in errors
    assert code == (2 if refused or thin else 0), errors
    if document is not None:
        assert set(document["variants"]) == variants


def test_suggestions_for_absurd_losses_and_scales(monkeypatch):
    """Worlds of such tables are simulated and fitted; few of each, since each takes a fit."""
    few = replace(suggest.ADVICE, simulations=2, simulation_draws=100, more_seeds=(2,))
    monkeypatch.setattr(suggest, "ADVICE", few)
    loss = ("nan", "0", "3", "6e11", "3e38", "-5", "1e-38", "1.3", "8.7", "4e14")
    for start in range(12):
        rng = np.random.default_rng(start)
        widths, rates = rng.choice([1e-3, 64, 128, 256, 1e9], 4, replace=False), 2.0 ** -np.arange(9)
        lines = [f"a,{rng.choice(widths)},{rng.choice(rates)},0,{rng.choice(loss)}" for _ in range(40)]
        code, printed, errors, document = run("\n".join(["variant,width,lr,seed,loss", *lines]).encode(), [])
        fine(code, printed, errors, document)
        assert code == 0, errors


TABLE = "variant,width,lr,loss,epoch\n" + "".join(
    f"{v},{n},{2.0**-x},{3 + 64 / n + 0.05 * (x - 7) ** 2},{e}\n"
    for v in ("sp", "mup")
    for n in (64, 128, 256)
    for x in range(4, 11)
    for e in (1, 2)
)
FLAGS = st.sampled_from(
    ["scale", "hp", "loss", "by", "seed", "where", "profile", "target", "level", "tolerance"]
)
MORE_FLAGS = st.sampled_from(["family", "reference", "holdout", "coordinates", "filter", "limit"])
VALUES = st.one_of(
    st.sampled_from(
        ["width", "lr", "loss", "variant", "epoch", "variant,epoch", "file", "epoch == 1", "sp", "mup"]
    ),
    st.sampled_from(["0", "1", "-1", "0.5", "nan", "inf", "1e30", "power", "offset", "const", "4096", ""]),
    st.text(max_size=8),
)


@FEW
@given(st.lists(st.tuples(FLAGS | MORE_FLAGS, VALUES), max_size=4))
def test_any_arguments(pairs):
    arguments = [f"--{flag}={value}" for flag, value in pairs]
    fine(*run(TABLE.encode(), arguments))
