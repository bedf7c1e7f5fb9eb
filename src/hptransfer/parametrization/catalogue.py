"""The catalogue: published rules as exponents, one entry a rule and family of optimizers. No torch here.

Every entry is derived in docs/reference/rules.md. E(init, multiplier, lr, weight_decay, eps): exponents of m.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from itertools import combinations
from types import MappingProxyType

from hptransfer.errors import RuleError, one_of
from hptransfer.parametrization.coordinates import Coordinates
from hptransfer.parametrization.optimizers import Family
from hptransfer.parametrization.rule import Exponents as E
from hptransfer.parametrization.rule import Role, Rule, role_map
from hptransfer.words import precise

KALRA = "Kalra & Barkeshli, arXiv:2605.21486"
TP5 = "Yang et al., Tensor Programs V, arXiv:2203.03466"
EVERETT = "Everett et al., arXiv:2407.05872, Table 1"
NTK = "Jacot et al., arXiv:1806.07572"
HAYOU = "Hayou & Liu, arXiv:2506.15025"
UMUP = "Blake et al., u-muP, arXiv:2407.17465, Table 2"
DEPTH = "Yang et al., Tensor Programs VI, arXiv:2310.02244, Table 1"
MEGATRON = "Megatron-LM, get_mup_config_overrides (2026); table 8 of arXiv:2203.03466 with eps"
SQRT_DECAY = "Fan et al., arXiv:2510.15262; Table 3 of arXiv:2203.03466"
COMPLETEDP = "Mlodozeniec et al., Complete(d)P, arXiv:2512.22382"
COMPLETEP = "Dey et al., CompleteP, arXiv:2505.01618, Table 1"

SWITCHES = ("embd", "ln", "attn", "last")


def _switched(name: str, switches: Collection[str]) -> Rule:
    """SP with some of the four switches of arXiv:2605.21486 thrown, in SP coordinates.

    They are `embd` (embedding LR x m), `ln` (LR of norm gains and biases x m), `attn` (attention logits
    scaled by 1/head_dim, equal at the base) and `last` (readout init variance 1/n^2).
    """
    last = "last" in switches
    gains = E(lr=1.0 if "ln" in switches else 0.0)
    roles = role_map(
        embedding=E(lr=1.0 if "embd" in switches else 0.0),
        hidden=E(init=-0.5),
        readout=E(init=-1.0 if last else -0.5),
        vector=gains,
        scalar=gains,  # a bias of fixed length, as the readout's, is a bias
    )
    attention = -1.0 if "attn" in switches else -0.5
    tied = -1.0 if last else None
    return Rule(name, roles, attention, "sp", KALRA, tied=tied, keeps_native_multipliers=not switches)


def _variants() -> dict[str, Rule]:
    """The 16 variants by name: from `sp` through `sp+embd` ... and `mup-embd` ... to `mup`."""
    rules = {}
    for count in range(len(SWITCHES) + 1):
        for chosen in combinations(SWITCHES, count):
            missing = [f"-{s}" for s in SWITCHES if s not in chosen]
            name = "mup" + "".join(missing) if len(missing) <= 1 else "+".join(("sp", *chosen))
            rules[name] = _switched(name, chosen)
    return rules


def _sqrt_embedding(name: str, like: Rule) -> Rule:
    """A rule whose embedding LR / hidden LR grows like sqrt(m): for a vocabulary large beside the width."""
    return replace(like, name=name, roles={**like.roles, "embedding": E(lr=0.5)}, source=HAYOU)


def _tp5() -> list[Rule]:
    """Tensor Programs V: three ways to write muP, which train alike: abc shifts of input and readout."""
    hidden: dict[Family, E] = {"adam": E(init=-0.5, lr=-1.0), "sgd": E(init=-0.5)}
    vector: dict[Family, E] = {"adam": E(), "sgd": E(lr=1.0)}
    ends: dict[tuple[int, Family], tuple[E, E]] = {  # (table, family): (input, output)
        (3, "adam"): (E(), E(init=-1.0, lr=-1.0)),
        (3, "sgd"): (E(lr=1.0), E(init=-1.0, lr=-1.0)),
        (8, "adam"): (E(), E(multiplier=-1.0)),
        (8, "sgd"): (E(lr=1.0), E(multiplier=-1.0, lr=1.0)),
        (9, "adam"): (E(init=-0.5, multiplier=0.5, lr=-0.5), E(init=-0.5, multiplier=-0.5, lr=-0.5)),
        (9, "sgd"): (E(init=-0.5, multiplier=0.5), E(init=-0.5, multiplier=-0.5)),
    }
    rules = []
    for (table, family), (first, last) in ends.items():
        roles = role_map(first, hidden[family], last, vector[family])
        source = f"{TP5}, Table {table}"
        sides = family == "sgd"
        name = f"mup-tp5-table{table}"
        rules.append(Rule(name, roles, -1.0, "mup", source, family, tied=-1.0, scales_sides=sides))
    return rules


def _megatron(table8: Rule) -> Rule:
    """Table 8 as Megatron-LM has it: eps falls with LR on hidden matrices, and on nothing else."""
    roles = {**table8.roles, "hidden": replace(table8.roles["hidden"], eps=-1.0)}
    return replace(table8, name="mup-megatron", roles=roles, source=MEGATRON)


def _sqrt_decay(table3: Rule) -> Rule:
    """Table 3 with lambda x sqrt(m) on hidden matrices: a step's decay, LR x lambda, falls like m**-1/2."""
    roles = {**table3.roles, "hidden": replace(table3.roles["hidden"], weight_decay=0.5)}
    return replace(table3, name="mup-sqrt-decay", roles=roles, source=SQRT_DECAY)


