"""Faults planted into the recorded stacks of benchmarks/stacks: how many does `hptransfer audit` name?

    python benchmarks/audit.py [--rule]

Every stack is recorded at widths 64 and 256. A fault changes the record of the large size: a setting of one
tensor, of one tensor in every block, or of a whole role, by a power of m; a tensor that is lost; a forward
multiplier or an attention scale that is not applied. It is named where a departure has its tensor and its
setting, and false where a departure has another. With `--rule` the audit is told what is meant, as a check
of a stack that is known would be.
"""

import argparse
import copy
import json
import re
from collections import Counter
from pathlib import Path

import hptransfer as hpt
from hptransfer.parametrization.audit_pairs import pair_up, template
from hptransfer.parametrization.audit_records import read_record

STACKS = {  # what each means to do
    "megatron": {"rule": "mup-megatron", "decay": "coupled", "eps_rule": "rule"},
    "deepspeed": {"rule": "mup-tp5-table8", "decay": "mup", "eps_rule": "fixed"},
    "jax": {"rule": "mup-tp5-table8", "decay": "mup", "eps_rule": "scaled"},
    "cpp": {"rule": "sp", "decay": "coupled", "eps_rule": "fixed"},
}
FOLDER = Path(__file__).with_name("stacks")
POWERS = {"lr": (1.0, -1.0, 0.5), "wd": (1.0, -0.5), "eps": (-1.0, 1.0), "std": (0.5, -0.5, 1.0)}


def tensors_of(data):
    return data["tensors"] if isinstance(data, dict) else data


def faults(small, large):
    """(name, changed record, setting, tensors that must be named) of every fault."""
    pairs = pair_up(read_record(small), read_record(large)).tensors
    roles = {p.name: p.role for p in pairs}
    rows = {r["name"]: r for r in tensors_of(large)}
    groups = {}
    for name, role in roles.items():
        raw = next(n for n in rows if n.endswith(name))
        groups.setdefault(f"every {role}", []).append(raw)
        groups.setdefault(template(raw), []).append(raw)
        if role in ("hidden", "embedding", "readout"):
            groups.setdefault(raw, [raw])
    for group, names in groups.items():
        for setting, powers in POWERS.items():
            if group.startswith("every vector") and setting == "std":
                continue
            for power in powers:
                changed = copy.deepcopy(large)
                hit = [r for r in tensors_of(changed) if r["name"] in names and r.get(setting)]
                if setting == "std":
                    hit = [
                        r
                        for r in hit
                        if len(r["shape"]) > 1 and roles_of(r, roles) not in ("vector", "scalar")
                    ]
                for row in hit:
                    row[setting] *= 4.0**power
                if hit:
                    yield f"{group}: {setting} x m^{power:g}", changed, setting, {r["name"] for r in hit}
    yield from others(large)


def others(large):
    rows = tensors_of(large)
    for index, row in list(enumerate(rows))[:: max(len(rows) // 4, 1)]:
        changed = copy.deepcopy(large)
        del tensors_of(changed)[index]
        yield f"{row['name']} lost", changed, "missing", {row["name"]}
    for row in rows:
        if row.get("multiplier", 1.0) != 1.0:
            changed = copy.deepcopy(large)
            next(r for r in tensors_of(changed) if r["name"] == row["name"])["multiplier"] = 1.0
            yield f"{row['name']}: factor not applied", changed, "multiplier", {row["name"]}
    if isinstance(large, dict) and "attention_scale" in large:
        changed = copy.deepcopy(large)
        changed["attention_scale"] = large["head_dim"] ** -0.5
        yield "attention by 1/sqrt(head_dim)", changed, "attention scale", {"attention"}


def roles_of(row, roles):
    return next(role for name, role in roles.items() if row["name"].endswith(name))


def judge(found, setting, names):
    """Whether the fault is named, and the departures that are not it."""
    said = [(d.what, d.tensor) for d in found.departures]

    def is_it(what, tensor):
        return what == setting and any(n.endswith(tensor) or template(n).endswith(tensor) for n in names)

    false = [f"{tensor} {what}" for what, tensor in said if not is_it(what, tensor)]
    whole = any(re.match(rf"every {setting} is x", note) for note in found.notes)
    return any(is_it(*pair) for pair in said) or whole, false


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--rule", action="store_true", help="tell the audit which rule, decay and eps are meant"
    )
    parser.add_argument("--verbose", action="store_true", help="print what was not named, and what was false")
    told = parser.parse_args()
    total = Counter()
    print("| stack | rule | without faults | faults | named | with a false departure |")
    print("| --- | --- | --- | ---: | ---: | ---: |")
    for stack, meant in STACKS.items():
        small, large = (
            json.loads((FOLDER / f"{stack}_{size}.json").read_text()) for size in ("small", "large")
        )
        asked = meant if told.rule else {}
        clean = hpt.audit(small, large, **asked)
        count = Counter()
        for name, changed, setting, names in faults(small, large):
            found = hpt.audit(small, changed, **asked)
            named, false = judge(found, setting, names)
            count.update(faults=1, named=named, false=bool(false))
            if told.verbose and (not named or false):
                print(
                    f"  {stack} {name}: {'named' if named else 'NOT NAMED'} ({found.rule}), false {false[:4]}"
                )
        head = f"{len(clean.departures)} departures" if clean.departures else "nothing departs"
        print(
            f"| {stack} | {clean.rule} | {head} | {count['faults']} | {count['named']} | {count['false']} |"
        )
        total += count
    print(f"| all | | | {total['faults']} | {total['named'] / total['faults']:.1%} | {total['false']} |")


if __name__ == "__main__":
    main()
