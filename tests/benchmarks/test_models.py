"""The benchmark of families: what it plants is seen, what it does not plant is not, tables of roles hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from types import ModuleType

import pytest

from hptransfer.errors import VerifyError

pytest.importorskip("transformers")


@pytest.fixture(scope="module")
def models(benchmark_module: Callable[[str], ModuleType]) -> ModuleType:
    return benchmark_module("models")


@pytest.mark.parametrize(
    ("family", "tensors", "factors"),
    [("bert", 42, 3), ("t5", 47, 7), ("mamba_ssm", 22, 1), ("resnet", 32, 1)],
)
def test_every_fault_of_a_family_is_named_and_nothing_else(
    models: ModuleType, family: str, tensors: int, factors: int
) -> None:
    row = models.measured(family, 20)
    assert (row.tensors, row.proven, row.factors, row.faults) == (tensors, factors, factors, 20)
    assert (row.wrong, row.missed, row.false, row.notes) == ([], [], [], [])


@pytest.mark.parametrize(
    "family",
    [
        "nanogpt",
        *(
            pytest.param(name, marks=pytest.mark.slow)
            for name in ("x-transformers", "timm vit", "timm convnext", "timm swin", "timm eva", "timm cait")
        ),
        *(
            pytest.param(name, marks=pytest.mark.slow)
            for name in (
                "timm beit",
                "diffusers dit",
                "diffusers unet2d",
                "torchvision vit",
                "torchvision swin",
            )
        ),
    ],
)
def test_families_of_other_libraries(models: ModuleType, family: str) -> None:
    library = family.split()[0].replace("-", "_")
    if library != "nanogpt":
        pytest.importorskip(library, exc_type=(ImportError, RuntimeError))
    row = models.measured(family, 20)
    assert (row.wrong, row.missed, row.false, row.proven) == ([], [], [], row.factors)
    refused = [] if family in ("timm convnext", "timm swin") else ["attention=False"]
    assert [note.rpartition(" ")[2] for note in row.notes] == refused


def test_faults_are_drawn_by_the_seed_kinds_in_turn(models: ModuleType) -> None:
    run = models.prepared("gpt2")
    drawn = models.faults(run, 40, "gpt2")
    named = [(kind, str(place)) for kind, place, _ in drawn]
    assert named == [(kind, str(place)) for kind, place, _ in models.faults(run, 40, "gpt2")]
    assert named != [(kind, str(place)) for kind, place, _ in models.faults(run, 40, "another seed")]
    times = Counter(kind for kind, _ in named)
    assert len(times) == 17
    assert {times[kind] for kind in ("one LR for all", "Adam for AdamW", "a foreign tensor")} == {1}


def test_only_trained_tensors_get_faults_in_the_optimizer(models: ModuleType) -> None:
    run = models.prepared("pegasus")  # its positions are sines, and frozen
    frozen = {tensor.name for tensor in run.scaling.tensors if tensor.frozen}
    assert frozen
    assert not frozen & {
        place for _, place, _ in models.faults(run, 200, "pegasus") if isinstance(place, str)
    }


def test_a_fault_that_verify_does_not_name_is_counted_as_missed(
    models: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    def planted(_run: object, _count: int, _seed: str) -> list[tuple[str, str, Callable[..., list[str]]]]:
        def elsewhere(run: object, name: str) -> list[str]:
            models.regroup(run, "transformer.wte.weight", lr=lambda x: 2 * x)
            return [name]

        return [
            ("nothing", "transformer.wpe.weight", lambda _run, name: [name]),
            ("another's LR", "transformer.wpe.weight", elsewhere),
        ]

    monkeypatch.setattr(models, "faults", planted)
    row = models.measured("gpt2", 2)
    assert row.missed[0] == "nothing at transformer.wpe.weight: passes"
    assert row.missed[1].startswith("another's LR at transformer.wpe.weight: said")
    assert row.false == ["another's LR at transformer.wpe.weight: also ['transformer.wte.weight']"]


def test_each_way_to_hide_a_number_is_a_fault_of_its_own(models: ModuleType) -> None:
    for name, what in (("bypass_factor", "multiplier"), ("unread_scale", "attention scale")):
        run = models.prepared("llama")
        site = run.scaling.factors[-1] if name == "bypass_factor" else run.scaling.attention[0]
        where = getattr(models, name)(run, site)
        with pytest.raises(VerifyError) as caught:
            models.check(run)
        assert {fault.what for fault in caught.value.faults} == {what}
        assert all(any(fault.tensor.startswith(place) for place in where) for fault in caught.value.faults)


@pytest.mark.parametrize(
    ("family", "tensor", "role"),
    [
        ("bert", "cls.predictions.bias", "scalar"),
        ("mixtral", "model.layers.0.mlp.gate.weight", "readout"),
        ("a family without its own patterns", "model.layers.0.mlp.gate.weight", "hidden"),
        ("recurrent_gemma", "model.layers.0.temporal_block.rg_lru.input_gate_weight", "hidden"),
        ("recurrent_gemma", "model.layers.0.temporal_block.rg_lru.input_gate_bias", "vector"),
    ],
)
def test_roles_by_hand(models: ModuleType, family: str, tensor: str, role: str) -> None:
    assert models.role_by_hand(family, tensor) == role
