"""parametrize(): which two builds fit, and the model's own ratio."""

import pytest
from small_models import build
from torch import nn

import hptransfer as hpt
from hptransfer.errors import RuleError
from hptransfer.parametrization.tensor_settings import Growth


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: hpt.parametrize(build(16), base=build(16)), "same shape in both.* other="),
        (lambda: hpt.parametrize(build(16), base=build(64)), "are the two swapped"),
        (
            lambda: hpt.parametrize(build(64, depth=4), base=build(16)),
            "has 2 times the base's blocks; completep",
        ),
        (lambda: hpt.parametrize(build(64, depth=4), base=build(16), rule="completep"), "give residual="),
        (lambda: hpt.parametrize(build(64), base=nn.Linear(3, 3)), "only in the model"),
        (lambda: hpt.parametrize(build(64)), "one of base= .* and base_width="),
        (
            lambda: hpt.parametrize(build(64), base=build(16), base_width=16),
            "one of base= .* and base_width=",
        ),
        (lambda: hpt.parametrize(build(64), base_width=16), "Hugging Face config, but Transformer has none"),
        (lambda: hpt.parametrize(build(64), base=build(16), rule="mupp"), "did you mean 'mup'"),
        (lambda: hpt.parametrize(build(64), base=build(16), attention={"x.*": "scaling"}), "matches none"),
        (
            lambda: hpt.parametrize(build(64), base=build(16), attention={"*.attn": "sale"}),
            "attn.sale must be a number",
        ),
    ],
)
def test_two_builds_that_do_not_fit(make, says: str) -> None:
    with pytest.raises(RuleError, match=says) as caught:
        make()
    assert "\n" not in str(caught.value)


def test_a_narrower_model_where_it_is_meant() -> None:
    assert hpt.parametrize(build(8), base=build(16), narrower=True).ratio == 0.5


def test_a_model_at_the_base_width_needs_another_to_tell_roles() -> None:
    scaling = hpt.parametrize(build(16), base=build(16, seed=1), other=build(32))
    assert scaling.ratio == 1
    assert {t.role for t in scaling.tensors} == {"embedding", "hidden", "vector", "readout"}


def test_widths_that_do_not_grow_alike_need_a_ratio() -> None:
    def make(a: int, b: int) -> nn.Module:
        return nn.ModuleDict({"x": nn.Embedding(5, a), "y": nn.Embedding(5, b)})

    with pytest.raises(RuleError, match=r"grow by \[2.0, 4.0\]; give width_ratio="):
        hpt.parametrize(make(8, 16), base=make(4, 4))
    assert hpt.parametrize(make(8, 16), base=make(4, 4), width_ratio=2).ratio == 2
    with pytest.raises(RuleError, match="grow the same way"):
        hpt.parametrize(make(8, 2), base=make(4, 4))


@pytest.mark.parametrize(("coordinates", "eta"), [("sp", 4.0), ("mup", 1.0)])
def test_a_bias_of_fixed_length_goes_by_the_models_width(coordinates: str, eta: float) -> None:
    def classifier(width: int) -> nn.Module:
        return nn.Sequential(nn.Embedding(100, width), nn.Linear(width, width), nn.Linear(width, 100))

    model = classifier(64)
    scaling = hpt.parametrize(model, base=classifier(16), rule="mup", coordinates=coordinates)
    lrs = {n: g["lr"] for g in scaling.param_groups(model, lr=1.0) for n in g["names"]}
    assert lrs["2.bias"] == lrs["1.bias"] == eta


def test_coordinates_are_the_rule_s_own_or_those_asked_for() -> None:
    model, base = build(64), build(16)
    assert hpt.parametrize(model, base=base, rule="mup").rule.coordinates == "sp"
    found = hpt.parametrize(model, base=base, rule="mup", coordinates="mup")
    assert (found.rule.coordinates, found.rule.lr_exponent) == ("mup", -1)


def test_roles_from_a_third_width_come_with_the_shapes_of_the_two() -> None:
    model, base = build(16, depth=4), build(16, seed=1)
    scaling = hpt.parametrize(
        model, base=base, other=build(32), rule="completep", residual=["*.down", "*.out"]
    )
    tensors = {plan.name: plan.tensor for plan in scaling.tensors}
    assert list(tensors) == [name for name, _ in model.named_parameters()]
    up = tensors["blocks.3.up.weight"]
    assert (up.role, up.shape, up.base_shape, up.ratio, up.block) == ("hidden", (32, 16), (32, 16), 1, True)
    assert (scaling.ratio, scaling.depth_ratio) == (1, 2)


def test_growth_of_a_tensor() -> None:
    scaling = hpt.parametrize(
        build(64, depth=4), base=build(16), rule="depth-mup", residual=["*.down", "*.out"]
    )
    growth = {plan.name: plan.growth for plan in scaling.tensors}
    assert growth["blocks.0.down.weight"] == Growth(
        "hidden", 4.0, 4.0, 2.0, longest_ratio=4.0, fan_out_ratio=4.0
    )
    assert growth["norm.bias"] == Growth("vector", 4.0, 4.0, 1.0, longest_ratio=4.0, decays=False)
    tokens = growth["tokens.weight"]  # [11, 64], in the base [11, 16]
    assert (tokens.ratio, tokens.depth_ratio, tokens.longest_ratio, tokens.decays) == (4, 1, 4, True)