def _everett() -> list[Rule]:
    """LR exponents by layer (embedding, hidden, readout) with and without alignment, Adam."""
    lrs = {
        ("sp", "no"): (0.0, -0.5, -0.5),
        ("sp", "full"): (0.0, -1.0, -1.0),
        ("ntk", "no"): (0.0, 0.0, 0.0),
        ("ntk", "full"): (0.0, -0.5, -0.5),
        ("mup", "no"): (-0.5, -0.5, 0.0),
        ("mup", "full"): (-0.5, -1.0, -0.5),
    }
    forms = {  # (embedding, hidden, readout); the muP here is the form with sqrt(n) multipliers
        "sp": (E(), E(init=-0.5), E(init=-0.5)),
        "ntk": (E(), E(multiplier=-0.5), E(multiplier=-0.5)),
        "mup": (E(init=-0.5, multiplier=0.5), E(init=-0.5), E(init=-0.5, multiplier=-0.5)),
    }
    tied = {"sp": None, "ntk": -0.5, "mup": -1.0}
    rules = []
    for (form, alignment), lr in lrs.items():
        roles = role_map(*(replace(e, lr=x) for e, x in zip(forms[form], lr, strict=True)))
        name = f"everett-{form}-{alignment}-alignment"
        rules.append(Rule(name, roles, -0.5, "mup", EVERETT, tied=tied[form]))
    return rules


def _ntk(optimizer: Family) -> Rule:
    roles = role_map(embedding=E(), hidden=E(multiplier=-0.5), readout=E(multiplier=-0.5))
    return Rule("ntk", roles, -0.5, "mup", NTK, optimizer, tied=-0.5)


def _with_depth(rule: Rule, residual: float, branch: E, *outside_too: Role) -> Rule:
    """The rule with exponents of the depth ratio, for residual branches and for tensors in the blocks."""
    depth: dict[Role, E] = dict.fromkeys(("hidden", "vector", "scalar", *outside_too), branch)
    return replace(rule, residual=residual, depth=depth, scales_depth=True)


def _umup() -> Rule:
    hidden, readout = E(multiplier=-0.5, lr=-0.5), E(multiplier=-1.0)
    rule = Rule("u-mup", role_map(E(lr=-0.5), hidden, readout), -1.0, "mup", UMUP, tied=-1.0)
    return _with_depth(rule, -0.5, E(lr=-0.5), "embedding")


