import pytest
from joint_sweeps import two_hps

from hptransfer.joint import quantify_joint


@pytest.fixture(scope="session")
def sweep():
    return two_hps()


@pytest.fixture(scope="session")
def fit(sweep):
    return quantify_joint(
        sweep, combinations=["lr/sqrt(batch)", "batch_size/(lr*tokens)"], targets=[4096], draws=400
    )
