"""Two sizes side by side: what pairs with what, how it grows, which role it has."""

import pytest

from hptransfer.errors import RuleError
from hptransfer.parametrization.audit_pairs import pair_up, template
from hptransfer.parametrization.audit_records import read_record


def pairs(small, large, **more):
    def record(shapes, size):
        rows = [{"name": n, "shape": list(s), "lr": 1.0} for n, s in shapes.items()]
        return read_record({"tensors": rows} | {key: value[size] for key, value in more.items()})

    return pair_up(record(small, 0), record(large, 1))


def test_templates() -> None:
    assert template("layers.12.mlp.fc1.weight") == "layers.*.mlp.fc1.weight"
    assert template("h_3/attn/kernel") == "h_*/attn/kernel"
    assert template("w1") == "w1"


@pytest.mark.parametrize(
    ("name", "small", "large", "expected"),
    [
        ("up.weight", (64, 16), (256, 64), "hidden"),
        ("q/kernel", (16, 2, 8), (64, 8, 8), "hidden"),
        ("experts.w1", (4, 32, 16), (4, 128, 64), "hidden"),
        ("wte.weight", (97, 16), (97, 64), "embedding"),
        ("patch.proj.weight", (16, 3, 4, 4), (64, 3, 4, 4), "embedding"),
        ("lm_head.weight", (97, 16), (97, 64), "readout"),
        ("score.weight", (1, 16), (1, 64), "readout"),
        ("first.weight", (16, 8), (64, 8), "embedding"),
        ("last.weight", (10, 16), (10, 64), "readout"),
        ("last/kernel", (16, 10), (64, 10), "readout"),
        ("norm.weight", (16,), (64,), "vector"),
        ("ln_f.bias", (2, 16), (2, 64), "vector"),
        ("lm_head.bias", (97,), (97,), "scalar"),
    ],
)
def test_roles(name: str, small: tuple, large: tuple, expected: str) -> None:
    found = pairs({name: small, "x": (8, 8)}, {name: large, "x": (32, 32)}).tensors[0]
    assert found.role == expected


def test_a_ratio_is_that_of_the_fan_in() -> None:
    torch_like = pairs({"down.weight": (16, 64)}, {"down.weight": (64, 128)})
    assert torch_like.tensors[0].ratio == 2
    assert pairs({"down/kernel": (16, 64)}, {"down/kernel": (64, 128)}).tensors[0].ratio == 4


def test_blocks_that_only_the_deeper_model_has() -> None:
    small = {f"h.{i}.w": (16, 16) for i in range(2)}
    large = {f"h.{i}.w": (32, 32) for i in range(6)}
    found = pairs(small, large)
    assert (found.depth_ratio, found.width_ratio, len(found.tensors)) == (3, 2, 6)
    assert all(pair.in_block for pair in found.tensors)
    assert (found.only_small, found.only_large) == ((), ())


def test_blocks_in_one_tensor() -> None:
    found = pairs({"qkv": (2, 48, 16)}, {"qkv": (4, 192, 64)}, width=(16, 64), depth=(2, 4))
    (pair,) = found.tensors
    assert (pair.role, pair.ratio, pair.in_block, found.depth_ratio) == ("hidden", 4, True, 2)
    gains = pairs({"gain": (2, 16), "w": (16, 16)}, {"gain": (2, 64), "w": (64, 64)}, depth=(2, 2))
    assert gains.tensors[0].role == "vector"


def test_lost_tensors() -> None:
    small = {f"h.{i}.{part}": (16, 16) for i in range(2) for part in "abc"}
    large = {name: (32, 32) for name in small if name != "h.1.b"}
    assert pairs(small, large).only_small == ("h.1.b",)
    less = {name: shape for name, shape in small.items() if name != "h.1.b"}
    assert pairs(less, dict.fromkeys(small, (32, 32))).only_large == ("h.1.b",)
    experts = {f"e.{i}.{part}": (16, 16) for i in range(2) for part in "ab"}
    more = {f"e.{i}.{part}": (32, 32) for i in range(4) for part in "ab"}
    assert pairs(experts, more).only_small == pairs(experts, more).only_large == ()


def test_what_is_no_pair() -> None:
    with pytest.raises(RuleError, match="must be of one architecture"):
        pairs({"a": (4, 4)}, {"b": (8, 8)})
    with pytest.raises(RuleError, match="must differ in size"):
        pairs({"a": (4, 4)}, {"a": (4, 4)})


@pytest.mark.parametrize("shape", ["norms", "two of a kind"])
def test_one_of_two_kinds_lost_is_the_only_one_named(shape: str) -> None:
    """A gain and a bias alone in their part of a block: a lost bias does not make the gains too few."""
    norms = [f"h.{i}.ln_{j}.{what}" for i in range(3) for j in (1, 2) for what in ("weight", "bias")]
    kinds = [f"h.{i}.{what}" for i in range(3) for what in ("gain", "shift")]
    inner = norms if shape == "norms" else kinds
    small = dict.fromkeys(inner, (16,)) | {f"mlp.{i}.w": (16, 16) for i in range(3)}
    large = {name: tuple(4 * n for n in shape) for name, shape in small.items()}
    for name in (inner[3], inner[2]):
        less = {n: s for n, s in large.items() if n != name}
        assert (pairs(small, less).only_small, pairs(small, less).only_large) == ((name,), ())
        less = {n: s for n, s in small.items() if n != name}
        assert (pairs(less, large).only_small, pairs(less, large).only_large) == ((), (name,))
