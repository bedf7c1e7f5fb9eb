"""The audit: the rule of a stack, and what departs from it."""

import json
import math

import pytest
from audit_records import changed, record

import hptransfer as hpt
from hptransfer.errors import RuleError

RULES = ("sp", "mup", "mup-tp5-table8", "mup-tp5-table9", "u-mup", "ntk", "mup-megatron", "completep")


@pytest.mark.parametrize("rule", RULES)
def test_a_stack_under_a_rule_departs_in_nothing(rule: str) -> None:
    found = hpt.audit(record(64, rule), record(256, rule))
    assert found.passed
    assert rule in (found.rule, *found.same)
    assert hpt.audit(record(64, rule), record(256, rule), rule=rule).passed


@pytest.mark.parametrize("decay", ["coupled", "mup", "independent"])
@pytest.mark.parametrize("eps_rule", ["fixed", "scaled"])
def test_conventions_of_decay_and_eps_are_told_apart(decay: str, eps_rule: str) -> None:
    how = {"decay": decay, "eps_rule": eps_rule}
    found = hpt.audit(record(64, "mup", **how), record(256, "mup", **how))
    assert found.passed
    assert found.rule == "mup"
    # With one eta in muP coordinates `independent` asks for the same ratios as `mup`.
    assert ("decay coupled" if decay == "coupled" else "decay independent or mup") in found.reading
    assert ("scaled" in found.reading) == (eps_rule == "scaled")


def test_exponents_are_of_the_width_ratio() -> None:
    found = hpt.audit(record(64), record(256))
    assert found.width_ratio == 4
    row = next(row for row in found.rows if row.tensor == "blocks.*.qkv.weight")
    assert row.role == "hidden"
    assert row.exponents == pytest.approx({"lr": -1, "wd": 0, "eps": 0, "std": -0.5, "multiplier": 0})


@pytest.mark.parametrize(
    ("name", "settings", "said"),
    [
        ("blocks.1.qkv", {"lr": lambda x: 4 * x}, "blocks.1.qkv.weight: lr m^0, wanted m^-1"),
        ("blocks", {"lr": lambda x: 4 * x}, "blocks.*.down.weight: lr m^0, wanted m^-1"),
        ("wte", {"wd": lambda x: x / 4}, "wte.weight: wd m^-1, wanted m^0 (0.1 -> 0.025, wanted 0.1)"),
        ("head", {"std": 0.05}, "head.weight: std m^-0.5, wanted m^-1"),
        ("blocks.0.down", {"eps": 1e-9}, "blocks.0.down.weight: eps"),
        ("head", {"wd": 0.0}, "head.weight: wd"),
    ],
)
def test_a_departure_is_named_with_what_is_wanted(name, settings, said: str) -> None:
    found = hpt.audit(record(64), changed(record(256), name, **settings))
    assert found.rule == "mup"
    assert any(str(d).startswith(said) for d in found.departures), list(map(str, found.departures))
    assert all(d.tensor.replace("*", "0").startswith(name.replace("1", "0")[:6]) for d in found.departures)


def test_a_factor_that_is_not_applied_is_named() -> None:
    found = hpt.audit(
        record(64, "mup-tp5-table8"), changed(record(256, "mup-tp5-table8"), "head", multiplier=1)
    )
    assert found.rule == "mup-tp5-table8"
    assert [str(d) for d in found.departures] == [
        "head.weight: multiplier m^0, wanted m^-1 (1 -> 1, wanted 0.25)"
    ]


def test_one_of_the_16_variants_is_shown_as_what_it_departs_in() -> None:
    found = hpt.audit(record(64, "mup-embd"), record(256, "mup-embd"))
    assert found.rule == "mup"
    assert [(d.tensor, d.what) for d in found.departures] == [("wte.weight", "lr")]
    assert "mup-embd" in found.same


def test_an_eta_changed_between_the_sizes_is_a_note() -> None:
    found = hpt.audit(record(64), changed(record(256), "", lr=lambda x: 3 * x))
    assert found.passed
    # In SP coordinates, where muP's eta falls like 1/m, it is 3/4 of what it should be.
    assert any(note.startswith(("every lr is x 3 ", "every lr is x 0.75 ")) for note in found.notes)


