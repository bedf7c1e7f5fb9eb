"""Initial values that a rule cannot reach: refused, with the line to write."""

import pytest
import torch
from torch import nn

import hptransfer as hpt
from hptransfer.errors import RuleError


class Net(nn.Module):
    def __init__(self, n: int, gain: float = 1.0, length: int = 1) -> None:
        super().__init__()
        self.first, self.mix, self.head = nn.Linear(3, n), nn.Linear(n, n), nn.Linear(n, 2)
        self.gain = nn.Parameter(torch.full((length,), gain))


@pytest.mark.parametrize(("length", "role"), [(1, "scalar"), (5, "scalar"), (None, "vector")])
@pytest.mark.parametrize("power", [-1.0, -0.5, 0.5, 1.0])
def test_a_constant_that_grows_with_width(length: int | None, role: str, power: float) -> None:
    model, base = (Net(n, float(n) ** power, length or n) for n in (64, 16))
    with pytest.raises(RuleError, match=f"a {role} must start at one value at every width,.* gain starts at"):
        hpt.parametrize(model, base=base)
    assert hpt.parametrize(model, base=base, overrides={"gain": role}).ratio == 4
    assert hpt.parametrize(model, base=base, rule="sp").ratio == 4  # which takes models as they are


def test_other_values_are_no_such_constant() -> None:
    base = Net(16)
    for model in (Net(64, 1.7), Net(64, 0.0), Net(64, -1.0)):
        assert hpt.parametrize(model, base=base).ratio == 4
    trained = Net(64, length=5)
    nn.init.normal_(trained.gain)
    assert hpt.parametrize(trained, base=Net(16, length=5)).ratio == 4
    frozen = Net(64, 8.0)
    frozen.gain.requires_grad_(False)
    assert hpt.parametrize(frozen, base=Net(16, 4.0)).ratio == 4
    with torch.device("meta"):
        assert hpt.parametrize(Net(64, 8.0), base=Net(16, 4.0)).ratio == 4


@pytest.mark.parametrize("norm", [nn.utils.spectral_norm, nn.utils.parametrizations.spectral_norm])
@pytest.mark.parametrize(("layer", "role"), [("head", "readout"), ("first", "embedding")])
@pytest.mark.filterwarnings("ignore")
def test_spectral_norm(norm, layer: str, role: str) -> None:
    def build(n: int, name: str) -> nn.Module:
        net = Net(n)
        setattr(net, name, norm(getattr(net, name)))
        return net

    with pytest.raises(RuleError, match=f"that is {role} must be free .* {layer}.* leave it off this layer"):
        hpt.parametrize(build(64, layer), base=build(16, layer))
    assert hpt.parametrize(build(64, layer), base=build(16, layer), rule="sp").ratio == 4
    assert (
        hpt.parametrize(build(64, "mix"), base=build(16, "mix")).ratio == 4
    )  # hidden: of one norm at every width
