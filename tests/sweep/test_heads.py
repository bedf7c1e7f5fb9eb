"""Heads of two rows, names of rows, and cells that stand once above their rows."""

import pytest

from hptransfer.sweep import read
from hptransfer.sweep.heads import filled_down, with_one_head, with_row_names

LRS = (0.001, 0.002, 0.004)
WIDTHS = (64, 128, 256)


def loss(width, lr):
    return round(3 + 64 / width + 0.05 * abs(LRS.index(lr) - 1), 4)


def test_groups_over_columns_become_a_column():
    lines = [(1, ["width", "SP", None, "muP", None]), (2, [None, 0.1, 0.2, 0.1, 0.2]), (3, [64, 1, 2, 3, 4])]
    assert with_one_head(lines) == [
        (1, ["width", "variant", "0.1", "0.2"]), (3, [64, "SP", 1, 2]), (3, [64, "muP", 3, 4])
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("groups", "name"),
    [(("128", "256"), "width"), (("d=128", "d=256"), "d"), (("SP", "muP"), "variant")],
)
def test_the_groups_are_named_by_what_they_are(groups, name):
    lines = [(1, ["lr", groups[0], "", groups[1], ""]), (2, ["", "loss", "acc", "loss", "acc"]), (3, [1] * 5)]
    assert with_one_head(lines)[0][1] == ["lr", name, "loss", "acc"]


@pytest.mark.parametrize(
    "lines",
    [
        [["width", "lr", "loss", "loss"], [64, 0.1, 3, 4], [64, 0.2, 3, 4]],  # two columns of one name
        [["width", "lr", "loss"], [64, 0.1, 3], [128, 0.1, 3]],
        [["width", "loss", "", ""], ["64", "3.0", "3.1", "3.2"], ["128", "3", "3", "3"]],  # a head left blank
        [["a", "SP", ""], ["", "x", "x"], [1, 2, 3]],
    ],
)
def test_any_other_table_stays_as_it_is(lines):
    numbered = list(enumerate(lines, start=1))
    assert with_one_head(numbered) == numbered


def test_a_pivot_of_pandas_with_two_levels(write):
    pd = pytest.importorskip("pandas")
    rows = [
        {"rule": v, "width": n, "lr": lr, "loss": loss(n, lr)}
        for v in ("sp", "mup") for n in WIDTHS for lr in LRS
    ]  # fmt: skip
    text = pd.DataFrame(rows).pivot(index="width", columns=["rule", "lr"], values="loss").to_csv()
    sweep = read(write(text))
    assert set(sweep.variants) == {"sp", "mup"}
    assert sorted(zip(sweep.scale, sweep.hp, sweep.loss, strict=True)) == sorted(
        (n, lr, loss(n, lr)) for n in WIDTHS for lr in LRS for _ in range(2)
    )


def test_a_hyperparameter_over_its_values(write):
    text = "width,learning rate,,\n,0.001,0.002,0.004\n" + "".join(
        f"{n},{','.join(str(loss(n, lr)) for lr in LRS)}\n" for n in WIDTHS
    )
    sweep = read(write(text))
    assert sorted(set(sweep.hp)) == list(LRS)
    assert sorted(set(sweep.scale)) == list(WIDTHS)


def test_names_of_rows():
    assert with_row_names(["a", "b"], [["r1", 1, 2], ["r2", 3, 4]]) == ["", "a", "b"]
    assert with_row_names(["a", "b"], [["r1", 1, ""], ["r2", 3, ""]]) == ["a", "b"]  # a mark at the end
    assert with_row_names(["a", "b"], [["r", 1, 2], ["r", 3, 4]]) == ["a", "b"]
    assert with_row_names(["a", "b"], [["1", 1, 2], ["2", 3, 4]]) == ["", "a", "b"]
    assert with_row_names(["width", "loss"], [["64", "3", "5"], ["128", "3", "2"]]) == [
        "width",
        "loss",
    ]  # 3,5


def test_what_stands_once_above_its_rows(write, right):
    rows = [["sp", 64, 0.1], [None, None, 0.2], [None, 128, 0.1], [None, "", 0.2]]
    filled, names = filled_down(["variant", "width", "loss"], rows)
    assert [row[:2] for row in filled] == [["sp", 64], ["sp", 64], ["sp", 128], ["sp", 128]]
    assert names == ["variant", "width"]
    text = "width,lr,loss\n" + "".join(
        f"{n if lr == LRS[0] else ''},{lr},{loss(n, lr)}\n" for n in WIDTHS for lr in LRS
    )
    sweep = read(write(text))
    right(sweep)
    assert any("blank cells of width" in note for note in sweep.notes)


def test_a_blank_loss_or_seed_is_not_filled():
    rows = [[64, 3.0, "1"], [64, "", ""], [64, "", ""], [64, "", ""]]
    assert filled_down(["width", "loss", "seed"], rows) == (rows, [])


def test_blank_losses_under_learning_rates_are_no_runs(write):
    sweep = read(write("width,lr=0.1,lr=0.2\n64,3,2\n128,2,\n256,1,\n512,1,\n"))
    assert sorted(zip(sweep.scale, sweep.hp, strict=True)) == [
        (64, 0.1), (64, 0.2), (128, 0.1), (256, 0.1), (512, 0.1)
    ]  # fmt: skip
