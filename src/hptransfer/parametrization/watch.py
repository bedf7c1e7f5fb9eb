"""What a forward pass does, operation by operation: attention, lookups in tables, and multiplications."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from hptransfer.parametrization.parameters import modules

MASKED = -1e4  # logits below it are masked out, whatever way a model writes its mask
_SOFTMAX = (torch.softmax, Tensor.softmax, F.softmax)
_SDPA = "scaled_dot_product_attention"
_KERNELS = ("flex_attention", "flash_attn_func", "multi_head_attention_forward")
_PRODUCTS = frozenset({"matmul", "__matmul__", "bmm", "baddbmm", "einsum"})
_TIMES = frozenset({"mul", "mul_", "__mul__", "__rmul__", "__imul__", "multiply"})
_OVER = frozenset({"div", "div_", "__truediv__", "__itruediv__", "true_divide", "divide"})
# What leaves a tensor's scale as it is; a sum with positions does so for its other part.
_KEEPING = frozenset(
    {"to", "type", "float", "half", "bfloat16", "clone", "contiguous", "dropout", "add", "__add__"}
)
_KEEPING_LOGITS = (
    _KEEPING
    | _TIMES
    | _OVER
    | {
        *("__radd__", "add_", "__iadd__", "masked_fill", "masked_fill_", "where", "tanh", "view", "reshape"),
        *("unsqueeze", "squeeze", "__getitem__", "transpose", "permute", "sub", "__sub__", "tril", "flatten"),
    }
)


# What gives a weight again, perhaps turned.
_TURNING = frozenset(
    {
        "t",
        "transpose",
        "permute",
        "swapaxes",
        "adjoint",
        "__get__",
        "to",
        "float",
        "bfloat16",
        "half",
        "contiguous",
    }
)


class Watch(TorchFunctionMode):
    """Sees every operation of the forward passes inside.

    Attributes:
        inside: names of the modules being run, outermost first.
        attention: by the stack of modules, what computes attention there.
        sizes: sizes of attention logits in the order of the calls, up to a constant that stays.
        seen: ids of arguments that took part in an operation that gives a tensor, with its names.
        tables: by id of an embedding's weight, the numbers that its rows were multiplied by.
        contracted: by id of a weight, the lengths of its dimensions that products have summed over.
    """

    def __init__(self) -> None:
        super().__init__()
        self.inside: list[str] = []
        self.attention: dict[tuple[str, ...], str] = {}
        self.sizes: list[float] = []
        self.seen: dict[int, set[str]] = {}
        self.tables: dict[int, set[float]] = {}
        self.contracted: dict[int, set[int]] = {}
        self.is_factor: Callable[[Any], bool] = lambda _value: False
        self._rows: dict[
            int, tuple[Tensor, int, float]
        ] = {}  # by id: what was looked up, of which, times what
        self._turned: dict[int, tuple[Tensor, int]] = {}  # by id: a weight turned, and the weight's id
        self._products: dict[int, Tensor] = {}  # products of two activations, and what was made of them

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Calls the operation and notes what is to be known of it."""
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        if name == _SDPA:
            self._attends(_SDPA, _product_size(args, kwargs))
        elif func in _SOFTMAX and id(args[0]) in self._products and args[0].ndim >= 3:
            self._attends("softmax of a product", _logit_size(args[0]))
        elif name in _KERNELS:
            self._attends(name, None)
        output = func(*args, **kwargs)
        if isinstance(output, Tensor):
            self._note(name, args, kwargs, output)
        return output

    def _attends(self, what: str, size: float | None) -> None:
        self.attention.setdefault(tuple(self.inside), what)
        if size is not None:
            self.sizes.append(size)

    def _note(self, name: str, args: Any, kwargs: Any, output: Tensor) -> None:
        given = [value for value in (*args, *kwargs.values()) if isinstance(value, Tensor)]
        for value in given:
            self.seen.setdefault(id(value), set()).add(name)
        self._contract(name, args, given, output)
        of_activations = name in _PRODUCTS and not any(map(_is_weight, given))
        if of_activations or (name in _KEEPING_LOGITS and any(id(v) in self._products for v in given)):
            self._products[id(output)] = output
        if name == "embedding":
            table = kwargs.get("weight", args[1] if len(args) > 1 else None)
            self._rows[id(output)] = (output, id(table), 1.0)
        elif given and (found := next((self._rows[id(v)] for v in given if id(v) in self._rows), None)):
            self._follow(name, args, output, found[1], found[2])

    def _contract(self, name: str, args: Any, given: list[Tensor], output: Tensor) -> None:
        """Notes which dimension of a weight, as it is or turned, a product sums over."""
        if name in _TURNING and given and (given[0].is_leaf or id(given[0]) in self._turned):
            source = self._turned[id(given[0])][1] if id(given[0]) in self._turned else id(given[0])
            self._turned[id(output)] = (output, source)
        for value, length in _summed(name, args, given):
            source = self._turned[id(value)][1] if id(value) in self._turned else id(value)
            if id(value) in self._turned or value.is_leaf:
                self.contracted.setdefault(source, set()).add(length)

    def _follow(self, name: str, args: Any, output: Tensor, table: int, before: float) -> None:
        """A looked-up row goes on, perhaps multiplied by a number."""
        if name in _KEEPING:
            self._rows[id(output)] = (output, table, before)
        elif name in _TIMES | _OVER and len(args) > 1:
            numbers = [value for value in args[:2] if not isinstance(value, Tensor) or value.ndim == 0]
            if not numbers:
                return
            number = 1.0 if self.is_factor(numbers[0]) else float(numbers[0])
            after = before * number if name in _TIMES else before / number if number else before
            self._rows[id(output)] = (output, table, after)
            if after != 1.0:
                self.tables.setdefault(table, set()).add(after)


