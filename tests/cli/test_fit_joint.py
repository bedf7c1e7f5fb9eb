"""`hptransfer fit --hp lr,batch_size`: what a user of the command sees."""

import json

import pytest
from joint_sweeps import decayed, two_hps


def text(sweep, second):
    lines = [f"width,lr,{second},loss"]
    rows = zip(sweep.scale, sweep.hp, sweep.extra[second], sweep.loss, strict=True)
    return "\n".join([*lines, *(",".join(f"{v:.10g}" for v in row) for row in rows)]) + "\n"


@pytest.fixture
def runs(csv):
    return csv(text(two_hps(share=0.6), "batch_size"))


def test_the_answer_the_json_and_the_page(run, runs, tmp_path):
    out, page = tmp_path / "fit.json", tmp_path / "fit.html"
    names = ("--hp", "lr,batch_size", "--combination", "lr/sqrt(batch_size)", "--target", "4k")
    code, printed, errors = run("fit", runs, *names, "--draws", 200, "--json", out, "--html", page)
    assert (code, errors) == (0, "")
    for word in ("use lr", "use batch_size", "lr/sqrt(batch_size)", "Laws over width", f"wrote {page}"):
        assert word in printed
    document = json.loads(out.read_text())
    assert document["kind"] == "joint"
    assert document["hp"] == ["lr", "batch_size"]
    assert document["variants"]["all"]["predictions"][0]["scale"] == 4000
    assert "Do lr and batch_size carry over width?" in page.read_text(encoding="utf-8")


def test_json_alone_on_standard_output(run, runs):
    code, printed, _ = run("fit", runs, "--hp", "lr,batch_size", "--draws", 100, "--json", "-")
    assert code == 0
    assert json.loads(printed)["kind"] == "joint"


def test_zero_weight_decay_is_a_value_whatever_the_order(run, csv):
    path = csv(text(decayed(), "weight_decay"))
    code, printed, errors = run("fit", path, "--hp", "weight_decay,lr", "--draws", 100)
    assert (code, errors) == (0, "")
    assert "weight_decay = 0 stands at the place of" in " ".join(printed.split())
    assert "196 runs" not in printed  # none is left out
    assert "224 runs" in printed


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--hp", "lr,width"), "width"),
        (("--hp", "lr,beta2"), "beta2"),
        (("--hp", "lr,batch_size,loss"), "loss must be a hyperparameter or another column"),
        (("--hp", "lr,batch_size", "--combination", "lr+batch_size"), "product of powers"),
        (("--hp", "lr,batch_size", "--combination", "lr/depth"), "valid: lr, batch_size, width"),
        (("--hp", "lr,batch_size", "--reference", "all"), "--reference goes with one hyperparameter"),
        (("--hp", "lr,batch_size", "--coordinates", "sp"), "--coordinates goes with one hyperparameter"),
        (("--hp", "lr,batch_size", "--filter", "1.2"), "--filter goes with one hyperparameter"),
        (("--hp", "lr", "--combination", "lr/width"), "--combination takes several hyperparameters"),
        (("--hp", "lr,batch_size", "--where", "batch_size == 64"), "batch_size must take at least 3 values"),
        (("--hp", "lr,batch_size", "--where", "lr < 0"), "row"),
    ],
)
def test_bad_input_is_one_line_and_code_2(run, runs, options, words):
    code, printed, errors = run("fit", runs, *options)
    assert (code, printed) == (2, "")
    assert words in errors
    assert errors.startswith("error: ")
    assert errors.count("\n") == 1


def test_help_names_both_options(run):
    code, printed, _ = run("fit", "--help")
    assert code == 0
    assert "--combination" in printed
    assert "lr,batch_size" in printed
