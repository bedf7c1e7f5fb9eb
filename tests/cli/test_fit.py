import json

import pytest
from tests.cli.sweep_text import table


def test_fit_prints_the_answer_and_writes_it(run, csv, tmp_path):
    out = tmp_path / "fit.json"
    code, printed, errors = run("fit", csv(table()), "--target", 2048, "--target", 4096, "--json", out)
    assert (code, errors) == (0, "")
    assert "Prediction" in printed
    assert printed.rstrip().endswith(f"wrote {out}")
    document = json.loads(out.read_text())
    assert document["schema"] == 2
    assert [p["scale"] for p in document["variants"]["sp"]["predictions"]] == [2048, 4096]
    assert document["variants"]["sp"]["metrics"]["drift"]["value"] == pytest.approx(-1, abs=0.05)


def test_fit_writes_the_report(run, csv, tmp_path):
    out = tmp_path / "report.html"
    code, printed, errors = run("fit", csv(table()), "--html", out)
    assert (code, errors) == (0, "")
    assert printed.rstrip().endswith(f"wrote {out}")
    assert "<html" in out.read_text(encoding="utf-8")[:200]
    code, _, errors = run("fit", csv(table()), "--html", out, "--json", out)
    assert (code, errors) == (2, f"error: cannot write {out}: it is named for two outputs\n")


def test_columns_by_flag_and_without_variant_and_seed(run, csv, tmp_path):
    text = table(variants=["sp"]).replace("variant,width,lr,seed,loss", "x,params,eta,y,val")
    out = tmp_path / "fit.json"
    names = ("--scale", "params", "--hp", "eta", "--loss", "val", "--json", out)
    code, printed, _ = run("fit", csv(text), *names)
    assert code == 0
    assert "params" in printed
    document = json.loads(out.read_text())
    assert list(document["variants"]) == ["all"]
    assert document["columns"]["hp"] == "eta"


def test_settings_reach_the_fit(run, csv, tmp_path):
    out = tmp_path / "fit.json"
    settings = ("--level", 0.9, "--tolerance", 0.02, "--family", "power", "--reference", "mup")
    more = ("--holdout", 2, "--coordinates", "sp", "--where", "width != 128", "--draws", 100)
    assert run("fit", csv(table()), *settings, *more, "--json", out)[0] == 0
    used = json.loads(out.read_text())["settings"]
    expected = {"level": 0.9, "tolerance": 0.02, "family": "power", "reference": "mup", "holdout": 2}
    assert {key: used[key] for key in expected} == expected
    assert used["coordinates"] == "sp"
    variant = json.loads(out.read_text())["variants"]["sp"]
    assert [optimum["scale"] for optimum in variant["optima"]] == [64, 256, 512]


@pytest.mark.parametrize(("optimizer", "apart"), [("sgd", 0.0), ("lion", 1.0)])
def test_the_optimizer_decides_how_far_apart_the_coordinates_are(run, csv, tmp_path, optimizer, apart):
    out = tmp_path / "fit.json"
    more = ("--coordinates", "sp", "--optimizer", optimizer, "--draws", 100, "--json", out)
    code, _, _ = run("fit", csv(table(variants=["sp"])), *more)
    found = json.loads(out.read_text())["variants"]["sp"]
    drift = {name: found["metrics"][f"drift_{name}"]["value"] for name in ("sp", "mup")}
    assert code == 0
    assert drift["mup"] - drift["sp"] == pytest.approx(apart)
    assert ("other_cost" in found["verdict"]) == (optimizer != "sgd")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (table(widths=[64, 128]), "a law needs 3"),
        (table(lrs=[7]), ""),
        (table(lrs=[6, 7]), ""),
        ("width,lr,loss\n64,0.1,nan\n128,0.1,inf\n256,0.1,2.5\n", ""),
        ("width,lr,loss\n64,0.1,2.5\n128,0.1,2.4\n", ""),
        ("width,lr,loss\n64,0.1,0\n64,0.2,0\n64,0.4,0\n128,0.1,0\n", ""),
    ],
)
def test_thin_data_prints_what_there_is_and_exits_with_0(run, csv, text, says):
    code, printed, errors = run("fit", csv(text), "--target", 4096)
    assert (code, errors) == (0, "")
    assert says in printed


@pytest.mark.parametrize(
    ("text", "arguments", "message"),
    [
        ("", (), "is empty"),
        ("width,lr,loss\n", (), "no rows"),
        ("width,rate,loss\n64,0.1,2\n", (), "is plainly the hyperparameter"),
        ("width,rate,loss\n64,0.1,2\n", ("--hp", "lr"), "no column 'lr' (hp)"),
        (table(), ("--scale", "widht"), "did you mean 'width'?"),
        ("width,lr,loss\n64,fast,2\n", (), "row 2 of"),
        ("width,lr,loss\n64,0.1,2\n64,-0.1,2\n", (), "has lr=-0.1"),
        ("width,lr,loss\n64,0.1,lots\n", (), "has loss=lots"),
        ("width,lr,loss\n64,0.1,nan\n128,0.1,inf\n256,0.1,diverged\n", (), "all 3 diverged"),
        (table(), ("--where", "width >"), "where must read like"),
        (table(), ("--level", "2"), "level"),
        (table(), ("--family", "cubic"), "cubic"),
        (table(), ("--reference", "ntk"), "ntk"),
        (table(), ("--target", "-1"), "target"),
        (table(), ("--target", "nan"), "target"),
        (table(), ("--tolerance", "0"), "tolerance"),
        (table(), ("--coordinates", "polar"), "polar"),
        (table(), ("--optimizer", "SGD"), "one of adamw, adam, sgd, lion, muon, but got 'SGD'"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(run, csv, text, arguments, message):
    code, printed, errors = run("fit", csv(text), *arguments)
    assert (code, printed) == (2, "")
    assert errors.startswith("error: ")
    assert errors.count("\n") == 1
    assert message in errors


def test_one_width_is_said_to_be_too_few_after_what_can_be_said(run, csv):
    code, printed, errors = run("fit", csv(table(widths=[64])))
    assert code == 2
    assert "Optimum at each width" in printed
    assert errors.startswith(
        "error: to say what transfers takes two widths or more, but the table holds one, 64"
    )
    assert errors.count("\n") == 1


def test_notes_go_to_stderr(run, csv):
    text = table().splitlines()
    repeated = [line + ",1" for line in text[1:]] + [line + ",2" for line in text[1:]]
    code, _, errors = run("fit", csv("\n".join([text[0] + ",epoch", *repeated])))
    assert code == 0
    assert errors.startswith("note: runs of equal variant, width, lr and seed differ in 'epoch'")
