"""What a column's name says it is: a scale, a hyperparameter, a loss, a seed, a variant."""

from __future__ import annotations

import re
from itertools import pairwise


def word_set(text: str) -> frozenset[str]:
    """The words of a text, parted by spaces."""
    return frozenset(text.split())


PREFIXES = ("config", "params", "user_attrs", "summary", "hparams", "metrics", "attributes")  # of run tables
WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W\d_a-zA-Z]+")

# Names without separators, best first; a tie within one line goes to the name that stands first.
SCALES = (
    "width breite 宽度",
    "hiddensize dmodel modeldim dim nembd embeddim embeddingdim hiddendim hiddenwidth modelwidth "
    "hidden nhidden"
    " hiddenunits units channels nchannels numchannels embdim embsize embeddingsize widths w d dhidden nwidth"
    " layerwidth networkwidth nunits widthmult widthmultiplier widthfactor",
    "params nparams numparams parameters nparameters numparameters modelsize size paramcount totalparams"
    " nonembeddingparams nonembparams modelparams scale n model",
    "depth nlayer nlayers numlayers layers numhiddenlayers",
    "tokens ntokens numtokens trainingtokens traintokens datasetsize budget flops compute",
)
LEARNING_RATES = (
    "lr",
    "learningrate lernrate 学习率",
    "peaklr maxlr eta η baselr lrmax lrpeak peaklearningrate maxlearningrate baselearningrate "
    "initlr initiallr"
    " initiallearningrate lrinit stepsize lr0 mainlr globallr masterlr optimizerlr optimlr lrs learningrates"
    " lrvalue adamlr",
)
OTHER_HPS = (
    "weightdecay wd",
    "batchsize bs globalbatchsize",
    "momentum beta2 beta1 dropout initstd sigma alpha",
)
SEEDS = ("seed", "randomseed rngseed rng runseed initseed seedid replicate rep repeat")
VARIANTS = (
    "variant",
    "parametrization parameterization optimizer optim method methode 方法 rule scheme mode algo algorithm "
    "arch architecture"
    " setting ablation family series model mup usemup group section sheet param studyname experimentname",
)
NAMES = word_set("name run runname runid file id experiment experimentname path trialid trialname")
STATES = frozenset({"state", "status", "runstate"})
STEPS = ("step", "globalstep", "trainstep", "iteration", "iter", "trainingiteration", "epoch", "steps", "it")

LOSS_WORDS = word_set("loss losses verlust 损失 验证损失 ce nll xent crossentropy logloss mse bpb")
NO_FINAL_LOSS = word_set(
    "init initial err error std sem stderr scale se var gap aux z diff delta weight function fn type "
    "name spike count max start first scaling best_step id"
)
SPLITS = ({"val", "valid", "validation", "dev", "heldout"}, {"eval", "evaluation"}, {"test"})
TRAINING = frozenset({"train", "training", "tr"})
BEST = frozenset({"best", "min", "minimum", "lowest"})
NO_LEARNING_RATE = word_set(
    "schedule scheduler sched decay min warmup final end ratio mult multiplier type name policy best log"
)
LOGARITHM = re.compile(
    r"(log_?2|log_?10|ln|log)[ _(]*(?=lr|learning|eta|η|peak|max|base|wd|weight)", re.IGNORECASE
)


def base_name(column: str) -> str:
    """A column's name without the prefix of a run table: config.lr, params_lr and lr.value are all lr."""
    for prefix in PREFIXES:
        for separator in "./_":
            column = column.removeprefix(prefix + separator)
    return column.removesuffix(".value")


def words(name: str) -> list[str]:
    """The words of a name in lower case: `Val/lossFinal` is val, loss, final."""
    return [word.lower() for word in WORDS.findall(name)]


def joined(name: str) -> str:
    """A name in lower case without its separators and what stands in brackets: `d_model (M)` is dmodel."""
    return "".join(words(re.sub(r"[(\[].*", "", name)))


def rank(column: str, groups: tuple[str, ...]) -> tuple[int, int] | None:
    """How well a name fits one of some lists: (line, place in the line), lower is better; None if not.

    The whole name counts, and the last part of a dotted or slashed one: `model.d_model` is dmodel.
    """
    base = base_name(column)
    for name in (joined(base), joined(re.split(r"[./]", base)[-1])):
        for line, group in enumerate(groups):
            if name in (listed := group.split()):
                return line, listed.index(name)
    return None


def hp_rank(column: str) -> tuple[int, int] | None:
    """As `rank`, for a hyperparameter: usual names of a learning rate, any with `lr` in it, then others."""
    plain = LOGARITHM.sub("", base_name(column))
    if (found := rank(plain, LEARNING_RATES)) is not None:
        return found
    parts = words(plain)
    if "lr" in parts and not NO_LEARNING_RATE & set(parts):
        return 3, 0
    other = rank(column, OTHER_HPS)
    return None if other is None else (4 + other[0], other[1])


def hp_logarithm(column: str) -> str:
    """The scale that a name such as log2_lr says its values are on: log2, log10, ln or linear."""
    match = LOGARITHM.match(base_name(column))
    if match is None:
        return "linear"
    return {"log2": "log2", "log10": "log10", "ln": "ln", "log": "log10"}[match[1].lower().replace("_", "")]


def loss_rank(column: str) -> tuple[int, int] | None:
    """As `rank`, for a final loss: `loss`, then held-out ones, others, training losses; best after last."""
    parts = words(base_name(column))
    found = set(parts)
    joins = {a + b for a, b in pairwise(parts)}
    if not (LOSS_WORDS & (found | joins)) or NO_FINAL_LOSS & found:
        return None
    best = int(bool(BEST & found))
    if parts == ["loss"]:
        return 0, 0
    for line, split in enumerate(SPLITS, start=1):
        if split & found:
            return line, best
    return (6, best) if TRAINING & found else (4 if "loss" in found else 5, best)


def suggests_loss(text: str) -> bool:
    """Whether a head such as `val loss lr=` speaks of a loss."""
    return loss_rank(text) is not None
