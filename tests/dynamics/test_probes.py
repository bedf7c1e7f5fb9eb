import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hptransfer.dynamics import probes


def numbers(found: dict[str, torch.Tensor]) -> dict[str, float]:
    return {name: float(value) for name, value in found.items()}


def test_sizes_of_a_tensor_its_gradient_and_its_update() -> None:
    before, after = torch.tensor([3.0, 4.0]), torch.tensor([3.0, 3.0])
    found = probes.tensor_probes(before, after, torch.tensor([1.0, 7.0]), torch.tensor([1e-4, 3e-4]), 1e-8)
    assert numbers(found) == pytest.approx(
        {
            "weight_rms": math.sqrt(12.5),
            "update_rms": math.sqrt(0.5),
            "relative_update": 0.2,
            "grad_rms": 5.0,
            "grad_over_eps": math.sqrt(2e-4) / 1e-8,
        }
    )
    assert set(probes.tensor_probes(before, after)) == {"weight_rms", "update_rms", "relative_update"}


def test_a_linear_layer_by_hand() -> None:
    weight, delta = torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 1.0]])
    inputs = torch.tensor([[3.0, 4.0]])
    found = numbers(probes.linear_probes(weight, delta, inputs))
    assert found["relative_change"] == pytest.approx(4 / 6)
    assert found["update_alignment"] == pytest.approx(4 / 5)
    assert found["weight_alignment"] == pytest.approx(6 / (2 * 5))
    assert found["alignment_ratio"] == pytest.approx(0.8 / 0.6)
    assert found["log_alignment"] == pytest.approx(math.log(4 / (math.sqrt(1 / 2) * math.sqrt(25 / 2)), 2))
    spared = probes.linear_probes(weight, delta, inputs, outputs=torch.tensor([[6.0]]))
    assert numbers(spared) == pytest.approx(found)


def test_a_rank_one_update_along_its_input_is_aligned() -> None:
    x, out = torch.randn(1, 64), torch.randn(32, 1)
    found = probes.linear_probes(torch.randn(32, 64), out @ x, x)
    assert float(found["update_alignment"]) == pytest.approx(1.0, rel=1e-5)
    assert float(found["log_alignment"]) == pytest.approx(1.0, rel=1e-4)
    noise = probes.linear_probes(torch.randn(4096, 4096), torch.randn(4096, 4096), torch.randn(64, 4096))
    assert float(noise["log_alignment"]) == pytest.approx(0.5, abs=0.01)
    assert float(noise["alignment_ratio"]) == pytest.approx(1.0, abs=0.05)


def test_an_embedding_is_a_linear_layer_on_one_hot_inputs() -> None:
    draw = torch.Generator().manual_seed(0)
    weight, delta = (torch.randn(5, 3, generator=draw) for _ in range(2))
    tokens = torch.tensor([[0, 2], [2, 4]])
    one_hot = torch.nn.functional.one_hot(tokens, 5).float()
    linear = numbers(probes.linear_probes(weight.T, delta.T, one_hot))
    found = numbers(probes.embedding_probes(weight, delta, tokens))
    assert found == pytest.approx({name: linear[name] for name in found})


def test_rows_of_the_token_embedding() -> None:
    weight = torch.arange(1.0, 9.0)[:, None].repeat(1, 3)
    quarter = probes.quarters(torch.tensor([1, 2, 3, 4, 8, 7, 6, 5]))
    assert quarter.tolist() == [3, 3, 2, 2, 0, 0, 1, 1]
    found = numbers(probes.row_probes(weight, torch.tensor([[0, 0], [7, 1]]), quarter))
    assert found == pytest.approx(
        {"rows_touched": 3 / 8, "row_rms_q1": 5.5, "row_rms_q2": 7.5, "row_rms_q3": 3.5, "row_rms_q4": 1.5}
    )
    assert set(probes.row_probes(weight, torch.tensor([0]), None)) == {"rows_touched"}


def test_attention_and_readout() -> None:
    logits = torch.tensor(
        [[0.0, -math.inf], [2.0, 2.0]]
    )  # the first query sees one key, the second both alike
    found = numbers(probes.attention_probes(logits))
    assert found == pytest.approx({"attention_logit_max": 2.0, "attention_entropy": math.log(2) / 2})
    z = probes.readout_probes(torch.tensor([[0.0, 0.0], [math.log(3.0), 0.0]]))
    assert numbers(z) == pytest.approx({"log_z": (math.log(2) + math.log(4)) / 2})


@given(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=8), st.integers(1, 7))
def test_the_gradient_s_norm_does_not_depend_on_how_it_is_parted(values: list[float], cut: int) -> None:
    whole = torch.tensor(values)
    parts = {str(i): part for i, part in enumerate(whole.split(cut))}
    assert float(probes.grad_norm(parts)) == pytest.approx(float(whole.norm()), rel=1e-5, abs=1e-5)
    assert float(probes.rms(whole)) == pytest.approx(float(whole.norm()) / math.sqrt(len(values)), rel=1e-5)
