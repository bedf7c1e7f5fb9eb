import copy
import random
from collections.abc import Callable

import pytest
import torch
from small_models import batch, build, train
from torch import nn

import hptransfer as hpt
from hptransfer.errors import HPTransferError, VerifyError
from hptransfer.parametrization.hf_models import build as build_hf
from hptransfer.parametrization.hooks import Factored

SHOWN = 20  # faults that a table shows

Setup = tuple[nn.Module, hpt.Scaling, torch.optim.Optimizer]


def setup(rule: str = "mup-tp5-table9", **kwargs) -> Setup:
    model = build(64)
    scaling = hpt.parametrize(model, base=build(16, seed=1), rule=rule)
    scaling.init_(model)
    groups = scaling.param_groups(model, lr=0.01, weight_decay=0.1, **kwargs)
    return model, scaling, torch.optim.AdamW(groups)


def faults(scaling: hpt.Scaling, model: nn.Module, optimizer) -> set[tuple[str, str]]:
    with pytest.raises(VerifyError) as caught:
        scaling.verify(model, optimizer)
    return {(fault.tensor, fault.what) for fault in caught.value.faults}


SCHEDULERS = {
    "LambdaLR": lambda o: torch.optim.lr_scheduler.LambdaLR(o, lambda step: min(1, (step + 1) / 3)),
    "cosine": lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, T_max=20),
    "step": lambda o: torch.optim.lr_scheduler.StepLR(o, step_size=2),
    "linear": lambda o: torch.optim.lr_scheduler.LinearLR(o, start_factor=0.1, total_iters=5),
}


@pytest.mark.parametrize("name", SCHEDULERS)
def test_schedulers_that_scale_every_group_alike_pass_at_every_step(name: str) -> None:
    model, scaling, optimizer = setup()
    scheduler = SCHEDULERS[name](optimizer)
    for _ in range(6):
        train(model, optimizer, 1)
        scheduler.step()
        done = scaling.verify(model, optimizer)
        assert done.lr_factor == pytest.approx(scheduler.get_last_lr()[0] / scheduler.base_lrs[0])


def test_the_first_step_of_a_warmup_from_zero() -> None:
    model, scaling, optimizer = setup()
    torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1, step / 3))
    assert scaling.verify(model, optimizer).lr_factor is None
    optimizer.param_groups[0]["initial_lr"] *= 2
    assert {what for _, what in faults(scaling, model, optimizer)} == {"lr"}


def test_a_scheduler_that_overwrites_every_group_is_caught() -> None:
    """The classic fault: one LR for all, as a hand-written schedule and some libraries' do."""
    model, scaling, optimizer = setup("mup")
    for group in optimizer.param_groups:
        group["lr"] = 0.005
    with pytest.raises(VerifyError) as caught:
        scaling.verify(model, optimizer)
    lines = str(caught.value).splitlines()
    assert "settings are not what mup asks at m = 4" in lines[0]
    assert lines[1].split() == ["tensor", "what", "wanted", "found"]
    assert len(lines) <= 23
    # OneCycleLR takes one max_lr for all groups.
    model, scaling, optimizer = setup("mup")
    torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.01, total_steps=10)
    assert {what for _, what in faults(scaling, model, optimizer)} == {"lr"}


def test_a_checkpoint_of_the_same_rule_passes_and_of_another_is_caught() -> None:
    model, scaling, optimizer = setup("mup")
    scheduler = SCHEDULERS["cosine"](optimizer)
    train(model, optimizer, 2)
    scheduler.step()
    saved = copy.deepcopy(optimizer.state_dict())
    model, scaling, fresh = setup("mup")
    fresh.load_state_dict(saved)
    assert scaling.verify(model, fresh).lr_factor < 1

    # One LR for every tensor, as a run without the rule saves it.
    groups = scaling.param_groups(model, lr=0.01, weight_decay=0.1)
    flat = torch.optim.AdamW([{**group, "lr": 0.01} for group in groups])
    fresh.load_state_dict(copy.deepcopy(flat.state_dict()))
    assert {what for _, what in faults(scaling, model, fresh)} == {"lr"}


def test_a_checkpoint_s_weights_come_without_forward_multipliers() -> None:
    """A state dict holds no hooks: a fresh model fails until apply_ has been called."""
    model, scaling, _ = setup()
    fresh = build(64, seed=7)
    fresh.load_state_dict(model.state_dict())
    optimizer = torch.optim.AdamW(scaling.param_groups(fresh, lr=0.01))
    assert ("readout", "multiplier") in faults(scaling, fresh, optimizer)
    scaling.apply_(fresh)
    scaling.verify(fresh, optimizer)


def test_a_compiled_model() -> None:
    model, scaling, optimizer = setup()
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    losses = train(compiled, optimizer, 3)
    done = scaling.verify(compiled, optimizer)
    assert done.tensors == len(list(model.parameters()))
    plain_model, _, plain = setup()
    assert losses == pytest.approx(train(plain_model, plain, 3), rel=1e-5)  # the multipliers are in the graph
    groups = scaling.param_groups(compiled, lr=0.01)
    scaling.verify(compiled, torch.optim.AdamW(groups))


