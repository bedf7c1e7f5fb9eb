"""Parameters by name: wrappers' prefixes gone, shared tensors once, the embedding's name first."""

import pytest
import torch
from small_models import build
from torch import nn

from hptransfer.errors import RuleError
from hptransfer.parametrization.parameters import canonical, modules, parameters, shape_of, unwrapped


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("_orig_mod.blocks.0.up.weight", "blocks.0.up.weight"),
        ("blocks.0._checkpoint_wrapped_module.up", "blocks.0.up"),
        ("_fsdp_wrapped_module._orig_mod.head", "head"),
        ("_orig_mod", ""),
        ("blocks.0._checkpoint_wrapped_module", "blocks.0"),
        ("my_orig_mod.weight", "my_orig_mod.weight"),
    ],
)
def test_wrappers_are_not_in_names(name: str, found: str) -> None:
    assert canonical(name) == found


def test_a_compiled_model_is_the_model() -> None:
    model = build(8)
    compiled = torch.compile(model, backend="eager")
    assert unwrapped(compiled) is unwrapped(nn.DataParallel(compiled)) is model
    assert set(modules(compiled)) == {name for name, _ in model.named_modules()}
    assert list(parameters(compiled)) == list(parameters(model))


def test_a_shared_tensor_is_there_once_under_the_embedding_s_name() -> None:
    model = nn.ModuleDict({"head": nn.Linear(4, 7, bias=False), "table": nn.Embedding(7, 4)})
    model["head"].weight = model["table"].weight
    (named,) = parameters(model).values()
    assert (named.name, named.attribute, named.aliases) == ("table.weight", "weight", ("head.weight",))
    assert named.module is model["table"]
    assert named.parameter is model["head"].weight


def test_every_parameter_is_found_with_its_shape() -> None:
    found = parameters(build(8))
    assert {n: shape_of(p.parameter) for n, p in found.items()} == {
        n: tuple(p.shape) for n, p in build(8).named_parameters()
    }


@pytest.mark.filterwarnings("ignore:Lazy modules")
def test_models_without_tensors_or_shapes_are_refused() -> None:
    with pytest.raises(RuleError, match="must have parameters, but ReLU has none"):
        parameters(nn.ReLU())
    with pytest.raises(RuleError, match=r"must have a shape, but 0\.weight is lazy"):
        parameters(nn.Sequential(nn.LazyLinear(3)))
