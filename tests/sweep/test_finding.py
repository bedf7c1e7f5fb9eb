import pytest

from hptransfer.errors import SweepError
from hptransfer.sweep import read


def columns(**changes):
    return {"width": [64, 64, 128, 128], "lr": [0.1, 0.2] * 2, "loss": [3.0, 2.5, 2.0, 2.2]} | changes


def renamed(**names):
    return {names.get(name, name): cells for name, cells in columns().items()}


def test_unknown_names_are_understood_and_said():
    sweep = read(renamed(width="hidden_size", lr="peak_lr", loss="eval_loss") | {"train_loss": [1, 2, 3, 4]})
    assert sweep.taken == (
        "Read as scale = hidden_size; hp = peak_lr; loss = eval_loss (also there: train_loss). "
        "--scale --hp --loss say otherwise."
    )
    assert (sweep.columns.scale, sweep.columns.hp) == ("hidden_size", "peak_lr")


def test_usual_or_named_columns_say_nothing():
    assert read(columns()).taken == ""
    assert read(renamed(loss="val"), loss="val").taken == ""


def test_two_readings_are_listed_with_the_command_for_each():
    data = columns(c4_loss=[1, 2, 3, 4], pile_loss=[4, 3, 2, 1])
    del data["loss"]
    with pytest.raises(
        SweepError, match=r'--loss "c4_loss"  or  hptransfer fit the mapping --loss "pile_loss"'
    ):
        read(data)
    assert read({**data, "pile_loss": data["c4_loss"]}).columns.loss == "c4_loss"


def test_all_that_is_missing_is_said_at_once_and_only_columns_of_the_file(tmp_path):
    (tmp_path / "runs.csv").write_text("a,b\n1,2\n3,4\n")
    with pytest.raises(SweepError) as caught:
        read(tmp_path / "runs.csv")
    said = str(caught.value)
    assert all(flag in said for flag in ("--scale", "--hp", "--loss"))
    assert said.endswith("columns: a, b")


def test_a_column_of_one_value_gives_way_to_one_that_differs():
    sweep = read(columns(width=[64] * 4, tokens=[1e9, 1e9, 2e9, 2e9]))
    assert sweep.columns.scale == "tokens"
    assert read(columns(lr=[0.1] * 4, weight_decay=[0.1, 0.2] * 2)).columns.hp == "weight_decay"
    assert read(columns(width=[64] * 4)).columns.scale == "width"


def test_sizes_that_change_together_are_one():
    assert read(renamed(width="d_model") | {"params": [1e6, 1e6, 4e6, 4e6]}).columns.scale == "d_model"


def test_the_one_column_left_is_the_loss_but_an_accuracy_is_not():
    assert read(renamed(loss="result")).columns.loss == "result"
    with pytest.raises(SweepError, match="the loss"):
        read(renamed(loss="accuracy"))


def test_variants_by_their_usual_names():
    data = columns(optimizer=["adamw", "lion"] * 2, note=["a", "b", "c", "d"])
    assert read(data).variants == ("adamw", "lion")
    assert read(data | {"use_mup": [True, True, False, False]}).variants[0] == "adamw use_mup=True"
    assert read(columns(use_mup=[True, True, False, False])).variants == ("use_mup=True", "use_mup=False")
    assert read(data, variant="note").variants == ("a", "b", "c", "d")
    assert read(columns(optimizer=["adamw"] * 4)).variants == ("all",)


def test_seeds_by_their_usual_names():
    assert read(columns(random_seed=[0, 1, 0, 1])).seed.tolist() == ["0", "1", "0", "1"]


def test_logarithms_are_undone():
    sweep = read(renamed(lr="log2_lr") | {"log2_lr": [-8, -7] * 2})
    assert (sweep.hp.tolist(), sweep.columns.hp) == ([2**-8, 2**-7] * 2, "lr")
    assert read(columns(lr=[-3, -2] * 2), hp_scale="log10").hp.tolist() == pytest.approx([1e-3, 1e-2] * 2)
    with pytest.raises(SweepError, match="--hp-scale must be one of linear, log2, log10, ln"):
        read(columns(), hp_scale="log3")


def test_a_hyperparameter_of_0_is_left_out_with_a_note():
    sweep = read(columns(lr=[0, 0.1] * 2))
    assert (len(sweep), sweep.notes) == (
        2,
        ("left out: 2 runs with lr = 0, since the fit is over its logarithm",),
    )
    with pytest.raises(SweepError, match=r'has lr=-1; leave it out: --where "lr > 0"'):
        read(columns(lr=[-1, 0.1] * 2))
