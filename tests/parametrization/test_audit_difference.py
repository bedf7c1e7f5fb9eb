"""Where two codebases scale differently."""

from audit_records import changed, record

import hptransfer as hpt
from hptransfer.parametrization.audit_difference import difference


def audited(rule: str = "mup", **settings):
    large = record(256, rule)
    return hpt.audit(record(64, rule), changed(large, "wte", **settings) if settings else large, rule="mup")


def renamed(found: dict) -> dict:
    return found | {"tensors": [row | {"name": f"net.{row['name']}"} for row in found["tensors"]]}


def test_stacks_that_scale_alike() -> None:
    assert difference(audited(), audited()) == []
    constants = (changed(record(n), "wte", lr=lambda x: 10 * x) for n in (64, 256))
    assert difference(audited(), hpt.audit(*constants)) == []


def test_a_tensor_that_scales_differently() -> None:
    (found,) = difference(audited(), audited(lr=lambda x: 4 * x))
    assert str(found) == "wte.weight: lr m^0 here, m^1 in the other"


def test_by_role_where_names_differ() -> None:
    other = hpt.audit(*(renamed(record(n, "mup-tp5-table8")) for n in (64, 256)), rule="mup-tp5-table8")
    found = difference(audited(), other)
    assert {(d.what, d.setting) for d in found} == {
        ("every readout", "lr"),
        ("every readout", "std"),
        ("every readout", "multiplier"),
    }