def test_checkpointed_blocks() -> None:
    from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import checkpoint_wrapper

    model, scaling, _ = setup("mup")
    model.blocks[0] = checkpoint_wrapper(model.blocks[0])
    optimizer = torch.optim.AdamW(scaling.param_groups(model, lr=0.01))
    scaling.verify(model, optimizer)


def test_a_deep_copy_keeps_its_multipliers() -> None:
    model, scaling, _ = setup()
    twin = copy.deepcopy(model)
    scaling.verify(twin, torch.optim.AdamW(scaling.param_groups(twin, lr=0.01)))


def test_lrs_may_be_tensors() -> None:
    model, scaling, optimizer = setup()
    for group in optimizer.param_groups:
        group["lr"] = torch.tensor(group["lr"])
    scaling.verify(model, optimizer)


def test_a_weight_that_the_model_reads_without_calling_its_layer() -> None:
    """A factor on the layer never takes effect then; a forward pass shows it."""
    model, scaling, optimizer = setup("mup-tp5-table9")
    scaling.verify(model, optimizer)  # nothing has run yet
    head = model.readout
    forward = model.forward

    def by_hand(ids: torch.Tensor) -> torch.Tensor:
        model._modules["readout"] = nn.Identity()
        try:
            return nn.functional.linear(forward(ids), head.weight)
        finally:
            model._modules["readout"] = head

    model.forward = by_hand
    model(batch(0))
    assert faults(scaling, model, optimizer) == {("readout.weight", "multiplier")}
    assert faults(scaling, model, optimizer) == {("readout.weight", "multiplier")}  # it is said again


# -- mutations -----------------------------------------------------------------------------------------


def scaled_group(key: str) -> Callable[[random.Random, Setup], None]:
    def mutate(rng: random.Random, found: Setup) -> None:
        groups = [g for g in found[2].param_groups if g[key]]
        group = rng.choice(groups)
        group[key] *= rng.choice([0.25, 0.5, 0.9, 1.1, 2, 4])

    return mutate


def one_tensor_moved(rng: random.Random, found: Setup) -> None:
    """A tensor in another tensor's group."""
    source, target = rng.sample(found[2].param_groups, 2)
    target["params"].append(source["params"].pop(rng.randrange(len(source["params"]))))


def dropped(rng: random.Random, found: Setup) -> None:
    group = rng.choice(found[2].param_groups)
    group["params"].pop(rng.randrange(len(group["params"])))


def doubled(rng: random.Random, found: Setup) -> None:
    group = rng.choice(found[2].param_groups)
    group["params"].append(rng.choice(group["params"]))


def stranger(rng: random.Random, found: Setup) -> None:
    rng.choice(found[2].param_groups)["params"].append(nn.Parameter(torch.zeros(3)))


def multiplier(rng: random.Random, found: Setup) -> None:
    module = rng.choice([m for m in found[0].modules() if isinstance(m, Factored)])
    side = "factor_on_input" if module.factor_on_input else "factor_on_output"
    setattr(module, side, getattr(module, side) * rng.choice([0.5, 2, 4]))


def no_multiplier(rng: random.Random, found: Setup) -> None:
    found[0].readout.factor_on_input = None


def multiplied_twice(rng: random.Random, found: Setup) -> None:
    found[0].readout.factor_on_output = found[0].readout.factor_on_input


def attention(rng: random.Random, found: Setup) -> None:
    rng.choice(found[0].blocks).attn.scaling *= rng.choice([0.5, 2, 4])


def native_attention(rng: random.Random, found: Setup) -> None:
    for block in found[0].blocks:
        block.attn.scaling = block.attn.head_dim**-0.5


def replaced(rng: random.Random, found: Setup) -> None:
    """A layer swapped after the optimizer was built."""
    found[0].readout.weight = nn.Parameter(found[0].readout.weight.detach().clone())


MUTATIONS = {
    "lr": scaled_group("lr"),
    "weight_decay": scaled_group("weight_decay"),
    "eps": scaled_group("eps"),
    "moved": one_tensor_moved,
    "dropped": dropped,
    "doubled": doubled,
    "stranger": stranger,
    "multiplier": multiplier,
    "no multiplier": no_multiplier,
    "twice": multiplied_twice,
    "attention": attention,
    "native attention": native_attention,
    "replaced": replaced,
}


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("name", MUTATIONS)
def test_mutations_are_caught(name: str, seed: int) -> None:
    found = setup(eps_rule="scaled")
    model, scaling, optimizer = found
    scaling.verify(model, optimizer)
    MUTATIONS[name](random.Random(f"{name}{seed}"), found)
    with pytest.raises(VerifyError):
        scaling.verify(model, optimizer)


