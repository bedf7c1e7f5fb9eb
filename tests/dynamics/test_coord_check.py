from functools import partial

import numpy as np
import pytest
import torch
from small_models import batch, build, loss_of
from torch import nn
from torch.nn import functional as F

import hptransfer as hpt
from hptransfer.dynamics.result import NO_PROOF, UNSEEN
from hptransfer.errors import DynamicsError, RuleError, VerifyError
from hptransfer.parametrization.mup_departures import departures, natural_coordinates
from hptransfer.parametrization.rule import ROLES

small = partial(build, depth=1)
WIDTHS = (16, 64, 256)
QUICK = {"steps": 2, "seeds": 2, "lr": 2.0**-6, "loss": loss_of}


@pytest.fixture(scope="module")
def mup() -> hpt.CoordCheck:
    return hpt.coord_check(small, WIDTHS, "mup", [batch(0)], **QUICK)


@pytest.fixture(scope="module")
def sp() -> hpt.CoordCheck:
    return hpt.coord_check(small, WIDTHS, "sp", [batch(0)], **QUICK)


def verdicts(check: hpt.CoordCheck) -> dict[str, str]:
    return {layer.name: layer.verdict for layer in check.layers}


def test_mup_passes_and_sp_fails(mup: hpt.CoordCheck, sp: hpt.CoordCheck) -> None:
    assert mup.passed
    assert not sp.passed
    found = verdicts(sp)
    assert found["blocks.0.attn.qkv"] == found["blocks.0.down"] == found["readout"] == "grows"
    assert found["tokens"] == "stable"


def test_it_is_repeatable_and_leaves_random_numbers_alone(mup: hpt.CoordCheck) -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    again = hpt.coord_check(small, WIDTHS[::-1], "mup", [batch(0)], **QUICK)
    assert torch.equal(torch.get_rng_state(), before)
    assert all(np.array_equal(again.sizes[name], mup.sizes[name]) for name in mup.sizes)


def test_seeds_differ(mup: hpt.CoordCheck) -> None:
    assert not np.allclose(mup.sizes["readout"][:, 0], mup.sizes["readout"][:, 1])


def test_coordinates_decide_what_is_flat(sp: hpt.CoordCheck) -> None:
    assert (sp.settings["coordinates"], natural_coordinates(hpt.get_rule("mup")).coordinates) == ("sp", "mup")
    found = hpt.coord_check(small, WIDTHS, "sp", [batch(0)], coordinates="mup", **QUICK)
    assert verdicts(found)["tokens"] == "shrinks"
    assert verdicts(found)["blocks.0.attn.qkv"] != "grows"


def test_switches_are_seen_one_by_one() -> None:
    lacks = {
        "embd": "tokens",
        "ln": "norm.weight",
        "attn": "blocks.0.attn attention logits",
        "last": "readout",
    }
    for switch, layer in lacks.items():
        found = hpt.coord_check(small, WIDTHS, f"mup-{switch}", [batch(0)], **QUICK)
        assert verdicts(found)[layer] in ("grows", "shrinks"), (switch, found)


def test_mup_holds_for_sgd_too() -> None:
    found = hpt.coord_check(small, WIDTHS, "mup", [batch(0)], optimizer="sgd", **{**QUICK, "lr": 0.05})
    assert found.passed, found
    assert found.settings["optimizer"] == "sgd"


def test_the_rule_s_own_departures_from_mup_are_told(mup: hpt.CoordCheck, sp: hpt.CoordCheck) -> None:
    assert mup.notes == ()
    roles = ("embedding", "hidden", "readout", "vector")
    assert "hidden LR m^0, not m^-1" in sp.notes[0]
    for name in ("mup", "mup-tp5-table3", "mup-tp5-table8", "mup-tp5-table9", "completep"):
        assert departures(natural_coordinates(hpt.get_rule(name)), roles) == (), name
    for table in (3, 8, 9):
        assert departures(hpt.get_rule(f"mup-tp5-table{table}", "sgd"), ROLES) == ()
    assert departures(natural_coordinates(hpt.get_rule("mup", "sgd")), ROLES) == ()
    assert departures(hpt.get_rule("u-mup"), ROLES) == ("embedding LR m^-0.5, not m^0",)


