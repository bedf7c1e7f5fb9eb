import io
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from hptransfer.fit import TransferFit, quantify
from hptransfer.quantify.result import Estimate
from hptransfer.report import sentences, table_data
from hptransfer.report.terminal import print_summary, print_table, summary_text
from hptransfer.sweep.table import SweepTable


def test_summary_holds_what_a_person_reads_aloud(fit: TransferFit) -> None:
    text = summary_text(fit)
    assert text.startswith("Keep the small models' value: mup. Do not keep the value; follow its law:")
    for part in (
        "270 runs of 3 variants over width 32 to 128",
        "95% credible intervals",
        "Learning rates are in SP coordinates.",
        "-1.20 [-1.26, -1.14]",  # drift, SP coordinates
        "-0.20 [-0.26, -0.14]",  # the same, muP coordinates
        "2.2e-5 [1.9e-5, 3.0e-5]",  # E
        "0.5 [0.2, 0.8]",  # kappa
        "0.08 [0.02, 0.14]",  # R(inf)
        "0.080 [0.072, 0.088]",  # R(n)
        "3.992 [3.986, 3.998]",  # loss at the largest width
        "2^-12.19 = 0.00021",  # recommended at the target
        "[0.00019, 0.00027]",  # its interval
        "-0.31",  # hold-out error
        "costs 0.112 nats [0.094, 0.131]",  # why not
    ):
        assert part in text


def test_drift_without_known_coordinates_is_shown_once(fit: TransferFit) -> None:
    variants = {
        name: replace(v, metrics={"drift": v.metrics["drift"], "E": v.metrics["E"]})
        for name, v in fit.variants.items()
    }
    text = summary_text(replace(fit, variants=variants, settings={"level": 0.9}))
    assert "drift (SP)" not in text
    assert "coordinates" not in text
    assert "90% interval" in text


@pytest.mark.parametrize("name", ["fit", "thin_fit", "lost_scale_fit"])
def test_fits_80_columns_in_plain_characters(name: str, request: pytest.FixtureRequest) -> None:
    text = summary_text(request.getfixturevalue(name))
    assert max(len(line) for line in text.splitlines()) <= 80
    assert text.isascii()
    assert "\x1b" not in text


def test_sixteen_published_variants_fit_80_columns_unbroken(make_fit: Callable[..., TransferFit]) -> None:
    names = ("sp", "sp+embd+ln+attn", "mup-embd", "mup")
    text = summary_text(make_fit(names))
    assert max(len(line) for line in text.splitlines()) <= 80
    assert "sp+embd+ln+attn  " in text


def test_thin_data_says_why_the_rest_is_missing(thin_fit: TransferFit) -> None:
    text = " ".join(summary_text(thin_fit).split())
    assert "Not done: it needs a law that stands without the largest scale." in text
    assert "no_laws: too few scales with a usable optimum for a law" in text
    assert "one width only" in text
    assert "nan" not in text.lower()


def test_flags_are_explained_once_and_unknown_ones_kept(fit: TransferFit) -> None:
    variants = {name: replace(v, flags=("odd_thing", "thin")) for name, v in fit.variants.items()}
    text = " ".join(summary_text(replace(fit, variants=variants)).split())
    assert text.count("too few finished runs near the optimum") == 1
    assert "odd_thing [sp; sp+embd; mup]" in text


def test_user_text_is_never_markup(make_fit: Callable[..., TransferFit]) -> None:
    text = summary_text(make_fit(("[red]sp[/red]", "[/]")))
    assert "[red]sp[/red]" in text
    assert "[/]" in text


def test_names_outside_the_consoles_encoding_do_not_stop_the_report(
    make_fit: Callable[..., TransferFit],
) -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    print_summary(make_fit(("\u03bcP",)), Console(file=stream, width=80))
    stream.flush()
    assert b"?P" in raw.getvalue()


def test_many_variants_show_the_first_and_say_so(fit: TransferFit) -> None:
    one = fit.variants["sp"]
    variants = {f"v{i}": replace(one, name=f"v{i}") for i in range(10_000)}
    text = summary_text(replace(fit, variants=variants), limit=5)
    assert "tune again: 10,000." in text
    assert "The first 5 of 10,000 variants are shown; the JSON holds all." in text
    assert "v4" in text
    assert "v5" not in text


def test_undecided_names_the_suggested_runs(make_fit: Callable[..., TransferFit]) -> None:
    text = " ".join(summary_text(make_fit(("a", "b", "c", "d"))).split())
    assert "of what was spent: width 128 at lr = 0.0110 (3 seeds, 2.4e12 FLOPs)" in text


@pytest.fixture(scope="module")
def paired() -> TransferFit:
    """A fit of ours with its draws, of a sweep table whose second variant is the better one."""
    rng = np.random.default_rng(1)
    rows = [
        (name, n, lr, "0", 3 + gap + n**-0.5 + 0.05 * (np.log2(lr) + 6.3 + drift * np.log2(n / 32)) ** 2)
        for name, gap, drift in (("a", 0.2, 1.0), ("b", 0.0, 0.0), ("c", 0.1, 0.5))
        for n in (32.0, 64.0, 128.0, 256.0)
        for lr in 2.0 ** np.arange(-12.0, -2.0)
    ]
    variant, scale, hp, seed, loss = (np.array(column) for column in zip(*rows, strict=True))
    return quantify(SweepTable(variant, scale, hp, seed, loss + rng.normal(0, 0.003, len(loss))), draws=200)


def test_differences_are_taken_from_the_best_variant(paired: TransferFit, fit: TransferFit) -> None:
    assert sentences.reference(paired) == "b"
    table = table_data.differences(paired, paired.variants.values(), "b")
    assert [row[0] for row in table.rows] == ["a", "c"]
    drift = table.rows[0][1]
    assert isinstance(drift, Estimate)
    assert drift.value == pytest.approx(-1, abs=0.1)
    out = io.StringIO()
    print_table(table, Console(file=out, width=80))
    assert out.getvalue().startswith("Difference from b")
    assert sentences.reference(fit) is None  # no draws, so nothing to pair


def test_report_loads_neither_torch_nor_a_plotting_library() -> None:
    code = (
        "import sys, hptransfer.report.terminal\n"
        "heavy = {'torch', 'matplotlib', 'plotly', 'pandas'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    env = {**os.environ, "PYTHONWARNINGS": "ignore"}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
