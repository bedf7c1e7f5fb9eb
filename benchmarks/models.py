"""Many families of models, each with 40 seeded faults: is every fault named, and nothing else?

    python benchmarks/models.py [--families llama,t5] [--faults 40]

Of every family (benchmarks/model_families.py: small, from its config): the roles against
benchmarks/model_roles.py, written by hand; init, one forward pass that proves every factor, one step,
`verify`; then the same with one fault at a time, drawn by a seed from those below. A fault is named where
`verify` raises an error that has its tensor or module; any other tensor in it is a false alarm. A family
whose library is not installed (timm, diffusers, x-transformers, torchvision) is left out. One that is
refused is run as the error says: with the multipliers in init and LR, or without its attention scale.
"""

import argparse
import random
import re
import time
import warnings
from collections import Counter
from dataclasses import replace
from types import SimpleNamespace

import torch
from torch import nn

import hptransfer as hpt
import model_families as zoo
from hptransfer.errors import HPTransferError
from hptransfer.parametrization.hooks import set_factors
from hptransfer.parametrization.parameters import modules, parameters
from model_roles import role_by_hand

RULE, WIDTH, BASE = "mup-tp5-table8", 64, 32


def inputs(name):
    """What a family's model is called with."""
    g = torch.Generator().manual_seed(1)
    images = name.startswith(("timm", "segformer", "torchvision", "resnet"))
    side = 32 if images else 16
    pixels = torch.randn(2, 3, side, side, generator=g)
    ids = zoo.IDS
    if name in ("clip", "siglip"):
        return {"input_ids": torch.cat([ids, torch.full((2, 1), 2)], 1), "pixel_values": pixels}
    if name == "whisper":
        return {"input_features": torch.randn(2, 8, 2 * zoo.CTX, generator=g), "decoder_input_ids": ids}
    if name in ("t5", "bart", "pegasus", "t5gemma"):
        return {"input_ids": ids, "decoder_input_ids": ids}
    if name == "decision_transformer":
        seen = dict(states=torch.randn(2, 4, 5, generator=g), actions=torch.randn(2, 4, 3, generator=g))
        more = dict(
            returns_to_go=torch.randn(2, 4, 1, generator=g), rewards=torch.randn(2, 4, 1, generator=g)
        )
        return {**seen, **more, "timesteps": torch.arange(4).repeat(2, 1), "attention_mask": torch.ones(2, 4)}
    if name == "diffusers dit":
        return {
            "hidden_states": torch.randn(2, 4, 8, 8, generator=g),
            "timestep": torch.tensor([1, 2]),
            "class_labels": torch.tensor([1, 2]),
        }
    if name == "diffusers unet2d":
        return {"sample": torch.randn(2, 3, 8, 8, generator=g), "timestep": 1}
    if images or name == "vit":
        return (pixels,)
    if name in zoo.HF:
        return {
            "input_ids": ids,
            **({"use_cache": False} if name not in ("bert", "electra", "modernbert") else {}),
        }
    return (ids,)


def loss_of(model, batch):
    out = model(**batch) if isinstance(batch, dict) else model(*batch)
    outputs = out.values() if isinstance(out, dict) else out if isinstance(out, tuple) else (out,)
    floats = [t for t in outputs if isinstance(t, torch.Tensor) and t.is_floating_point()]
    return sum(t.float().square().mean() for t in floats)


def prepared(name, rule=RULE, **how):
    """Model, scaling, optimizer and batch of a family, ready for training."""
    torch.manual_seed(0)
    model, base = zoo.FAMILIES[name](WIDTH), zoo.FAMILIES[name](BASE)
    model.train(False)
    scaling = hpt.parametrize(model, base=base, rule=rule, coordinates="mup", **how)
    scaling.init_(model)
    groups = scaling.param_groups(model, lr=1e-3, weight_decay=0.1)
    return SimpleNamespace(
        model=model, scaling=scaling, optimizer=torch.optim.AdamW(groups), batch=inputs(name)
    )


def check(run):
    return run.scaling.verify(run.model, run.optimizer, batch=run.batch)


def regroup(run, name, **settings):
    """Gives one tensor a group of its own with other settings."""
    parameter = dict(run.model.named_parameters())[name]
    for group in run.optimizer.param_groups:
        if any(p is parameter for p in group["params"]):
            group["params"] = [p for p in group["params"] if p is not parameter]
            changed = {key: f(group[key]) for key, f in settings.items()}
            run.optimizer.param_groups.append({**group, "params": [parameter], "names": [name], **changed})
            return [name]
    raise KeyError(name)


