import numpy as np
import pytest
from surfaces import FOUR, joint_sweep

from hptransfer.joint import quantify_joint
from hptransfer.quantify.axes.model import AxesSettings
from hptransfer.quantify.joint.basins import fit_joint
from hptransfer.quantify.joint.combination import parse_combination
from hptransfer.quantify.joint.points import axes_of, hyperparameters
from hptransfer.quantify.joint_axes.model import JointAxesContext, fit_planes
from hptransfer.quantify.joint_axes.points import numbered, variant_points

AXES, HPS = ("params", "tokens"), ("lr", "batch_size")
TARGET = {"params": 1e8 * 2.0**5, "tokens": 2e9 * 2.0**4}


@pytest.fixture(scope="session")
def sweep():
    return joint_sweep(FOUR)


@pytest.fixture(scope="session")
def fit(sweep):
    return quantify_joint(
        sweep, targets=[TARGET], combinations=["lr/sqrt(batch)", "batch_size/(lr*tokens)"], draws=300
    )


@pytest.fixture(scope="session")
def context(sweep):
    settings = AxesSettings(AXES, (TARGET,), None, 0.95, 0.01, 300, 0, None, 2.0)
    values = hyperparameters(sweep, HPS)
    combined = (parse_combination("lr/sqrt(batch_size)", (*HPS, *AXES)),)
    return JointAxesContext(numbered(sweep, AXES), values, axes_of(HPS, values), combined, settings, 1.0)


@pytest.fixture(scope="session")
def planes(context):
    points, runs = variant_points(context.table, AXES, "all", context.values, context.hps)
    basins = fit_joint(runs, 300, np.random.default_rng(0))
    return fit_planes(context, points, basins, np.random.default_rng(1))
