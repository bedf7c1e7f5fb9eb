"""Two builds matched tensor by tensor, at other widths and other depths."""

import pytest
import torch
from small_models import build
from torch import nn

import hptransfer as hpt
from hptransfer.errors import RuleError
from hptransfer.parametrization.pairing import pair


def test_every_tensor_and_module_has_its_counterpart() -> None:
    model, base = build(32), build(8)
    found = pair(model, base)
    assert found.depth_ratio == 1
    assert list(found.tensors) == [name for name, _ in model.named_parameters()]
    assert all(found.base_of[name].name == name for name in found.tensors)
    assert found.base_modules["blocks.1.up"] is base.blocks[1].up
    assert found.modules["blocks.1.up"] is model.blocks[1].up
    assert found.in_blocks == {name for name in found.tensors if name.startswith("blocks.")}
    assert found.outputs == frozenset()


def test_blocks_of_a_deeper_model_follow_the_base_s_in_turn() -> None:
    base = build(8, depth=2)
    found = pair(build(32, depth=6), base)
    assert found.depth_ratio == 3
    assert [found.base_of[f"blocks.{i}.up.weight"].name for i in range(6)] == [
        f"blocks.{i % 2}.up.weight" for i in range(6)
    ]
    assert found.base_modules["blocks.5.attn"] is base.blocks[1].attn


def test_a_shallower_model_uses_some_of_the_base_s_blocks() -> None:
    found = pair(build(32, depth=1), build(8, depth=4))
    assert found.depth_ratio == 0.25
    assert found.base_of["blocks.0.up.weight"].name == "blocks.0.up.weight"


def test_a_stack_within_a_block_is_part_of_it() -> None:
    def make(width: int) -> nn.Module:
        inner = [nn.ModuleList([nn.Linear(width, width)]) for _ in range(2)]
        return nn.ModuleDict({"layers": nn.ModuleList(inner), "head": nn.Linear(width, 3)})

    found = pair(make(8), make(4))
    assert found.in_blocks == {f"layers.{i}.0.{kind}" for i in (0, 1) for kind in ("weight", "bias")}
    assert found.depth_ratio == 1


def test_the_declared_output_layer_is_known() -> None:
    class Model(nn.Module):
        def __init__(self, width: int) -> None:
            super().__init__()
            self.body, self.score = nn.Linear(width, width), nn.Linear(width, 3)

        def get_output_embeddings(self) -> nn.Module:
            return self.score

    assert pair(Model(8), Model(4)).outputs == {"score.weight"}


def test_one_width_is_refused_unless_roles_come_from_elsewhere() -> None:
    with pytest.raises(RuleError, match="every tensor has the same shape in both"):
        pair(build(8), build(8))
    assert pair(build(8), build(8), same_width=True).depth_ratio == 1
    deeper = pair(build(8, depth=4), build(8))
    assert deeper.is_one_width
    assert deeper.depth_ratio == 2


def test_what_only_one_build_has_is_named() -> None:
    with pytest.raises(RuleError, match=r"bias only in the model$"):
        pair(nn.Linear(8, 8), nn.Linear(4, 4, bias=False))
    with pytest.raises(RuleError, match=r"bias only in the base$"):
        pair(nn.Linear(8, 8, bias=False), nn.Linear(4, 4))
    with pytest.raises(RuleError, match=r"tokens.weight only in the model; .* and \d+ more$"):
        pair(build(8), nn.Linear(4, 4))
    with pytest.raises(RuleError, match=r"weight is \[4, 4, 3, 3\] in the base and \[8, 8, 3\] in the model"):
        pair(nn.Conv1d(8, 8, 3), nn.Conv2d(4, 4, 3))


def test_each_stack_deepens_by_its_own_ratio() -> None:
    def two(width: int, a: int, b: int) -> nn.Module:
        make = [nn.ModuleList(nn.Linear(width, width) for _ in range(count)) for count in (a, b)]
        return nn.ModuleDict({"encoder": make[0], "decoder": make[1]})

    found = pair(two(8, 2, 3), two(4, 1, 1))
    assert found.depth_ratios == {"encoder": 2, "decoder": 3}
    assert (found.depth_of("encoder.1.weight"), found.depth_of("decoder.2"), found.depth_of("a")) == (2, 3, 1)
    assert pair(two(8, 2, 4), two(4, 1, 2)).depth_ratio == 2


