"""Tuned numbers stand in one place, with what is known of each."""

import ast
from dataclasses import FrozenInstanceError
from pathlib import Path

import numpy as np
import pytest

from hptransfer.quantify import priors
from hptransfer.quantify.basin import model, noise_model, shape

SOURCE = Path(priors.__file__).parent


def test_every_prior_says_what_it_is():
    known = priors.all_priors()
    assert len({(p.group, p.name) for p in known}) == len(known) > 80
    for prior in known:
        assert prior.effect.endswith("."), prior
        assert prior.source, prior
        numbers = np.atleast_1d(prior.value)
        assert np.isfinite(numbers).all(), prior


def test_every_prior_is_used_outside_its_own_file():
    """As an attribute in some file that names its group, which may be by another name there."""
    used = set()
    for path in set(SOURCE.rglob("*.py")) - {SOURCE / "priors.py"}:
        nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
        groups = {n.id for n in nodes if isinstance(n, ast.Name)} & set(priors.GROUPS)
        used |= {(g, n.attr) for g in groups for n in nodes if isinstance(n, ast.Attribute)}
    assert {(p.group, p.name) for p in priors.all_priors()} <= used


def test_priors_cannot_be_changed_by_accident():
    with pytest.raises(FrozenInstanceError):
        priors.WINDOW.half_width = 1.0  # type: ignore[misc]


def test_the_grids_are_those_of_the_priors():
    assert noise_model.SIGMAS[[0, -1]] == pytest.approx(priors.NOISE.sigma_ends)
    assert tuple(noise_model.MISFITS) == priors.NOISE.misfits
    assert shape.CENTRES[-1] == priors.SHAPE.bump_reach
    assert len(model.PRECISIONS) == len(priors.SHAPE.local_weights)
    assert sum(priors.SHAPE.local_weights) == pytest.approx(1.0)
    smooth = shape.correction_covariance(priors.SHAPE.local_sds[0], priors.SHAPE.local_lengths[0])
    assert shape.AT_ZERO @ smooth @ shape.AT_ZERO == pytest.approx(priors.SHAPE.local_sds[0] ** 2)
