import torch
from small_models import build
from torch import Tensor, nn

import hptransfer as hpt
from hptransfer.dynamics.activations import ForwardRecord
from hptransfer.dynamics.collect import Sites, Update, collect, sites

LAYERS = {"in": ("embedding", "in.weight"), "out": ("linear", "out.weight")}
WHERE = Sites({"in.weight": "embedding", "out.weight": "readout"}, LAYERS, "in", "out")


def update() -> Update:
    before = {"in.weight": torch.ones(4, 2), "out.weight": torch.ones(4, 2)}
    after = {name: 1.5 * weight for name, weight in before.items()}
    return Update(before, after, {"out.weight": torch.full((4, 2), 3.0)}, {}, {})


def forward() -> ForwardRecord:
    ids, x = torch.tensor([0, 1]), torch.ones(2, 2)
    logits = {"attention": torch.zeros(1, 1, 2, 2)}
    return ForwardRecord({"in": ids, "out": x}, {"in": x, "out": torch.zeros(2, 4)}, logits)


def numbers(found: dict[tuple[str, str, str], Tensor]) -> dict[tuple[str, str, str], float]:
    return {row: round(float(value), 4) for row, value in found.items()}


def test_wanted_probes_stand_under_their_layer_and_role() -> None:
    names = {
        "relative_update",
        "relative_change",
        "log_z",
        "rows_touched",
        "grad_norm",
        "attention_logit_max",
    }
    assert numbers(collect(WHERE, names, update(), forward())) == {
        ("in", "embedding", "relative_update"): 0.5,
        ("out", "readout", "relative_update"): 0.5,
        ("in", "embedding", "relative_change"): 0.5,
        ("out", "readout", "relative_change"): 0.5,
        ("attention", "hidden", "attention_logit_max"): 0.0,
        ("out", "readout", "log_z"): 1.3863,  # log 4
        ("in", "embedding", "rows_touched"): 0.5,
        ("", "", "grad_norm"): 8.4853,  # 3 sqrt 8
    }


def test_the_whole_batch_s_tokens_count_where_they_are_given() -> None:
    found = collect(WHERE, {"rows_touched"}, update(), forward(), torch.tensor([0, 1, 2]))
    assert numbers(found) == {("in", "embedding", "rows_touched"): 0.75}


def test_a_layer_that_was_not_called_has_its_tensor_s_probes_alone() -> None:
    found = collect(WHERE, {"weight_rms", "activation_rms"}, update(), ForwardRecord())
    assert set(found) == {("in", "embedding", "weight_rms"), ("out", "readout", "weight_rms")}


def test_a_transposed_layer_is_probed_as_the_linear_layer_that_it_is() -> None:
    draw = torch.Generator().manual_seed(0)
    w, moved = (torch.randn(3, 2, generator=draw) for _ in range(2))
    x = torch.randn(5, 2, generator=draw)
    record = ForwardRecord({"out": x}, {"out": x @ w.T}, {})
    found = []
    for kind, turned in (("linear", lambda t: t), ("transposed", lambda t: t.T)):
        where = Sites({"out.weight": "hidden"}, {"out": (kind, "out.weight")}, None, None)
        around = ({"out.weight": turned(t)} for t in (w, w + moved))
        found.append(numbers(collect(where, {"update_alignment"}, Update(*around, {}, {}, {}), record)))
    assert found[0] == found[1]


def test_sites_of_a_decoder() -> None:
    model = build(16, tied=True)
    scaling = hpt.parametrize(model, base=build(8, tied=True), rule="mup")
    where = sites(model, {tensor.name: tensor.role for tensor in scaling.tensors})
    assert (where.tokens, where.readout) == ("tokens", "readout")
    assert where.layers["readout"] == ("linear", "tokens.weight")  # tied: the embedding's tensor
    assert where.layers["blocks.0.up"] == ("linear", "blocks.0.up.weight")
    assert where.layers["norm"][0] == "other"


def test_sites_where_nothing_embeds_or_reads_out() -> None:
    where = sites(nn.Sequential(nn.Linear(2, 2)), {"0.weight": "hidden", "0.bias": "vector"})
    assert (where.tokens, where.readout) == (None, None)
    assert where.layers == {"0": ("linear", "0.weight")}
