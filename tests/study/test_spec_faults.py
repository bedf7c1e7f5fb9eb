"""Specs that say what no spec should: one line at once, and the limits are stated."""

import time
from pathlib import Path

import pytest

from hptransfer.cli import main

FAULTS = Path(__file__).parents[3] / "shared" / "faults" / "input"
GOOD = "name: t\nvariants: [sp]\nwidths: [32, 64]\nlr: {low: 2^-6, high: 2^-2}\n"
WRONG = {
    "depth": (GOOD + "model: {depth: 1000000000}", "10000"),
    "seeds": (GOOD + f"seeds: {list(range(20_000))}", "10000"),
    "runs": (
        GOOD + f"seeds: {list(range(10_000))}\nweight_decays: {[w / 100 for w in range(100)]}",
        "200,000",
    ),
    "power": (GOOD.replace("2^-2", "0^-1"), "lr.high"),
    "true width": (GOOD.replace("64", "true"), "truth"),
    "true seed": (GOOD + "seeds: [0, true]", "truth"),
    "true depth": (GOOD + "model: {depth: true}", "truth"),
    "octal": (GOOD.replace("64", "064"), "plain digits"),
    "sexagesimal": (GOOD.replace("64", "1:30:00"), "plain digits"),
    "twice": (GOOD + "widths: [128]", "given twice"),
    "infinite budget": (GOOD + "train: {tokens_per_param: .inf}", "finite"),
    "infinite price": (GOOD + "cost: {price: .inf}", "finite"),
    "infinite time": (GOOD + "trial: {kind: command, command: t, timeout: .inf}", "finite"),
    "huge": (GOOD + "seeds: [0x" + "F" * 4990 + "]", "2^63"),
    "many tokens": (GOOD + "train: {steps: 1000000000000, batch_size: 100000000}", "2^63"),
}


def planned(path, capsys):
    began = time.process_time()
    with pytest.raises(SystemExit) as ended:
        main(["plan", str(path), "--no-budget"])
    assert time.process_time() - began < 20
    printed = capsys.readouterr()
    assert ended.value.code == 2, printed
    assert printed.err.count("\n") == 1
    assert len(printed.err) < 1000
    return printed.err


@pytest.mark.parametrize("kind", WRONG)
def test_a_wrong_spec_is_one_line(kind, tmp_path, capsys):
    text, says = WRONG[kind]
    (tmp_path / "spec.yaml").write_text(text)
    assert says in planned(tmp_path / "spec.yaml", capsys)


@pytest.mark.parametrize(
    "change", ["widths=[32,true]", "seeds=&a [*a]", "train.steps=.inf", "lr.low=0x" + "f" * 5000]
)
def test_a_wrong_change_is_one_line(change, tmp_path, capsys):
    (tmp_path / "spec.yaml").write_text(GOOD)
    with pytest.raises(SystemExit) as ended:
        main(["plan", str(tmp_path / "spec.yaml"), "--set", change])
    assert ended.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.skipif(not FAULTS.exists(), reason="the shared inputs are not here")
@pytest.mark.parametrize("path", sorted(FAULTS.glob("spec_*.yaml")), ids=lambda path: path.stem)
def test_known_specs_are_one_line(path, capsys):
    planned(path, capsys)