def completep(alpha: float = 1.0) -> Rule:
    """CompleteP for residual branches of depth**-alpha.

    An Adam step changes what a branch gives by LR x width x the factor on the branch, so that LR goes by
    depth**(alpha - 1) for the whole network to move alike. A step's decay is to be as large as that change,
    beside weights whose size does not depend on depth: LR x lambda ~ depth**(alpha - 1) too, and lambda x m
    at every alpha. Gradients in a branch, and eps, fall like depth**-alpha.

    Args:
        alpha: from 0.5 (the branches' sum keeps its variance) to 1 (every layer keeps learning features).

    Raises:
        RuleError: alpha is not between 0.5 and 1.
    """
    if not 0.5 <= alpha <= 1:
        raise RuleError(f"CompleteP's alpha must be from 0.5 to 1, but got {precise(alpha)}")
    roles = role_map(
        embedding=E(eps=-1.0),
        hidden=E(init=-0.5, lr=-1.0, weight_decay=1.0, eps=-1.0),
        readout=E(multiplier=-1.0, eps=-1.0),
        vector=E(eps=-1.0),
    )
    name, source = (
        ("completep", "alpha = 1")
        if alpha == 1
        else (f"completep-{precise(alpha)}", f"alpha = {precise(alpha)}")
    )
    rule = Rule(name, roles, -1.0, "mup", f"{COMPLETEP}, {source}", tied=-1.0)
    return _with_depth(rule, -alpha, E(lr=alpha - 1, eps=-alpha), "embedding")


def _completedp() -> Rule:
    """CompleteP with its readout's multiplier in init, LR, decay and eps; `axis_laws` has the other axes."""
    rule = completep()
    readout = E(init=-1.0, lr=-1.0, weight_decay=1.0)
    return replace(rule, name="completedp", roles={**rule.roles, "readout": readout}, source=COMPLETEDP)


def _depth_mup(table3: Rule) -> Rule:
    """MuP in the form of table 3, branches divided by sqrt(depth); under Adam their LR falls likewise."""
    branch = E(lr=-0.5) if table3.optimizer == "adam" else E()
    return _with_depth(replace(table3, name="depth-mup", source=DEPTH), -0.5, branch)


def _sgd_twins() -> list[Rule]:
    """SP and muP for SGD in the study's names; hidden LR is eta, so both coordinates are the same."""
    standard = role_map(embedding=E(), hidden=E(init=-0.5), readout=E(init=-0.5))
    sp = Rule("sp", standard, -0.5, "sp", KALRA, "sgd", keeps_native_multipliers=True)
    roles = role_map(E(lr=1.0), E(init=-0.5), E(init=-1.0, lr=-1.0), vector=E(lr=1.0))
    return [sp, Rule("mup", roles, -1.0, "sp", f"{TP5}, Table 3", "sgd", tied=-1.0, scales_sides=True)]


def _all() -> list[Rule]:
    variants, tp5 = _variants(), _tp5()
    return [
        *variants.values(),
        _sqrt_embedding("sp+sqrt-embd", variants["sp"]),
        _sqrt_embedding("mup-sqrt-embd", variants["mup"]),
        *tp5,
        *(_megatron(rule) for rule in tp5 if (rule.name, rule.optimizer) == ("mup-tp5-table8", "adam")),
        *(_sqrt_decay(rule) for rule in tp5 if (rule.name, rule.optimizer) == ("mup-tp5-table3", "adam")),
        _ntk("adam"),
        _ntk("sgd"),
        *_everett(),
        _umup(),
        completep(),
        _completedp(),
        *(_depth_mup(rule) for rule in tp5 if rule.name == "mup-tp5-table3"),
        *_sgd_twins(),
    ]


CATALOGUE: Mapping[tuple[str, Family], Rule] = MappingProxyType({(r.name, r.optimizer): r for r in _all()})
RULES: Mapping[str, Rule] = MappingProxyType(
    {name: rule for (name, optimizer), rule in CATALOGUE.items() if optimizer == "adam"}
)


def own_coordinates(name: str) -> Coordinates:
    """The coordinates of the learning rate that a rule's user sets: muP's base LR, SP's LR itself.

    Raises:
        RuleError: there is no rule of that name; the text lists all.
    """
    found = one_of(name, RULES, "the parametrization", RuleError)
    return "mup" if found.startswith("mup") or RULES[found].coordinates == "mup" else "sp"
