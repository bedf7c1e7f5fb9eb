"""Shapes that hold runs in a way of their own: HTML, YAML, dicts as Python prints them, sections, metrics."""

import pytest

from hptransfer.errors import SweepError
from hptransfer.sweep import read
from hptransfer.sweep.html_tables import largest_table


def html(runs):
    rows = "".join(f"<tr><td>{n}</td><td>{lr}</td><td><b>{loss}</b></td></tr>\n" for n, lr, loss in runs)
    small = "<table><tr><th>a</th></tr></table>"
    return f"<!DOCTYPE html>\n{small}<table><tr><th>width<th>lr</th><th>loss</th></tr>\n{rows}</table>{small}"


def yaml(runs):
    return "".join(f"- width: {n}\n  lr: {lr:.0e}\n  val_loss: {loss}\n" for n, lr, loss in runs)


def dicts(runs):
    return "".join(repr({"width": n, "lr": lr, "loss": loss}) + "\n" for n, lr, loss in runs)


def simple(runs):
    """A simple table of reStructuredText."""
    rule = "===== ====== =====\n"
    rows = "".join(f"{n:<5} {lr:<6} {loss}\n" for n, lr, loss in runs)
    return f"{rule}width lr     loss\n{rule}{rows}{rule}"


def metrics(runs):
    rows = "".join(
        f"{n},{lr},{metric},{value}\n"
        for n, lr, loss in runs for metric, value in (("train_loss", 1), ("val_loss", loss), ("acc", 0.5))
    )  # fmt: skip
    return f"width,lr,metric,value\n{rows}"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("t.html", html), ("page", html), ("r.yaml", yaml), ("r.yml", yaml), ("out.txt", dicts),
        ("t.rst", simple), ("long.csv", metrics),
    ],
)  # fmt: skip
def test_shapes(write, right, runs, name, text):
    right(read(write(text(runs), name)))


@pytest.mark.parametrize("title", ["# {}\n", "{}\n", "{},,\n", '"{}"\n\n'])
def test_sections_under_one_head_each(write, right, runs, title):
    body = "width,lr,loss\n" + "".join(f"{n},{lr},{loss}\n" for n, lr, loss in runs)
    sweep = read(write("".join(title.format(v) + body + "\n" for v in ("sp", "mup"))))
    assert set(sweep.variants) == {"sp", "mup"}
    right(sweep.select("sp"))


def test_files_put_together_are_one_table(write, right, runs):
    body = "width,lr,loss\n" + "".join(f"{n},{lr},{loss}\n" for n, lr, loss in runs)
    sweep = read(write(body + body))
    assert sweep.variants == ("all",)
    assert len(sweep) == 2 * len(runs)


def test_tables_of_a_folder_a_width(tmp_path, right, runs):
    for n in {n for n, _, _ in runs}:
        (tmp_path / f"width_{n}").mkdir()
        rows = "".join(f"{lr},0,{loss}\n" for width, lr, loss in runs if width == n)
        (tmp_path / f"width_{n}" / "results.csv").write_text(f"lr,seed,val_loss\n{rows}")
    right(read(tmp_path))


def test_heads_of_two_levels_in_one(write):
    heads = ",".join(f"\"('{rule}', {lr})\"" for rule in ("sp", "mup") for lr in (0.1, 0.2))
    sweep = read(write(f"width,{heads}\n64,1,2,3,4\n128,5,6,7,8\n"))
    assert set(sweep.variants) == {"sp", "mup"}
    assert sorted(sweep.loss) == [1, 2, 3, 4, 5, 6, 7, 8]


def test_losses_in_yaml_that_are_no_numbers_and_what_no_yaml_is(write):
    sweep = read(write("- {width: 64, lr: 1e-3, loss: .inf}\n- {width: 64, lr: 2e-3, loss: 3}\n", "r.yaml"))
    assert sweep.diverged.tolist() == [True, False]
    with pytest.raises(SweepError, match="not valid YAML"):
        read(write("a: &a [*a]\n", "r.yaml"))


def test_cells_that_span_columns():
    page = "<table><tr><th></th><th colspan=2>sp</th></tr><tr><td>1</td><td>2</td><td>3</td></tr></table>"
    assert largest_table(page) == ([["", "sp", "sp"], ["1", "2", "3"]], [1, 1])
    assert largest_table("<p>no table</p>") is None


def test_a_column_of_words_that_alone_tells_runs_apart_is_the_variant(write):
    rows = [(w, lr, word) for w in (64, 128) for lr in (0.1, 0.2) for word in ("a", "b")]
    body = "".join(f"{w},{lr},{word},run{i},3.{i}\n" for i, (w, lr, word) in enumerate(rows))
    sweep = read(write(f"width,lr,how,comment,loss\n{body}"))
    assert set(sweep.variants) == {"a", "b"}
    assert "variant = how" in sweep.taken
    twice = read(write(f"width,lr,how,comment,loss\n{body}{body}"))
    assert twice.variants == ("all",)  # it does not tell them all apart
