import pytest

from hptransfer.errors import SweepError
from hptransfer.sweep import read

LRS, WIDTHS = (0.001, 0.002, 0.004), (64, 128, 256)


def wide(runs, heads, corner):
    """CSV with the LRs (`lr`) or the widths as heads."""
    losses = {(width, lr): loss for width, lr, loss in runs}
    if heads[0].strip("lr= @dw").startswith("0") or "^" in heads[0] or heads[0].startswith("-"):
        rows = [[str(w), *(str(losses[w, lr]) for lr in LRS)] for w in WIDTHS]
    else:
        rows = [[str(lr), *(str(losses[w, lr]) for w in WIDTHS)] for lr in LRS]
    return "\n".join(",".join(row) for row in [[corner, *heads], *rows]) + "\n"


@pytest.mark.parametrize(
    ("corner", "heads"),
    [
        ("width", ["0.001", "0.002", "0.004"]),
        ("", ["0.001", "0.002", "0.004"]),
        ("d_model \\ lr", ["0.001", "0.002", "0.004"]),
        ("model", ["lr=0.001", "lr=0.002", "lr=0.004"]),
        ("lr", ["64", "128", "256"]),
        ("lr", ["d=64", "d=128", "d=256"]),
        ("eta", ["w64", "w128", "w256"]),
        ("learning rate ↓ width →", ["64", "128", "256"]),
    ],
)
def test_heads_that_are_learning_rates_or_sizes(runs, right, write, corner, heads):
    sweep = read(write(wide(runs, heads, corner)))
    right(sweep)
    assert "is read as a wide table" in sweep.notes[0]


def test_logarithms_as_heads_need_to_be_said(right, write):
    text = "width,-8,-7,-6\n64,3,2,3\n128,3,2,3\n"
    right(
        read(write(text), hp_scale="log2"),
        [(w, 2.0**x, 2 + abs(x + 7)) for w in (64, 128) for x in (-8, -7, -6)],
    )
    with pytest.raises(SweepError, match=r"has lr=-8.0; say --hp-scale log2 if it is a logarithm"):
        read(write(text))


def test_powers_as_heads(write):
    assert read(write("width,2^-8,2^-7\n64,3,2\n128,3,2\n")).hp.tolist() == [2**-8, 2**-7] * 2


def test_a_blank_cell_is_no_run_and_a_dash_diverged(write):
    sweep = read(write("width,0.001,0.002\n64,3,\n128,—,2\n"))
    assert len(sweep) == 3
    assert sweep.diverged.tolist() == [False, True, False]


def test_a_column_in_which_all_diverged_is_a_head_too(write):
    assert read(write("width,0.1,0.2\n64,3,nan\n128,3,nan\n")).diverged.tolist() == [False, True] * 2


def test_heads_with_the_loss_in_them(write):
    sweep = read(write("width,val_loss_lr0.1,val_loss_lr0.2\n64,3,2\n128,3,2\n"))
    assert (sweep.columns.loss, sweep.hp.tolist()) == ("val_loss", [0.1, 0.2, 0.1, 0.2])


def test_variants_as_heads(write):
    sweep = read(write("width,lr,SP,muP\n64,0.1,3,2\n128,0.1,3.5,2.5\n"))
    assert sweep.variants == ("SP", "muP")
    assert sweep.loss.tolist() == [3, 2, 3.5, 2.5]


def test_a_long_table_with_numbers_among_its_heads_stays_as_it_is(write):
    sweep = read(write("width,lr,loss,50,90\n64,0.1,3,1,1\n128,0.1,2,1,1\n"))
    assert (len(sweep), sweep.notes) == (2, ())


def test_a_head_under_which_every_run_diverged_is_one(write):
    sweep = read(write("width,lr=0.1,lr=0.2,lr=0.4\n64,3,2,diverged\n128,2,OOM,>10\n256,2,1,exploded\n"))
    assert sorted(zip(sweep.scale[sweep.diverged], sweep.hp[sweep.diverged], strict=True)) == [
        (64, 0.4), (128, 0.4), (256, 0.4)
    ]  # fmt: skip
    assert len(sweep) == 8
