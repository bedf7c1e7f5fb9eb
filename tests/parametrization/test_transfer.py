import pytest

import hptransfer as hpt
from hptransfer.errors import RuleError


def test_mup_keeps_the_embedding_and_divides_the_matrices() -> None:
    found = hpt.transfer_lr(3e-3, rule="mup", from_width=256, to_width=4096)
    assert found.ratio == 16
    assert dict(found.lrs) == pytest.approx(
        {"embedding": 3e-3, "hidden": 3e-3 / 16, "readout": 3e-3 / 16, "vector": 3e-3, "scalar": 3e-3}
    )
    assert dict(found.eta) == pytest.approx({"mup": 3e-3, "sp": 3e-3 / 16})
    assert found.attention == pytest.approx(1 / 16)
    assert found.init["hidden"] == pytest.approx(1 / 4)


def test_sp_divides_every_tensor_and_sp_embd_all_but_the_embedding() -> None:
    sp = hpt.transfer_lr(0.01, rule="sp", from_width=64, to_width=256)
    assert set(sp.lrs.values()) == {0.0025}
    embd = hpt.transfer_lr(0.01, rule="sp+embd", from_width=64, to_width=256)
    assert embd.lrs["embedding"] == pytest.approx(0.01)
    assert embd.lrs["vector"] == 0.0025


def test_everett_without_alignment_and_sgd() -> None:
    found = hpt.transfer_lr(0.01, rule="everett-sp-no-alignment", from_width=64, to_width=1024)
    assert found.lrs["hidden"] == pytest.approx(0.0025)
    sgd = hpt.transfer_lr(0.1, rule="mup", from_width=64, to_width=256, optimizer="sgd")
    assert dict(sgd.eta) == {"mup": 0.1, "sp": 0.1}
    assert sgd.lrs["embedding"] == pytest.approx(0.4)


def test_it_is_what_param_groups_gives() -> None:
    torch = pytest.importorskip("torch")
    from small_models import build

    model = build(64)
    scaling = hpt.parametrize(model, base=build(16), rule="mup")
    found = hpt.transfer_lr(0.01, rule="mup", from_width=16, to_width=64)
    groups = scaling.param_groups(model, lr=found.eta["sp"])
    lrs = {n: g["lr"] for g in torch.optim.AdamW(groups).param_groups for n in g["names"]}
    for plan in scaling.tensors:
        assert lrs[plan.name] == pytest.approx(found.lrs[plan.role])


def test_it_says_what_it_assumes() -> None:
    text = str(hpt.transfer_lr(3e-3, from_width=256, to_width=4096))
    assert "mup, m = 16" in text
    assert "not a measurement" in text
    assert "weight decay" in text
    assert "attention logits" in text
    assert "attention logits" not in str(hpt.transfer_lr(1, rule="sp", from_width=1, to_width=2))


@pytest.mark.parametrize("kwargs", [{"lr": 0}, {"from_width": -1}, {"to_width": float("inf")}])
def test_numbers_must_be_positive(kwargs: dict[str, float]) -> None:
    given = {"lr": 1.0, "from_width": 64.0, "to_width": 128.0} | kwargs
    with pytest.raises(RuleError, match="must be positive and finite"):
        hpt.transfer_lr(given.pop("lr"), **given)
