"""`hptransfer fit` over several axes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from surfaces import FOUR, joint_sweep, sweep_of

Run = Callable[..., tuple[int, str, str]]
Csv = Callable[..., Path]


@pytest.fixture(scope="module")
def text() -> str:
    sweep = sweep_of(FOUR)
    rows = zip(sweep.scale, sweep.extra["tokens"], sweep.hp, sweep.loss, strict=True)
    return "params,tokens,lr,loss\n" + "".join(f"{n:.0f},{d:.0f},{x},{y}\n" for n, d, x, y in rows)


def test_two_axes_and_a_target_are_printed_and_written(run: Run, csv: Csv, text: str, tmp_path: Path) -> None:
    page, data = tmp_path / "fit.html", tmp_path / "fit.json"
    code, out, err = run(
        "fit", csv(text), "--scale", "params,tokens", "--target", "params=3.2e9,tokens=20x", "--draws", 200,
        "--path", "params=1,tokens=0.5", "--html", page, "--json", data,
    )  # fmt: skip
    assert code == 0, err
    for words in (
        "lr over params and tokens",
        "params 3.2B, tokens 64B",
        "step-law",
        "largest tokens",
        "corner",
    ):
        assert words in out
    assert max(len(line) for line in out.splitlines() if not line.startswith("wrote ")) <= 80
    variant = json.loads(data.read_text())["variants"]["all"]
    assert variant["predictions"][0]["at"] == {"params": 3.2e9, "tokens": 6.4e10}
    assert variant["axes"][-1]["name"] == "params^1 tokens^0.5"
    html = page.read_text()
    assert "Contours of the optimal lr" in html
    assert '"along0"' in html
    assert "Hold-out check" in html


def test_the_json_alone_goes_to_standard_output(run: Run, csv: Csv, text: str) -> None:
    code, out, _ = run("fit", csv(text), "--scale", "params,tokens", "--json", "-", "--draws", 100)
    assert code == 0
    assert json.loads(out)["axes"] == ["params", "tokens"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--scale", "params,tokens", "--target", "params=7e9"], "leaves out tokens"),
        (["--scale", "params,tokens", "--target", "4096"], "must be params=1e9,tokens=1e9"),
        (["--scale", "params,depth"], "no column 'depth'"),
        (["--scale", "params", "--target", "params=7e9,tokens=1e12"], "a target must be a scale"),
        (["--scale", "params", "--path", "params=1"], "several axes"),
        (["--scale", "params,tokens", "--family", "power"], "family is for one axis of scale"),
        (["--scale", "params,tokens", "--holdout", "2"], "holdout is for one axis of scale"),
        (["--scale", "params,tokens", "--where", "tokens == 2000000000"], "tokens is 2B in every run"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    run: Run, csv: Csv, text: str, arguments: list[str], words: str
) -> None:
    code, _, err = run("fit", csv(text), *arguments)
    assert code == 2
    assert words in err
    assert len(err.strip().splitlines()) == 1


def test_too_few_points_say_how_many_would_do(run: Run, csv: Csv, text: str) -> None:
    rows = text.splitlines()
    few = "\n".join([rows[0], *rows[1:23], *rows[34:45]])  # two tokens of one size, one of another
    code, _, err = run("fit", csv(few), "--scale", "params,tokens")
    assert code == 2
    assert "needs runs at 4 different points" in err


@pytest.fixture(scope="module")
def joint_text() -> str:
    sweep = joint_sweep(FOUR, share=0.4)
    columns = (sweep.scale, sweep.extra["tokens"], sweep.hp, sweep.extra["batch_size"], sweep.loss)
    rows = (",".join(f"{v:.12g}" for v in row) for row in zip(*columns, strict=True))
    return "\n".join(["params,tokens,lr,batch_size,loss", *rows]) + "\n"


def test_two_axes_and_two_hyperparameters(run: Run, csv: Csv, joint_text: str, tmp_path: Path) -> None:
    page, data = tmp_path / "fit.html", tmp_path / "fit.json"
    code, out, err = run(
        "fit", csv(joint_text), "--scale", "params,tokens", "--hp", "lr,batch_size", "--draws", 200,
        "--combination", "lr/sqrt(batch_size)", "--target", "params=3.2e9,tokens=20x",
        "--path", "params=1,tokens=0.5", "--html", page, "--json", data,
    )  # fmt: skip
    assert code == 0, err
    for words in ("Use lr 0.", "params 3.2B, tokens 64B", "step-law batch", "lr per batch_size", "corner"):
        assert words in out
    assert max(len(line) for line in out.splitlines() if not line.startswith("wrote ")) <= 80
    variant = json.loads(data.read_text())["variants"]["all"]
    assert variant["predictions"][0]["at"] == {"params": 3.2e9, "tokens": 6.4e10}
    assert variant["laws"]["lr"]["axes"][-1]["name"] == "params^1 tokens^0.5"
    html = page.read_text()
    for words in ("Contours of the optimal batch_size", "Where the optimum lies", "Hold-out check"):
        assert words in html


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--target", "params=7e9"], "leaves out tokens"),
        (["--reference", "all"], "--reference goes with one hyperparameter"),
        (["--holdout", "2"], "holdout is for one axis of scale"),
        (["--combination", "lr+batch_size"], "product of powers"),
        (["--where", "tokens == 2000000000"], "tokens is 2B in every run"),
    ],
)
def test_bad_input_of_both_is_one_line(
    run: Run, csv: Csv, joint_text: str, arguments: list[str], words: str
) -> None:
    names = ("--scale", "params,tokens", "--hp", "lr,batch_size")
    code, _, err = run("fit", csv(joint_text), *names, *arguments)
    assert code == 2
    assert words in err
    assert len(err.strip().splitlines()) == 1