def bypass_factor(run, site):
    """The model applies the layer without its hooks, as code that reads the weight alone does."""
    module = modules(run.model)[site.module]
    set_factors(run.model, tuple(f for f in run.scaling.factors if f.module != site.module))
    plain = type(module).forward
    set_factors(run.model, run.scaling.factors)
    module.__class__ = type(type(module).__name__, (type(module),), {"__call__": plain})
    weight = next(iter(module.parameters(recurse=False)))
    shared = [name for name, owned in parameters(run.model).items() if owned.parameter is weight]
    return [site.module, *shared]


def unread_scale(run, site):
    """Attention computes with a number of its own, whatever its attribute says."""
    module = modules(run.model)[site.module]
    kind, constant = type(module), float(getattr(module, site.attribute))

    def forward(self, *args, **kwargs):
        said = getattr(self, site.attribute)
        setattr(self, site.attribute, constant)
        try:
            return kind.forward(self, *args, **kwargs)
        finally:
            setattr(self, site.attribute, said)

    module.__class__ = type(kind.__name__, (kind,), {"forward": forward})
    return [site.module]


def drop_factor(run, site, value=None):
    """The factor is not set, or off by `value`."""
    kept = tuple(f for f in run.scaling.factors if f.module != site.module)
    off = () if value is None else (replace(site, on_input=site.on_input * value),)
    set_factors(run.model, (*kept, *off))
    return [site.module]


def wrong_scale(run, site, factor):
    module = modules(run.model)[site.module]
    setattr(module, site.attribute, getattr(module, site.attribute) * factor)
    return [site.module]


def lost(run, name):
    parameter = dict(run.model.named_parameters())[name]
    for group in run.optimizer.param_groups:
        group["params"] = [p for p in group["params"] if p is not parameter]
    return [name]


def twice(run, name):
    run.optimizer.param_groups[0]["params"].append(dict(run.model.named_parameters())[name])
    return [name]


def one_lr(run):
    for group in run.optimizer.param_groups:
        group["lr"] = 1e-3
    return [p.name for p in run.scaling.tensors]


def adam(run):
    groups = [{k: g[k] for k in ("params", "lr", "weight_decay", "eps")} for g in run.optimizer.param_groups]
    run.optimizer = torch.optim.Adam(groups)
    return [next(p.name for p in run.scaling.tensors if p.growth.decays)]


def foreign(run):
    run.optimizer.param_groups[0]["params"].append(nn.Parameter(torch.ones(3)))
    return ["group 0"]


def faults(run, count, seed):
    """(kind, function that makes it) of `count` faults, drawn by the seed, kinds in turn."""
    draw, m = random.Random(seed), run.scaling.ratio
    trained = [p for p in run.scaling.tensors if not p.frozen]
    tensors = [p.name for p in trained]
    decaying = [p.name for p in trained if p.growth.decays]
    kept = [p.name for p in trained if not p.growth.decays]
    factors, sites = run.scaling.factors, run.scaling.attention
    kinds = {
        "LR x m": (tensors, lambda r, n: regroup(r, n, lr=lambda x: x * m)),
        "LR / m": (tensors, lambda r, n: regroup(r, n, lr=lambda x: x / m)),
        "LR x sqrt(m)": (tensors, lambda r, n: regroup(r, n, lr=lambda x: x * m**0.5)),
        "decay x m": (decaying, lambda r, n: regroup(r, n, weight_decay=lambda x: x * m)),
        "no decay": (decaying, lambda r, n: regroup(r, n, weight_decay=lambda _: 0.0)),
        "decay of a vector": (kept, lambda r, n: regroup(r, n, weight_decay=lambda _: 0.1)),
        "eps / m": (tensors, lambda r, n: regroup(r, n, eps=lambda x: x / m)),
        "not in the optimizer": (tensors, lost),
        "twice in the optimizer": (tensors, twice),
        "factor not set": (factors, drop_factor),
        "factor off by m": (factors, lambda r, s: drop_factor(r, s, m)),
        "factor not read": (factors, bypass_factor),
        "attention scale off": (sites, lambda r, s: wrong_scale(r, s, m**0.5)),
        "attention scale not read": (sites, unread_scale),
        "one LR for all": ([None], lambda r, _: one_lr(r)),
        "Adam for AdamW": ([None], lambda r, _: adam(r)),
        "a foreign tensor": ([None], lambda r, _: foreign(r)),
    }
    usable = [(kind, list(places), make) for kind, (places, make) in kinds.items() if places]
    found, turn = [], 0
    while len(found) < count:
        kind, places, make = usable[turn % len(usable)]
        turn += 1
        if places[0] is None and any(k == kind for k, _, _ in found):
            continue
        found.append((kind, draw.choice(places), make))
    return found


