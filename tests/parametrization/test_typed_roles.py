"""Depth alone grows: roles by the types of modules, as they would be from two widths."""

import pytest
from small_models import build
from torch import nn

import hptransfer as hpt
from hptransfer.errors import RuleError
from hptransfer.parametrization.pairing import pair
from hptransfer.parametrization.typed_roles import roles_by_type

RESIDUAL = ["*.down", "*.out"]


@pytest.mark.parametrize("rule", ["completep", "completep-0.5", "depth-mup", "u-mup"])
def test_depth_alone_needs_no_other_build(rule: str) -> None:
    model, base = build(16, depth=6), build(16, depth=2)
    found = hpt.parametrize(model, base=base, rule=rule, residual=RESIDUAL)
    told = hpt.parametrize(model, base=base, rule=rule, residual=RESIDUAL, other=build(32))
    assert (found.ratio, found.depth_ratio) == (1, 3)
    assert found.factors == told.factors
    assert [(t.name, t.role, t.factors, t.growth) for t in found.tensors] == [
        (t.name, t.role, t.factors, t.growth) for t in told.tensors
    ]
    kinds = [scaling.param_groups(model, lr=0.01, weight_decay=0.1) for scaling in (found, told)]
    assert [g["lr"] for g in kinds[0]] == [g["lr"] for g in kinds[1]]


def test_a_rule_without_depth_is_still_refused() -> None:
    with pytest.raises(RuleError, match="has 2 times the base's blocks; completep"):
        hpt.parametrize(build(16, depth=4), base=build(16, depth=2), rule="mup")


class Net(nn.Module):
    """What types tell apart: patches, a cls token, depthwise filters, a router, keys of one head, a head."""

    def __init__(self, depth: int, n: int = 32) -> None:
        super().__init__()
        self.patches, self.norm, self.head = nn.Conv2d(3, n, 4), nn.LayerNorm(n), nn.Linear(n, 5)
        self.blocks = nn.ModuleList(
            nn.ModuleDict(
                {
                    "norm": nn.LayerNorm(n),
                    "q_norm": nn.LayerNorm(8),
                    "k_proj": nn.Linear(n, 8),
                    "filters": nn.Conv2d(n, n, 3, groups=n),
                    "up": nn.Linear(n, 4 * n),
                    "down": nn.Linear(4 * n, n),
                    "gate": nn.Linear(n, 4, bias=False),
                    "value_head": nn.Linear(n, 1),
                }
            )
            for _ in range(depth)
        )


def test_roles_by_type() -> None:
    pairing = pair(Net(4), Net(2))
    found = {t.name.replace("blocks.0.", ""): t for t in roles_by_type(pairing, {})}
    roles = {name: found[f"{name}.weight"].role for name in ("patches", "norm", "head", "k_proj", "filters")}
    assert roles == {
        "patches": "embedding", "norm": "vector", "head": "readout", "k_proj": "hidden", "filters": "vector",
    }  # fmt: skip
    roles = {name: found[f"{name}.weight"].role for name in ("up", "down", "gate", "value_head", "q_norm")}
    assert roles == {
        "up": "hidden", "down": "hidden", "gate": "readout", "value_head": "readout", "q_norm": "vector",
    }  # fmt: skip
    assert all(tensor.ratio == 1 and tensor.dimension is None for tensor in found.values())
    assert {t.role for t in roles_by_type(pairing, {"*": "vector"})} == {"vector"}


def test_what_types_do_not_tell_is_refused() -> None:
    def net(depth: int) -> nn.Module:
        made = Net(depth)
        made.odd = nn.Linear(7, 9)
        return made

    with pytest.raises(RuleError, match=r"odd.weight .* ambiguous: neither side is a width that norms have"):
        roles_by_type(pair(net(4), net(2)), {})
    assert roles_by_type(pair(net(4), net(2)), {"odd.weight": "scalar"})


def test_of_a_hugging_face_model_the_config_tells() -> None:
    pytest.importorskip("transformers")
    from hptransfer.parametrization import hf_models

    model, base = (hf_models.build("mamba", 64, depth=depth) for depth in (4, 2))
    found = hpt.parametrize(model, base=base, rule="completep")
    assert {t.name.rpartition("mixer.")[2]: t.role for t in found.tensors}["x_proj.weight"] == "hidden"
    model = hf_models.build("llama", 64, depth=4)
    shallow = hpt.parametrize(model, base_width=64, base_depth=2, rule="completep")
    assert (shallow.ratio, shallow.depth_ratio, len(shallow.factors)) == (1, 2, 8)
    both = hpt.parametrize(model, base_width=32, base_depth=2, rule="completep")
    assert (both.ratio, both.depth_ratio) == (2, 2)
    with pytest.raises(RuleError, match=r"base_depth= must be positive, .* but got 0 for LlamaForCausalLM"):
        hpt.parametrize(model, base_width=32, base_depth=0, rule="completep")
