import numpy as np
import pytest
from joint_sweeps import SCALES, two_hps

from hptransfer.errors import QuantifyError
from hptransfer.quantify.joint.combination import column_offset, parse_combination

VALID = ("lr", "batch_size", "weight_decay", "width", "tokens", "model.lr_embedding", "lr_hidden")


@pytest.mark.parametrize(
    ("text", "powers"),
    [
        ("lr/sqrt(batch_size)", {"lr": 1, "batch_size": -0.5}),
        ("batch_size/(lr*wd*tokens)", {"batch_size": 1, "lr": -1, "weight_decay": -1, "tokens": -1}),
        ("model.lr_embedding / lr_hidden", {"model.lr_embedding": 1, "lr_hidden": -1}),
        ("lr**2 * batch^-0.5", {"lr": 2, "batch_size": -0.5}),
        ("lr**(1/2)", {"lr": 0.5}),
        ("(lr*tokens)**-(1/3)", {"lr": -1 / 3, "tokens": -1 / 3}),
        ("1/lr", {"lr": -1}),
        ("bs*lr/bs", {"lr": 1}),
        ("learning_rate", {"lr": 1}),
    ],
)
def test_products_of_powers(text, powers):
    found = parse_combination(text, VALID)
    assert found.powers == pytest.approx(powers)
    assert found.factor == 1.0


def test_numbers_are_a_factor():
    found = parse_combination("sqrt(4)*lr/0.5", VALID)
    assert found.factor == pytest.approx(4.0)
    assert found.powers == {"lr": 1.0}


@pytest.mark.parametrize(
    "text",
    [
        "lr + batch_size",
        "lr - 1",
        "__import__('os').system('true')",
        "exec('1')",
        "lr if lr else tokens",
        "[lr]",
        "lr[0]",
        "lambda: lr",
        "lr**tokens",
        "lr*'a'",
        "-2*lr",
        "0*lr",
        "lr/(1/0)",
        "lr**(1/0)",
        "sqrt(lr, tokens)",
        "sqrt()",
        "cbrt(lr)",
        "lr**",
        "",
        "   ",
        "lr*" * 200 + "lr",
        "(" * 200 + "lr" + ")" * 200,
        "lr**1e308**2",
        "lr\n*tokens; 1",
        "lr**nan",
        "lr**True*None",
    ],
)
def test_anything_else_is_refused_in_a_line(text):
    with pytest.raises(QuantifyError) as error:
        parse_combination(text, VALID)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 300


def test_an_unknown_name_is_told_with_the_valid_ones():
    with pytest.raises(QuantifyError, match=r"'lr/beta2' has 'beta2'; valid: lr, batch_size"):
        parse_combination("lr/beta2", VALID)
    with pytest.raises(QuantifyError, match="has 'l'"):  # several begin so
        parse_combination("l", VALID)


def test_exponents_have_an_end():
    with pytest.raises(QuantifyError, match="exponents"):
        parse_combination("lr**50", VALID)


def test_other_columns_add_their_logarithm_at_each_scale():
    sweep = two_hps()
    valid = ["lr", "batch_size", "width", "tokens"]
    found = column_offset(
        sweep, "a", np.array(SCALES), parse_combination("lr/(tokens*width)", valid), sweep.hps
    )
    np.testing.assert_allclose(found, -np.log2(20 * np.square(SCALES)))


def test_a_column_that_differs_within_a_scale_is_refused():
    sweep = two_hps()
    combination = parse_combination("lr/batch_size", ["lr", "batch_size"])
    with pytest.raises(
        QuantifyError, match="batch_size in 'lr/batch_size' must have one positive value at every"
    ):
        column_offset(sweep, "a", np.array(SCALES), combination, ("lr",))
