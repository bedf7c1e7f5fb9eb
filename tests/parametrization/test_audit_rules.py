"""Readings: in how many ways a rule can be meant."""

from audit_records import changed, record

from hptransfer.parametrization.audit_pairs import pair_up
from hptransfer.parametrization.audit_records import read_record
from hptransfer.parametrization.audit_rules import readings


def ways(optimizer: str = "adamw", rule: str | None = "mup", **more):
    small, large = (read_record(record(n) | {"optimizer": optimizer}) for n in (64, 256))
    return list(readings(small, pair_up(small, large), rule, **more))


def test_conventions_multiply() -> None:
    assert len(ways()) == 2 * 3 * 3
    assert {way.decay for way in ways("adam")} == {"coupled"}
    assert [(w.decay, w.eps) for w in ways(decay="mup", eps_rule="fixed")] == 2 * [("mup", "fixed")]
    assert {way.rule.optimizer for way in ways("sgd", rule=None)} == {"sgd"}


def test_usual_rules_cost_least() -> None:
    costs = {way.name: way.cost for way in ways(rule=None) if (way.decay, way.eps) == ("coupled", "rule")}
    assert costs["sp"] == costs["mup"] == costs["completep"] == 0
    assert costs["mup-embd"] == costs["everett-sp-full-alignment"] > 1


def test_muon_of_the_record_or_of_a_tensor() -> None:
    assert {way.adjust for way in ways("muon")} == {"original", "match_rms_adamw"}
    small, large = (read_record(changed(record(n), "blocks", optimizer="muon")) for n in (64, 256))
    pairs = pair_up(small, large)
    way = next(readings(small, pairs, "mup"))
    assert {pair.name for pair in pairs.tensors if way.is_muon(pair)} == {
        name for name in small.tensors if name.startswith("blocks")
    }
    assert "Muon's LR as under original" in way.described(["coupled"])