def test_a_block_follows_one_of_its_kind() -> None:
    def stage(width: int, depth: int) -> nn.Module:
        """As in a ResNet: the first block of a stage reads half as many channels."""
        sizes = [width // 2, *[width] * (depth - 1)]
        return nn.ModuleDict({"layers": nn.ModuleList(nn.Linear(size, width) for size in sizes)})

    found = pair(stage(8, 5), stage(4, 3))
    names = [found.base_of[f"layers.{i}.weight"].name for i in range(5)]
    assert names == [f"layers.{i}.weight" for i in (0, 1, 2, 1, 2)]

    def taper(width: int, depth: int) -> nn.Module:
        sizes = [width * (i + 1) for i in range(depth)]
        return nn.ModuleDict({"layers": nn.ModuleList(nn.Linear(width, size) for size in sizes)})

    assert pair(taper(8, 2), taper(4, 2)).depth_ratio == 1
    with pytest.raises(RuleError, match=r"of the kinds that the base has, but layers has 4 kinds of blocks"):
        pair(taper(8, 4), taper(4, 2))


def test_depth_of_stages() -> None:
    """Swin and ConvNeXt: as many stages, of which one has more blocks; a stage may have a single block."""

    def net(width: int, *depths: int) -> nn.Module:
        def block() -> nn.Module:
            return nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width))

        stages = [nn.ModuleDict({"blocks": nn.Sequential(*(block() for _ in range(d)))}) for d in depths]
        return nn.ModuleDict({"stages": nn.Sequential(*stages), "head": nn.Linear(width, 3)})

    found = pair(net(8, 1, 6, 2), net(4, 1, 2, 2))
    assert found.depth_of("stages.1.blocks.5.1.weight") == 3
    assert found.depth_of("stages.2.blocks.0.1.weight") == found.depth_of("head.weight") == 1
    assert found.base_of["stages.1.blocks.5.1.weight"].name == "stages.1.blocks.1.1.weight"
    assert found.in_blocks == {n for n in found.tensors if n.startswith("stages.")}
    assert pair(net(8, 1, 3), net(4, 1, 1)).depth_of("stages.1.blocks.2.0.bias") == 3
    assert pair(net(8, 2, 2), net(4, 2, 2)).depth_ratios == {"stages": 1}


def test_a_list_of_blocks_may_leave_parts_out() -> None:
    """As x-transformers' lists of norms, of which the second and third are None."""

    def net(n: int, depth: int = 2) -> nn.Module:
        norms = [nn.ModuleList([nn.LayerNorm(n), None, None]) for _ in range(depth)]
        blocks = [nn.ModuleList([norm, nn.Sequential(nn.Linear(n, n), nn.ReLU())]) for norm in norms]
        return nn.ModuleDict({"layers": nn.ModuleList(blocks)})

    assert pair(net(8), net(4)).depth_ratio == 1.0
    deeper = pair(net(8, 6), net(4))
    assert deeper.depth_ratio == 3.0
    assert deeper.base_of["layers.5.1.0.weight"].name == "layers.1.1.0.weight"
    assert pair(nn.ModuleList([None, nn.Linear(8, 8)]), nn.ModuleList([None, nn.Linear(4, 4)])).tensors


@pytest.mark.parametrize("width", [32, 64])  # with the width, and alone
def test_the_number_of_experts_is_no_width_and_no_depth(width: int) -> None:
    class Mixture(nn.Module):
        def __init__(self, n: int, experts: int) -> None:
            super().__init__()
            self.gate, self.norm = nn.Linear(n, experts), nn.LayerNorm(n)
            self.experts = nn.ModuleList(nn.Sequential(nn.Linear(n, n), nn.ReLU()) for _ in range(experts))
            self.stacked_experts = nn.Parameter(torch.randn(experts, n, n))

    def net(n: int, experts: int) -> nn.Module:
        blocks = nn.ModuleList(Mixture(n, experts) for _ in range(2))
        return nn.ModuleDict({"embed": nn.Embedding(7, n), "blocks": blocks, "head": nn.Linear(n, 7)})

    model, base = net(64, 8), net(width, 4)
    found = pair(model, base)
    assert found.experts == {(8, 4)}
    assert set(found.depth_ratios.values()) == {1}
    assert found.base_of["blocks.1.experts.6.0.weight"].name == "blocks.1.experts.2.0.weight"
    overrides = {"*stacked_experts": "hidden"} if width == 64 else {}
    scaling = hpt.parametrize(model, base=base, rule="mup-tp5-table3", overrides=overrides)
    tensors = {t.name.replace("blocks.0.", ""): t for t in scaling.tensors}
    assert (scaling.ratio, tensors["gate.weight"].role) == (64 / width, "readout")
    assert tensors["gate.weight"].tensor.ratio == scaling.ratio
    assert (tensors["stacked_experts"].role, tensors["experts.7.0.weight"].role) == ("hidden", "hidden")
    assert tensors["gate.bias"].role in ("scalar", "vector")
