import pytest

from hptransfer.errors import SweepError
from hptransfer.sweep import read

LOG = "start\nd=64 lr=0.1: step 10, val 3.0\nnoise\nd=128 lr=0.1: step 10, val 2.5\n"
REGEX = r"d=(?P<width>\d+) lr=(?P<lr>[\d.]+).* val (?P<loss>\S+)"


def test_a_printed_log(write):
    sweep = read(write(LOG, "train.log"), extract=REGEX)
    assert (sweep.scale.tolist(), sweep.loss.tolist()) == ([64, 128], [3.0, 2.5])


@pytest.mark.parametrize(
    ("regex", "says"),
    [
        ("(", "must be a regular expression"),
        (r"\d+", "must name what it finds"),
        (r"(?P<lr>zzz)", "matches nowhere"),
    ],
)
def test_expressions_that_find_nothing(write, regex, says):
    with pytest.raises(SweepError, match=says):
        read(write(LOG), extract=regex)


def test_a_log_without_an_expression_names_the_flag(write):
    text = "Epoch 1, train loss 3.0 after some words\nEpoch 2, then, train loss 2.9 after\n"
    with pytest.raises(SweepError, match="--extract"):
        read(write(text, "train.log"))


NAMES = "Name,loss\nsp-lr0.1-d64-x,3\nsp-lr1e-2-d128-y,2\n"


@pytest.mark.parametrize(
    "template",
    ["...lr{lr}-d{width}", "lr{lr}...d{width}", r"lr(?P<lr>.+)-d(?P<width>\d+)", "{variant}-lr{lr}-d{width}"],
)
def test_a_run_s_name(write, template):
    sweep = read(write(NAMES), extract_from=("Name", template))
    assert (sweep.scale.tolist(), sweep.hp.tolist()) == ([64, 128], [0.1, 0.01])


def test_names_that_say_all_are_understood(write):
    sweep = read(write(NAMES))
    assert sweep.hp.tolist() == [0.1, 0.01]
    assert "hp = lr (out of Name)" in sweep.taken


def test_a_name_that_does_not_match_is_named(write):
    with pytest.raises(SweepError, match=r"must match every Name, but row 3 of .* has sp-lr1e-2-d128-y"):
        read(write(NAMES), extract_from=("Name", "lr{lr}-d64"))
