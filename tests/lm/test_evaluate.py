import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hptransfer.lm.data import load_corpus, validation_sequences
from hptransfer.lm.evaluate import Losses, evaluate, evaluation_steps, record, standard_error
from hptransfer.lm.run_tensors import stack_settings
from hptransfer.lm.stack import initial_state, template
from hptransfer.runs.config import RunSpec


@given(st.integers(1, 500), st.integers(1, 40))
def test_evaluations_are_spread_to_the_end(steps: int, evaluations: int) -> None:
    found = evaluation_steps(steps, evaluations)
    assert found[-1] == steps
    assert len(found) == min(steps, evaluations)
    assert list(found) == sorted(set(found))
    gaps = np.diff([0, *found])
    assert gaps.max() - gaps.min() <= 1


def test_standard_error_golden() -> None:
    assert standard_error(np.array([1.0, 3.0])) == pytest.approx(1.0)  # sd sqrt(2), of two
    assert standard_error(np.array([1.0])) is None


def of(tiny: RunSpec, training: list[float], held_out: list[list[float]], initial: float = 5.0) -> Losses:
    return Losses(np.array(training), initial, tuple(range(1, len(held_out) + 1)), np.array(held_out))


def test_record_holds_curve_best_and_final(tiny: RunSpec) -> None:
    found = record(tiny, of(tiny, [5.0, 4.0, 4.5], [[4.0, 4.4], [4.1, 4.4], [4.4, 4.6]]), {}, 1.0)
    assert found.status == "done"
    assert found.loss == pytest.approx(4.5)
    assert found.loss_se == pytest.approx(0.1)
    assert found.curve == ((0, 5.0), (1, 4.0), (2, 4.5))
    assert found.validation == ((1, pytest.approx(4.2)), (2, pytest.approx(4.25)), (3, pytest.approx(4.5)))
    assert (found.best_step, found.best_loss) == (1, pytest.approx(4.2))


def test_a_final_loss_above_the_initial_one_is_diverged(tiny: RunSpec) -> None:
    found = record(tiny, of(tiny, [5.0, 4.9], [[4.0], [6.0]]), {}, 1.0)
    assert found.status == "diverged"
    assert math.isnan(found.loss)
    assert found.diverged_step is None
    assert found.best_loss == 4.0


def test_evaluation_of_a_stack_is_that_of_its_members(tiny: RunSpec) -> None:
    runs = [tiny, tiny.model_copy(update={"seed": 3})]
    corpus = load_corpus(tiny.data, tiny.model)
    sequences = torch.from_numpy(validation_sequences(corpus, tiny.data, tiny.model))

    def losses(members: list[RunSpec]) -> np.ndarray:
        shape, state = initial_state(members)
        return evaluate(template(shape), shape, state, stack_settings(members), sequences)

    both = losses(runs)
    assert both.shape == (2, len(sequences))
    np.testing.assert_allclose(both, np.concatenate([losses([run]) for run in runs]), rtol=0, atol=1e-12)
    assert abs(both.mean() - math.log(tiny.model.vocab)) < 1.0