def test_attention_is_audited_where_it_is_recorded() -> None:
    small = record(64) | {"head_dim": 16, "attention_scale": 0.25}
    right = record(256) | {"head_dim": 64, "attention_scale": 1 / 16}
    assert hpt.audit(small, right).passed
    found = hpt.audit(small, right | {"attention_scale": 1 / 8}, rule="mup")
    assert [str(d) for d in found.departures] == [
        "attention: attention scale m^-0.5, wanted m^-1 (0.25 -> 0.125, wanted 0.0625)"
    ]


def test_constants_are_no_departure() -> None:
    small, large = (changed(record(n), "wte", lr=lambda x: 10 * x) for n in (64, 256))
    assert hpt.audit(small, large).passed


def test_a_lost_tensor_is_named() -> None:
    large = record(256)
    large["tensors"].pop()
    found = hpt.audit(record(64), large)
    assert [str(d) for d in found.departures] == ["head.weight: only in the small model"]


def test_what_is_not_recorded_is_said() -> None:
    small, large = record(64, "mup-tp5-table8"), record(256, "mup-tp5-table8")
    for data in (small, large):
        for row in data["tensors"]:
            del row["multiplier"], row["std"]
    notes = "\n".join(hpt.audit(small, large, rule="mup-tp5-table8").notes)
    assert "forward multipliers, of which mup-tp5-table8 has readout m^-1" in notes
    assert "initial std" in notes
    assert "attention's scale" in notes


def test_muon_has_its_own_width_rule() -> None:
    """LR of hidden matrices stays (or falls like m^-1/2, to match Adam's RMS), that of AdamW is in muP's."""
    small, large = record(64), record(256)
    for adjusted, exponent in (("original", 0.0), ("match_rms_adamw", -0.5)):
        a, b = (changed(r, "blocks", optimizer="muon", lr=0.02) for r in (small, large))
        b = changed(b, "blocks", lr=lambda x, e=exponent: x * 4**e)
        found = hpt.audit(a, b, rule="mup")
        assert found.passed, [str(d) for d in found.departures]
        assert adjusted in found.reading
    wrong = changed(b, "blocks.1.down", lr=0.02)
    assert [d.tensor for d in hpt.audit(a, wrong, rule="mup").departures] == ["blocks.1.down.weight"]


def test_sgd_and_depth() -> None:
    small, large = record(64), record(128)
    for row in large["tensors"]:
        if row["name"].startswith(("blocks.0", "blocks.1")):
            row["lr"] *= 2**-0.5  # depth-mup: hidden LR x depth^-1/2
            large["tensors"] = [*large["tensors"], row | {"name": row["name"].replace("blocks.", "blocks.1")}]
    found = hpt.audit(small, large)
    assert (found.width_ratio, found.depth_ratio) == (2, 2)
    assert found.passed, [str(d) for d in found.departures]
    assert found.rule == "depth-mup"
    sgd = [{"name": "a", "shape": [n, n], "lr": 0.1} for n in (8, 16)]
    assert hpt.audit(
        {"optimizer": "sgd", "tensors": sgd[:1]}, {"optimizer": "sgd", "tensors": sgd[1:]}
    ).passed


def test_files(tmp_path) -> None:
    for name, width in (("s", 64), ("l", 256)):
        (tmp_path / name).write_text(json.dumps(record(width)))
    assert hpt.audit(tmp_path / "s", tmp_path / "l").passed
    with pytest.raises(RuleError, match="cannot read a record"):
        hpt.audit(tmp_path / "none", tmp_path / "l")


def test_numbers_that_do_not_scale() -> None:
    found = hpt.audit(record(64), changed(record(256), "wte", lr=0.0))
    assert [(d.tensor, d.what) for d in found.departures] == [("wte.weight", "lr")]
    assert math.isinf(found.departures[0].exponent)
