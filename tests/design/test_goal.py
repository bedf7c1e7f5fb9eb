import pytest
from pydantic import ValidationError

from hptransfer.design.goal import AdaptiveConfig, CostConfig


@pytest.mark.parametrize(
    ("goal", "width"), [("optimum", 0.5), ("law", 0.2), ("prediction", 0.5), ("verdict", 0.02)]
)
def test_the_interval_to_stop_at_follows_the_goal_or_is_given(goal: str, width: float) -> None:
    assert AdaptiveConfig.model_validate({"goal": goal}).wanted == width
    assert AdaptiveConfig.model_validate({"goal": goal, "precision": 0.3}).wanted == 0.3


def test_defaults() -> None:
    config = AdaptiveConfig()
    assert (config.goal, config.precision, config.budget, config.batch) == ("prediction", None, None, 4)
    cost = CostConfig()
    assert (cost.price, cost.currency, cost.flops_per_second) == (None, "USD", None)


@pytest.mark.parametrize(
    ("config", "data"),
    [
        (AdaptiveConfig, {"goal": "loss"}),
        (AdaptiveConfig, {"precision": 0.0}),
        (AdaptiveConfig, {"budget": -1.0}),
        (AdaptiveConfig, {"batch": 0}),
        (AdaptiveConfig, {"batch": 1025}),
        (AdaptiveConfig, {"goals": "law"}),
        (CostConfig, {"price": -0.1}),
        (CostConfig, {"currency": "US$"}),
        (CostConfig, {"flops_per_second": 0.0}),
    ],
)
def test_what_is_out_of_range_is_an_error(config: type, data: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        config.model_validate(data)


def test_free_is_a_price() -> None:
    assert CostConfig(price=0.0, currency="EUR").price == 0.0