def started(name):
    """How a family is to be run, one that is ready, what its forward pass proved, what was refused."""
    how, notes = {}, []
    for _ in range(3):
        try:
            run = prepared(name, **how)
            return how, run, check(run), notes
        except HPTransferError as error:
            text = str(error)
            if "without_multipliers" in text and "rule" not in how:
                how["rule"] = hpt.without_multipliers(hpt.get_rule(RULE))
                notes.append("refused with multipliers; run without")
            elif ("attention=False" in text or "attention scale" in text) and "attention" not in how:
                how["attention"] = False
                notes.append("refused: its attention has no scale that acts; run with attention=False")
            else:
                raise
    raise AssertionError(name)


def measured(name, count):
    """A row of the table, and what is to be looked at."""
    how, run, proof, notes = started(name)
    wrong = [f"{p.name}: {p.role}" for p in run.scaling.tensors if p.role != role_by_hand(name, p.name)]
    loss_of(run.model, run.batch).backward()
    run.optimizer.step()
    check(run)
    missed, false, kinds = [], [], Counter()
    for kind, place, make in faults(run, count, name):
        run = prepared(name, **how)
        where = make(run, place)
        kinds[kind] += 1
        try:
            check(run)
        except HPTransferError as error:
            rows = [(f.tensor, f.what) for f in getattr(error, "faults", ())]
            named = [
                t for t, _ in rows if any(t == w or t.startswith(f"{w}.") or t.startswith(w) for w in where)
            ]
            if not named:
                missed.append(f"{kind} at {where[0]}: said {rows[:2]}")
            others = {t for t, _ in rows} - set(named)
            if others and kind not in ("one LR for all", "Adam for AdamW"):
                false.append(f"{kind} at {where[0]}: also {sorted(others)[:2]}")
        except Exception as error:
            missed.append(f"{kind} at {where[0]}: {type(error).__name__} {str(error)[:80]}")
        else:
            missed.append(f"{kind} at {where[0]}: passes")
    counted = {"faults": sum(kinds.values()), "tensors": len(run.scaling.tensors)}
    proved = {"proven": proof.proven, "factors": proof.modules}
    return SimpleNamespace(wrong=wrong, missed=missed, false=false, notes=notes, **counted, **proved)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--families", help="comma-separated; default: all")
    parser.add_argument("--faults", type=int, default=40, help="for each family")
    parser.add_argument("--quiet", action="store_true", help="do not print what was missed")
    told = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    print("| family | tensors | roles as by hand | factors proven | faults | named | false alarms |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    total = Counter()
    for name in told.families.split(",") if told.families else zoo.FAMILIES:
        begun = time.process_time()
        try:
            row = measured(name, told.faults)
        except ImportError:
            print(f"| {name} | not installed | | | | | |", flush=True)
            continue
        except Exception as error:
            text = re.sub(r"\s+", " ", str(error))[:160]
            print(f"| {name} | {type(error).__name__}: {text} | | | | | |", flush=True)
            total["failed"] += 1
            continue
        named = row.faults - len(row.missed)
        cells = (name, row.tensors, row.tensors - len(row.wrong), f"{row.proven} of {row.factors}")
        print(f"| {' | '.join(map(str, (*cells, row.faults, named, len(row.false))))} |", flush=True)
        if not told.quiet:
            for line in (*row.notes, *(f"role: {w}" for w in row.wrong[:5]), *row.missed, *row.false):
                print(f"    {line}", flush=True)
            print(f"    {time.process_time() - begun:.1f} s", flush=True)
        total.update(faults=row.faults, named=named, false=len(row.false), wrong=len(row.wrong), families=1)
    print(
        f"{total['families']} families, {total['failed']} failed; {total['wrong']} roles differ; "
        f"{total['named']} of {total['faults']} faults named, {total['false']} with a false alarm"
    )


if __name__ == "__main__":
    main()
