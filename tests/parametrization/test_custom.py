from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hptransfer.errors import HPTransferError, RuleError
from hptransfer.parametrization.custom import SETTINGS, as_rule, load_rule, rule_from
from hptransfer.parametrization.rule import ROLES
from hptransfer.parametrization.rule_arithmetic import get_rule
from hptransfer.parametrization.tensor_settings import width_settings

YAML = """
name: ours
source: our notebook
coordinates: mup
attention: -1
tied: -1
roles:
  hidden: {init: -0.5, lr: -1}
  readout: {multiplier: -1}
residual: -1
depth:
  hidden: {eps: -1}
"""


def test_a_rule_from_yaml(tmp_path: Path) -> None:
    path = tmp_path / "rule.yaml"
    path.write_text(YAML)
    rule = load_rule(path)
    assert (rule.name, rule.coordinates, rule.attention, rule.tied) == ("ours", "mup", -1, -1)
    assert width_settings(rule, "hidden", 4).lr == 1 / 4
    assert width_settings(rule, "readout", 4).multiplier == 1 / 4
    assert width_settings(rule, "embedding", 4).lr == 1
    assert (rule.scales_depth, rule.residual, rule.depth["hidden"].eps) == (True, -1, -1)
    assert as_rule(str(path)) == as_rule(path) == rule


def test_a_rule_like_another_gives_only_what_differs() -> None:
    rule = rule_from({"name": "mine", "like": "mup-tp5-table3", "roles": {"embedding": {"lr": -0.5}}})
    table = get_rule("mup-tp5-table3")
    assert rule.roles["embedding"].lr == -0.5
    assert {r: e for r, e in rule.roles.items() if r != "embedding"} == {
        r: e for r, e in table.roles.items() if r != "embedding"
    }
    assert (rule.attention, rule.tied, rule.coordinates) == (-1, -1, "mup")


def test_a_rule_like_another_in_other_coordinates_keeps_its_lrs() -> None:
    rule = rule_from({"like": "mup-tp5-table3", "coordinates": "sp"})
    assert width_settings(rule, "hidden", 4).lr == 1
    assert width_settings(rule, "embedding", 4).lr == 4


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ({}, "`roles` or `like`, but got nothing"),
        ({"roles": {"hiden": {}}}, r"'hiden' \(did you mean 'hidden'\?\)"),
        ({"roles": {"hidden": {"learning_rate": 1}}}, "roles.hidden must have known keys"),
        ({"roles": {"hidden": {"lr": "fast"}}}, r"roles.hidden.lr must be a finite number, but got 'fast'"),
        ({"roles": {"hidden": {"lr": float("nan")}}}, "finite"),
        ({"roles": {"hidden": {"lr": True}}}, "finite"),
        ({"roles": {"hidden": 3}}, "roles.hidden must be a mapping"),
        ({"roles": [1]}, "roles must be a mapping"),
        ({"roles": {}, "coordinates": "polar"}, "coordinates must be one of sp, mup"),
        ({"roles": {}, "optimizer": "lbfgs"}, "optimizer must be one of adam, sgd"),
        ({"roles": {}, "atention": -1}, r"did you mean 'attention'"),
        ({"like": "mupp"}, "did you mean 'mup'"),
        ({"roles": {}, "tied": "no"}, "tied must be a finite number"),
    ],
)
def test_a_malformed_rule_is_one_line(data: dict[str, object], says: str) -> None:
    with pytest.raises(RuleError, match=says) as caught:
        rule_from(data)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["- 1\n- 2", "roles: {hidden: [", "\x00"])
def test_a_file_that_is_no_rule(tmp_path: Path, text: str) -> None:
    path = tmp_path / "rule.yml"
    path.write_text(text)
    with pytest.raises(RuleError) as caught:
        load_rule(path)
    assert "\n" not in str(caught.value)


def test_a_missing_file() -> None:
    with pytest.raises(RuleError, match=r"cannot read a rule from nowhere\.yaml: No such file"):
        as_rule("nowhere.yaml")


def test_the_family_must_be_the_optimizer_s() -> None:
    with pytest.raises(RuleError, match="mup is for adam, not sgd"):
        as_rule(get_rule("mup"), "sgd")
    with pytest.raises(RuleError, match="a name, a mapping or a YAML file, but got 3"):
        as_rule(3)  # type: ignore[arg-type]


plain = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from([*ROLES, *SETTINGS]), inner),
    max_leaves=6,
)


@settings(deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["name", "roles", "attention", "tied", "depth", "optimizer", "like", "x"]), plain
    )
)
def test_any_data_is_a_rule_or_a_clear_error(data: dict[str, object]) -> None:
    try:
        found = rule_from(data)
    except HPTransferError as error:
        found = str(error).replace("\\n", "")
    assert "\n" not in found if isinstance(found, str) else set(found.roles) == set(ROLES)