def _summed(name: str, args: Any, given: list[Tensor]) -> list[tuple[Tensor, int]]:
    """The factors of a product, each with the length of its dimension that is summed over."""
    if name == "linear" and len(given) > 1:
        return [(given[1], given[1].shape[-1])]
    if name in ("matmul", "__matmul__", "mm", "bmm") and len(given) == 2 and given[0].ndim:
        return [(value, given[0].shape[-1]) for value in given]
    if name == "einsum" and isinstance(args[0], str) and len(given) == 2 and "->" in args[0]:
        sides, made = args[0].replace(" ", "").split("->")
        letters = [side.replace("...", "") for side in sides.split(",")]
        both = set.intersection(*map(set, letters)) - set(made)
        return [
            (value, value.shape[side.index(letter) - len(side)])
            for value, side in zip(given, letters, strict=True)
            for letter in both
        ]
    return []


def _is_weight(value: Tensor) -> bool:
    """Whether it is a parameter, or a view of one."""
    source = value._base if value._is_view() else value
    return source is not None and source.is_leaf and source.requires_grad


def _product_size(args: Any, kwargs: Any) -> float:
    query, key = (kwargs.get(n, args[i] if len(args) > i else None) for i, n in enumerate(("query", "key")))
    scale = kwargs.get("scale", args[6] if len(args) > 6 else None)
    scale = query.shape[-1] ** -0.5 if scale is None else float(scale)
    return scale * float(query.detach().float().norm()) * float(key.detach().float().norm())


def _logit_size(logits: Tensor) -> float:
    values = logits.detach().float()
    kept = values[values > MASKED]
    return float(kept.std(correction=0)) if kept.numel() else 0.0


@contextmanager
def watching(
    model: nn.Module,
    first: Callable[[str, nn.Module], None],
    before: Callable[[str, Any, Any], None],
    after: Callable[[str, nn.Module], None],
) -> Iterator[Watch]:
    """Watches the forward passes inside.

    Args:
        model: plain; the inside of a compiled one is not seen.
        first: called with name and module before the module's own hooks, which may read weights (pruning's).
        before: called with name, positional and named arguments when it is about to run.
        after: called with name and module when it has run.
    """
    watch = Watch()
    with ExitStack() as stack:
        for name, module in modules(model).items():

            def start(module: nn.Module, _args: Any, name: str = name) -> None:
                first(name, module)

            def enter(_module: nn.Module, args: Any, kwargs: Any, name: str = name) -> None:
                watch.inside.append(name)
                before(name, args, kwargs)

            def leave(module: nn.Module, _args: Any, _out: Any, name: str = name) -> None:
                after(name, module)
                watch.inside.pop()

            stack.callback(module.register_forward_pre_hook(start, prepend=True).remove)
            stack.callback(module.register_forward_pre_hook(enter, with_kwargs=True).remove)
            stack.callback(module.register_forward_hook(leave).remove)
        with watch:
            yield watch


def exponent(small: float, large: float, factor: float) -> float:
    """By which power of a factor a size has grown."""
    return math.log(large / small) / math.log(factor)
