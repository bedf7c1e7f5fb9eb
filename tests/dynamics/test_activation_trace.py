import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from hptransfer.dynamics.activation_trace import default_loss, trace
from hptransfer.errors import DynamicsError

BATCH = (torch.tensor([[1.0, 2.0]]), torch.tensor([[0.0]]))


def line() -> nn.Linear:
    layer = nn.Linear(2, 1, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[1.0, 1.0]]))
    return layer


def traced(model: nn.Module, steps: int = 2, tables: dict[str, Tensor] | None = None):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    return trace(model, optimizer, [BATCH], steps, default_loss, tables or {})


def test_sizes_and_losses_of_a_line_by_hand() -> None:
    # y = w.x = 3; the gradient of y^2 is 2 y x, so that y shrinks by 1 - 2 lr |x|^2 = 1/2 each step.
    found = traced(nn.Sequential(line()))
    assert found.losses == pytest.approx([9.0, 2.25])
    want = [[3.0, 3.0, 0.0, 0.0], [1.5, 1.5, 1.5, 1.5], [0.75, 0.75, 2.25, 2.25]]
    assert found.sizes["0"] == pytest.approx(np.array(want))


def test_the_first_batch_is_measured_and_batches_take_turns() -> None:
    model = nn.Sequential(line())
    other = (torch.tensor([[0.0, 0.0]]), torch.tensor([[2.0]]))
    found = trace(
        model, torch.optim.SGD(model.parameters(), lr=0.05), [BATCH, other, BATCH], 3, default_loss, {}
    )
    assert found.losses == pytest.approx([9.0, 4.0, 2.25])
    assert found.sizes["0"][:, 0] == pytest.approx([3.0, 1.5, 1.5, 0.75])


def test_a_layer_that_is_not_called_each_time_is_left_out() -> None:
    class Once(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.always, self.once, self.calls = line(), line(), 0

        def forward(self, x: Tensor) -> Tensor:
            self.calls += 1
            return self.always(x) + (self.once(x) if self.calls == 1 else 0)

    assert set(traced(Once()).sizes) == {"always", "logits"}


def test_a_gradient_of_rounding_alone_is_told() -> None:
    model = nn.Sequential(line())
    idle, busy = (nn.Parameter(torch.ones(2)) for _ in range(2))
    idle.grad, busy.grad = torch.full((2,), 1e-9), torch.ones(2)
    assert traced(model, 1, {"idle": idle, "busy": busy}).idle == {"idle"}


def test_the_loss_follows_from_what_the_batch_holds() -> None:
    model = nn.Linear(2, 3, bias=False)
    model.weight = nn.Parameter(torch.zeros(3, 2), requires_grad=False)
    inputs = torch.ones(4, 2)
    assert float(default_loss(model, (inputs, torch.tensor([0, 1, 2, 0])))) == pytest.approx(math.log(3))
    assert float(default_loss(model, (inputs, torch.full((4, 3), 2.0)))) == pytest.approx(4.0)
    assert float(default_loss(lambda x: SimpleNamespace(loss=x.sum()), {"x": inputs})) == 8.0  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("model", "batch", "says"),
    [
        (lambda x: x, torch.ones(2), "a batch must be (inputs, targets)"),
        (lambda x: x, (torch.ones(2),), "a batch must be (inputs, targets)"),
        (lambda x: "text", (torch.ones(2), torch.ones(2)), "must return a tensor or `.logits`"),
        (lambda x: x, {"x": torch.ones(2)}, "are there labels in it"),
    ],
)
def test_a_loss_that_cannot_be_had_is_told(model, batch, says: str) -> None:
    with pytest.raises(DynamicsError) as caught:
        default_loss(model, batch)
    assert says in str(caught.value)
