from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from hptransfer.lm.run_tensors import stack_settings, stack_step_settings
from hptransfer.lm.stack import initial_state, or_eager, stack_step, template
from hptransfer.runs.config import RunSpec


def refuse(graph: Any, inputs: Any) -> Any:
    raise KeyError("buf23")


def losses(run: RunSpec, compiler: Any) -> Tensor:
    shape, state = initial_state([run])
    step = stack_step(template(shape), shape, compiler)
    tokens = torch.arange(run.model.context + 1).expand(1, run.train.batch_size, -1) % run.model.vocab
    settings = stack_settings([run])
    out = []
    for number in range(3):
        state, loss = step(state, settings, stack_step_settings([run], number), tokens)
        out.append(loss.clone())
    return torch.stack(out)


def test_a_compiler_that_fails_leaves_the_step_as_it_is(tiny: RunSpec) -> None:
    shallow = tiny.model_copy(update={"model": tiny.model.model_copy(update={"depth": 1})})
    broken = partial(or_eager, partial(torch.compile, fullgraph=True, dynamic=False, backend=refuse))
    with pytest.warns(UserWarning, match=r"torch.compile failed .*: this part of a step runs eager") as told:
        found = losses(shallow, broken)
    assert len(told) == 1
    torch.testing.assert_close(found, losses(shallow, lambda function: function), rtol=0, atol=0)


def test_other_faults_are_not_the_compilers() -> None:
    def fault() -> None:
        raise ValueError("not a compiler's")

    with pytest.raises(ValueError, match="not a compiler's"):
        or_eager(lambda function: function, fault)()
