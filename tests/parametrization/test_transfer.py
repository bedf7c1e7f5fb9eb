import pytest

import hptransfer as hpt
from hptransfer.errors import RuleError


def test_mup_keeps_the_embedding_and_divides_the_matrices() -> None:
    found = hpt.transfer_lr(3e-3, rule="mup", at={"width": 256}, to={"width": 4096})
    assert found.ratio == 16
    assert dict(found.lrs) == pytest.approx(
        {"embedding": 3e-3, "hidden": 3e-3 / 16, "readout": 3e-3 / 16, "vector": 3e-3, "scalar": 3e-3}
    )
    assert dict(found.eta) == pytest.approx({"mup": 3e-3, "sp": 3e-3 / 16})
    assert found.attention == pytest.approx(1 / 16)
    assert found.init["hidden"] == pytest.approx(1 / 4)


def test_sp_divides_every_tensor_and_sp_embd_all_but_the_embedding() -> None:
    sp = hpt.transfer_lr(0.01, rule="sp", at={"width": 64}, to={"width": 256})
    assert set(sp.lrs.values()) == {0.0025}
    embd = hpt.transfer_lr(0.01, rule="sp+embd", at={"width": 64}, to={"width": 256})
    assert embd.lrs["embedding"] == pytest.approx(0.01)
    assert embd.lrs["vector"] == 0.0025


def test_everett_without_alignment_and_sgd() -> None:
    found = hpt.transfer_lr(0.01, rule="everett-sp-no-alignment", at={"width": 64}, to={"width": 1024})
    assert found.lrs["hidden"] == pytest.approx(0.0025)
    sgd = hpt.transfer_lr(0.1, rule="mup", at={"width": 64}, to={"width": 256}, optimizer="sgd")
    assert dict(sgd.eta) == {"mup": 0.1, "sp": 0.1}
    assert sgd.lrs["embedding"] == pytest.approx(0.4)


def test_it_is_what_param_groups_gives() -> None:
    torch = pytest.importorskip("torch")
    from small_models import build

    model = build(64)
    scaling = hpt.parametrize(model, base=build(16), rule="mup")
    found = hpt.transfer_lr(0.01, rule="mup", at={"width": 16}, to={"width": 64})
    groups = scaling.param_groups(model, lr=found.eta["sp"])
    lrs = {n: g["lr"] for g in torch.optim.AdamW(groups).param_groups for n in g["names"]}
    for plan in scaling.tensors:
        assert lrs[plan.name] == pytest.approx(found.lrs[plan.role])


def test_it_says_what_it_assumes() -> None:
    text = str(hpt.transfer_lr(3e-3, at={"width": 256}, to={"width": 4096}))
    assert "mup, m = 16" in text
    assert "not a measurement" in text
    assert "weight decay" in text
    assert "attention logits" in text
    assert "attention logits" not in str(hpt.transfer_lr(1, rule="sp", at={"width": 1}, to={"width": 2}))


BATCH = {"at": {"batch": 1}, "to": {"batch": 2}}


@pytest.mark.parametrize(
    ("kwargs", "says"),
    [
        ({"lr": 0}, "lr must be positive and finite, but got 0"),
        ({"at": {"width": -1}}, "width must be positive and finite"),
        ({"to": {"width": float("inf")}}, "width must be positive and finite"),
        ({"to": {"width": True}}, "width must be positive"),
        ({"to": {"depth": 4}}, "but depth is not"),
        ({"at": {"widht": 64}}, "did you mean 'width'"),
        ({"to": {"experts": 8}}, "but experts is not"),
        ({"at": {"top_k": 1}, "to": {"top_k": 2}, "laws": {"top_k": "mean"}}, "one of average, sum, none"),
        ({"at": {"depth": 2}, "to": {"depth": 4}}, "a rule must say what depth does, but mup does not"),
        ({"laws": {"width": "sqrt"}}, "laws must be for batch, tokens, experts, top_k, but got 'width'"),
        ({"at": {"batch": 1}, "to": {"batch": 2}, "laws": {"batch": "cube"}}, "one of sqrt, linear"),
        (
            {"at": {"batch": 1}, "to": {"batch": 2}, "optimizer": "sgd", "laws": {"batch": "sqrt"}},
            "one of linear",
        ),
    ],
)
def test_what_is_refused(kwargs, says: str) -> None:
    given = {"lr": 1.0, "at": {"width": 64}, "to": {"width": 128}} | kwargs
    with pytest.raises(RuleError, match=says):
        hpt.transfer_lr(given.pop("lr"), **given)