def test_a_set_up_of_one_s_own_is_taken_as_it_is() -> None:
    def standard(model: nn.Module, groups: list) -> torch.optim.Optimizer:
        return torch.optim.Adam(model.parameters(), lr=2.0**-6)

    draw = torch.Generator().manual_seed(0)

    def fresh(width: int) -> nn.Module:
        return small(width, seed=int(torch.randint(1 << 30, (), generator=draw)))

    found = hpt.coord_check(fresh, WIDTHS, None, [batch(0)], optimizer=standard, **QUICK)
    assert verdicts(found)["blocks.0.attn.qkv"] == "grows"
    assert found.settings["rule"] == "the model as given"


def test_the_text_says_what_it_cannot_see(mup: hpt.CoordCheck) -> None:
    text = repr(mup)
    assert text.startswith("coordinate check of mup: passed (")
    assert UNSEEN in text
    assert "weight decay" in UNSEEN
    assert NO_PROOF in text
    assert "does not prove" in NO_PROOF


class Perceptron(nn.Module):
    """Inputs and outputs of fixed size, real-valued; three tensors."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(8, width, bias=False), nn.Linear(width, width, bias=False)
        self.last = nn.Linear(width, 3, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(F.relu(self.second(F.relu(self.first(x)))))


def test_pairs_need_no_loss_function() -> None:
    x = torch.randn(16, 8, generator=torch.Generator().manual_seed(0))
    for targets in (torch.arange(16) % 3, torch.ones(16, 3)):
        found = hpt.coord_check(Perceptron, (32, 64, 128), "mup", [(x, targets)], steps=2, seeds=2)
        assert list(verdicts(found)) == ["first", "second", "last"]
        assert "grows" not in verdicts(found).values()


def test_hugging_face_models_bring_their_loss() -> None:
    pytest.importorskip("transformers")
    from hptransfer.parametrization.hf_models import build as family

    ids = torch.randint(50, (2, 8), generator=torch.Generator().manual_seed(0))
    found = hpt.coord_check(
        lambda width: family("llama", width, depth=1, vocab=50, context=8),
        (16, 32, 64),
        "mup",
        [{"input_ids": ids, "labels": ids}],
        steps=2,
        seeds=2,
    )
    assert "model.layers.0.self_attn attention logits" in verdicts(found)
    assert "grows" not in verdicts(found).values(), found


def test_a_wide_model_that_diverges_fails_and_a_narrow_one_is_an_error() -> None:
    class Exploding(Perceptron):
        """Infinite once trained, from some width on."""

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = super().forward(x)
            trained = not torch.equal(self.second.weight, self.start)
            return y * float("inf") if trained and self.second.weight.shape[0] >= self.limit else y

    def at(limit: int):
        def make(width: int) -> nn.Module:
            model = Exploding(width)
            model.limit = limit
            model.start = torch.zeros(0)
            return model

        return make

    def optimizer(model: nn.Module, groups: list) -> torch.optim.Optimizer:
        model.start = model.second.weight.detach().clone()
        return torch.optim.AdamW(groups)

    batches = [(torch.ones(4, 8), torch.ones(4, 3))]

    def check(limit: int) -> hpt.CoordCheck:
        return hpt.coord_check(at(limit), (16, 32), "mup", batches, steps=2, seeds=2, optimizer=optimizer)

    first = check(10**9).settings
    assert first["widths"] == [16, 32]
    found = check(32)
    assert not found.passed
    assert any("not finite at width 32" in layer.reason for layer in found.failures)
    with pytest.raises(DynamicsError, match="smaller lr"):
        check(1)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"widths": (16,)}, "two or more positive widths"),
        ({"widths": (0, 16)}, "two or more positive widths"),
        ({"widths": (16, 32), "seeds": 1}, "widths x seeds >= 3"),
        ({"seeds": 0}, "seeds must be at least 1"),
        ({"steps": 0}, "steps must be at least 1"),
        ({"batches": []}, "batches must be at least 1"),
        ({"lr": -1.0}, "lr must be positive"),
        ({"level": 1.0}, "level must lie"),
        ({"optimizer": "muon"}, "adamw, adam, sgd"),
        ({"threshold": (0.1, 0.2)}, "must hold zero"),
        ({"rule": None, "base_width": 16}, "without a rule"),
        ({"batches": [batch(0)], "loss": None}, "(inputs, targets)"),
    ],
)
def test_bad_arguments_are_one_line(change: dict, says: str) -> None:
    arguments = {"widths": (16, 32), "rule": "mup", "batches": [batch(0)], **QUICK, **change}
    with pytest.raises(DynamicsError) as caught:
        hpt.coord_check(small, **arguments)
    assert says in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_a_rule_that_does_not_fit_is_said_so() -> None:
    with pytest.raises(RuleError, match="did you mean 'mup'"):
        hpt.coord_check(small, WIDTHS, "mupp", [batch(0)], **QUICK)


def test_a_multiplier_that_is_passed_by_is_no_verdict_on_the_rule() -> None:
    class ByHand(Perceptron):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = F.relu(self.second(F.relu(self.first(x))))
            return y @ self.last.weight.T  # the multiplier hangs on the layer, which is not called

    with pytest.raises(VerifyError, match="weight read outside its layer"):
        hpt.coord_check(
            ByHand, (16, 32), "mup-tp5-table9", [(torch.ones(4, 8), torch.ones(4, 3))], steps=1, seeds=2
        )


def test_a_bias_that_softmax_does_not_see_is_left_out() -> None:
    class Keyed(nn.Module):
        def __init__(self, width: int) -> None:
            super().__init__()
            self.inner = nn.Linear(8, width, bias=False)
            self.query, self.key = nn.Linear(width, width, bias=False), nn.Linear(width, width)
            self.readout = nn.Linear(width, 3, bias=False)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = self.inner(x)
            logits = self.query(y) @ self.key(y).transpose(-2, -1) / y.shape[-1]
            return self.readout(torch.softmax(logits, dim=-1) @ y)

    x = torch.randn(2, 6, 8, generator=torch.Generator().manual_seed(0))
    found = hpt.coord_check(
        Keyed, (16, 32), "mup", [(x, torch.ones(2, 6, 3))], steps=2, seeds=2, attention=False
    )
    assert "key.bias" not in verdicts(found)
    assert "Left out, a gradient of rounding alone: key.bias." in found.notes


def test_what_is_never_trained_is_left_out() -> None:
    def frozen(width: int) -> nn.Module:
        model = Perceptron(width)
        model.first.requires_grad_(False)
        return model

    x = torch.randn(4, 8)
    found = hpt.coord_check(frozen, (16, 32), "mup", [(x, torch.ones(4, 3))], steps=1, seeds=2)
    assert list(verdicts(found)) == ["second", "last"]
    assert "never changing: 1 layers" in found.notes[-1]


class Biased(nn.Module):
    """Attention whose logits have a bias of fixed numbers that grow with width, as ALiBi's may."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.heads, self.width = width // 8, width
        self.qkv, self.head_dim = nn.Linear(width, 3 * width), 8

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = (p.unflatten(-1, (self.heads, 8)).transpose(1, 2) for p in self.qkv(x).chunk(3, -1))
        bias = self.width * 0.1 * torch.arange(x.shape[1]).float()
        return ((q @ k.mT * 8**-0.5 + bias).softmax(-1) @ v).transpose(1, 2).flatten(2)


class Kernel(nn.Module):
    """Attention whose logits nobody sees."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.attn = nn.MultiheadAttention(width, width // 8, batch_first=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.attn(x, x, x, need_weights=False)[0]


def around(kind: type[nn.Module]):
    return lambda n: nn.Sequential(nn.Embedding(11, n), kind(n), nn.Linear(n, 11, bias=False))


def test_what_the_architecture_s_own_numbers_do_at_the_start_is_no_fault() -> None:
    check = hpt.coord_check(around(Biased), WIDTHS, "mup", [batch(0)], attention=False, **QUICK)
    (logits,) = (layer for layer in check.layers if layer.name == "1 attention logits")
    assert logits.activation[0].value > 0.5
    assert not logits.failed
    assert not any("Not seen" in note for note in check.notes)


def test_attention_that_is_not_seen_is_said() -> None:
    check = hpt.coord_check(around(Kernel), WIDTHS, "mup", [batch(0)], **QUICK)
    assert any("Not seen, computed in a kernel: attention logits of 1.attn." in note for note in check.notes)
