import math

import pytest

from hptransfer.dynamics.check_options import CheckOptions
from hptransfer.errors import DynamicsError


def test_defaults() -> None:
    options = CheckOptions()
    assert (options.steps, options.seeds, options.lr, options.level) == (10, 3, 2.0**-7, 0.95)
    assert (options.optimizer, options.base_width, options.coordinates) == ("adamw", None, None)
    assert options.flat == (-0.25, 0.1)


def test_one_threshold_counts_for_both_ways() -> None:
    assert CheckOptions(threshold=0.2).flat == (-0.2, 0.2)
    assert CheckOptions(threshold=(-1, 0)).flat == (-1.0, 0.0)


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"steps": 0}, "steps must be at least 1, but got 0"),
        ({"seeds": -1}, "seeds must be at least 1, but got -1"),
        ({"lr": math.inf}, "lr must be positive and finite, but got inf"),
        ({"lr": 0.0}, "lr must be positive and finite, but got 0.0"),
        ({"level": 0.0}, "level must lie between 0 and 1, but got 0.0"),
        ({"optimizer": "muon"}, "one of adamw, adam, sgd or a function, but got 'muon'"),
        ({"threshold": (0.1, 0.2)}, "low <= 0 <= high, but got 0.1 and 0.2"),
    ],
)
def test_what_is_out_of_range_is_told(changed: dict, says: str) -> None:
    with pytest.raises(DynamicsError) as caught:
        CheckOptions(**changed)
    assert says in str(caught.value)


def test_an_optimizer_of_one_s_own_is_any_function() -> None:
    assert callable(CheckOptions(optimizer=lambda model, groups: None).optimizer)  # type: ignore[arg-type,return-value]