def test_batch_and_tokens_move_lr_by_their_noise() -> None:
    """Adam's SDE: only B / D counts, and as much of one undoes the other."""
    at = {"width": 256, "batch": 64, "tokens": 1e9}
    found = hpt.transfer_lr(0.01, at=at, to={"batch": 256})
    assert found.lrs["embedding"] == pytest.approx(0.02)
    assert (found.weight_decay["hidden"], found.eps["hidden"], found.memory) == pytest.approx((2, 0.5, 4))
    both = hpt.transfer_lr(0.01, at=at, to={"batch": 256, "tokens": 4e9})
    assert both.lrs["embedding"] == pytest.approx(0.01)
    assert (both.weight_decay["hidden"], both.memory) == pytest.approx((1, 1))


def test_other_laws() -> None:
    at, to = {"batch": 64, "tokens": 1e9}, {"batch": 256, "tokens": 1e10}
    power = hpt.transfer_lr(0.01, at=at, to=to, laws={"batch": "none", "tokens": "power"})
    assert power.eta["mup"] == pytest.approx(0.01 * 10**-0.32)
    rate = hpt.transfer_lr(0.01, at=at, to=to, laws={"batch": "timescale", "tokens": "timescale"})
    assert rate.eta["mup"] == 0.01
    assert rate.weight_decay["hidden"] == pytest.approx(4 / 10)  # B / (LR x lambda x D) stays
    sgd = hpt.transfer_lr(0.01, at=at, to=to, optimizer="sgd")
    assert sgd.eta["mup"] == pytest.approx(0.04)
    assert "2409.19913" in str(power)
    assert "2505.13738" in str(rate)


def test_depth_goes_by_the_rule() -> None:
    at, to = {"width": 64, "depth": 2}, {"width": 256, "depth": 8}
    deep = hpt.transfer_lr(0.01, at=at, to=to, rule="depth-mup")
    assert deep.lrs["hidden"] == pytest.approx(0.01 / 4)
    assert deep.block_lrs["hidden"] == pytest.approx(0.01 / 4 / 2)
    assert deep.residual == pytest.approx(0.5)
    complete = hpt.transfer_lr(0.01, at=at, to=to, rule="completep")
    assert complete.block_lrs == complete.lrs
    assert (complete.residual, complete.weight_decay["hidden"]) == pytest.approx((0.25, 4))
    assert complete.block_eps["hidden"] == pytest.approx(complete.eps["hidden"] / 4) == 1 / 16
    text = str(deep)
    assert "in blocks: lr" in text
    assert "residual branches x depth^-0.5" in text
    assert ", depth x 4" in text


def test_experts_and_top_k_leave_the_lr_and_say_what_that_takes() -> None:
    at, to = {"width": 256, "experts": 8, "top_k": 2}, {"experts": 64, "top_k": 8}
    found = hpt.transfer_lr(3e-3, at=at, to=to)
    assert set(found.lrs.values()) == {3e-3}
    assert (found.experts.eps, found.experts.multiplier, found.experts.lr) == (1 / 8, 1, 1)
    assert "of experts: eps x 0.125" in str(found)
    assert "gates of the active experts sum to one" in str(found)
    summed = hpt.transfer_lr(3e-3, at=at, to=to, laws={"top_k": "sum"})
    assert (summed.experts.multiplier, summed.multiplier["hidden"]) == (1 / 4, 1)
    assert "experts, top_k, schedule" in str(hpt.transfer_lr(1.0, at=at, to={"width": 512}))
    assert hpt.transfer_lr(0.1, at=at, to=to, optimizer="sgd").experts.eps == 1  # SGD: nothing is said


def test_completedp_is_scaled_along_four_axes() -> None:
    """Complete(d)P: noise of batch over tokens beside CompleteP's width and depth."""
    at = {"width": 256, "depth": 4, "batch": 64, "tokens": 1e9}
    to = {"width": 1024, "depth": 8, "batch": 256, "tokens": 1e10}
    found = hpt.transfer_lr(0.01, at=at, to=to, rule="completedp")
    noise = (4 / 10) ** 0.5
    assert found.lrs["embedding"] == pytest.approx(0.01 * noise)
    assert found.lrs["hidden"] == found.lrs["readout"] == pytest.approx(0.01 * noise / 4)
    assert found.weight_decay["hidden"] == pytest.approx(4 * noise)
    assert found.block_eps["hidden"] == pytest.approx(1 / 4 / 2 / noise)
    assert found.block_eps["scalar"] == pytest.approx(1 / 2 / noise)  # norms of queries and keys: no width
    assert found.memory == pytest.approx(noise**2)