@pytest.mark.parametrize("name", ["gpt2", "llama", "t5"])
def test_mutations_of_hugging_face_models_are_caught(name: str) -> None:
    pytest.importorskip("transformers")
    model = build_hf(name, 32)
    scaling = hpt.parametrize(model, base=build_hf(name, 16), rule="mup-tp5-table8")
    scaling.init_(model)
    optimizer = torch.optim.AdamW(scaling.param_groups(model, lr=0.01))
    scaling.verify(model, optimizer)
    site = scaling.attention[0]
    module = model.get_submodule(site.module)
    module.scaling *= 2
    assert faults(scaling, model, optimizer) == {(f"{site.module}.scaling", "attention scale")}
    module.scaling /= 2
    scaling.apply_(model)
    model.lm_head.factor_on_input = None
    assert faults(scaling, model, optimizer) == {("lm_head", "multiplier")}


# -- clear errors --------------------------------------------------------------------------------------


def test_what_is_missing_twice_or_unknown_is_named() -> None:
    model, scaling, _ = setup()
    partial = torch.optim.AdamW([p for n, p in model.named_parameters() if "norm" not in n], lr=0.01)
    found = faults(scaling, model, partial)
    assert ("norm.weight", "missing") in found
    groups = scaling.param_groups(model, lr=0.01)
    two = [torch.optim.AdamW(groups), torch.optim.AdamW(scaling.param_groups(model, lr=0.01))]
    assert ("readout.weight", "duplicate") in faults(scaling, model, two)
    assert {what for _, what in faults(scaling, build(64), two[0])} >= {"missing", "unknown"}


def test_an_optimizer_of_another_family() -> None:
    model, scaling, _ = setup()
    optimizer = torch.optim.SGD(scaling.param_groups(model, lr=0.01))
    assert {what for _, what in faults(scaling, model, optimizer)} == {"optimizer"}


def test_an_optimizer_without_groups_of_the_rule() -> None:
    model = build(64)
    scaling = hpt.parametrize(model, base=build(16))
    with pytest.raises(VerifyError, match=r"build the optimizer from scaling\.param_groups"):
        scaling.verify(model, torch.optim.AdamW(model.parameters()))


def test_tensors_without_an_lr_are_the_ones_that_are_wrong_however_many() -> None:
    model, scaling, optimizer = setup()
    largest = max(optimizer.param_groups, key=lambda group: len(group["params"]))
    few = [group for group in optimizer.param_groups if group is not largest]
    assert len(largest["params"]) > max(len(group["params"]) for group in few)
    largest["lr"] = 0.0
    assert faults(scaling, model, optimizer) == {(name, "lr") for name in largest["names"]}


def test_what_was_checked_is_counted() -> None:
    model, scaling, optimizer = setup()
    done = scaling.verify(model, optimizer)
    assert done.tensors == len(list(model.parameters()))
    assert done.modules == len(scaling.factors) + len(scaling.attention) > len(scaling.factors) > 0


def test_a_long_table_is_cut_and_says_by_how_much() -> None:
    model, scaling, optimizer = setup()
    names = [plan.name for plan in scaling.tensors]
    for group in optimizer.param_groups:
        group["weight_decay"] = 0.5
    with pytest.raises(VerifyError) as caught:
        scaling.verify(model, optimizer)
    table, wrong = str(caught.value), {fault.tensor for fault in caught.value.faults}
    assert wrong == set(names)
    assert len(table.splitlines()) == 2 + SHOWN + 1
    assert table.endswith(f"... and {len(names) - SHOWN} more")


def test_it_is_a_child_of_the_root_of_all_errors() -> None:
    assert issubclass(VerifyError, HPTransferError)


def test_all_lrs_zero_without_a_scheduler() -> None:
    model, scaling, optimizer = setup()
    for group in optimizer.param_groups:
        group["lr"] = 0.0
    assert faults(scaling, model, optimizer) == {("(every tensor)", "lr")}


@pytest.mark.parametrize(("off", "fails"), [(7e-6, False), (1.5e-5, True), (-7e-6, False), (-1.5e-5, True)])
def test_an_lr_may_be_off_by_the_rounding_of_float32_and_no_more(off: float, fails: bool) -> None:
    model, scaling, optimizer = setup()
    largest = max(optimizer.param_groups, key=lambda group: len(group["params"]))
    other = next(group for group in optimizer.param_groups if group is not largest)
    other["lr"] *= 1 + off
    if fails:
        assert faults(scaling, model, optimizer) == {(name, "lr") for name in other["names"]}
    else:
        scaling.verify(model, optimizer)


def test_what_is_wanted_and_found_is_told_to_six_digits() -> None:
    model, scaling, optimizer = setup("mup")
    (group,) = (group for group in optimizer.param_groups if "tokens.weight" in group["names"])
    group["lr"] = 1 / 3
    with pytest.raises(VerifyError) as caught:
        scaling.verify(model, optimizer)
    assert {(f.wanted, f.found) for f in caught.value.faults} == {("0.04", "0.333333")}
