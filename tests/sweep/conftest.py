import numpy as np
import pytest

RUNS = [(width, lr, round(3 + 64 / width + 0.05 * abs(k - 1), 4)) for width in (64, 128, 256)
        for k, lr in enumerate((0.001, 0.002, 0.004))]  # fmt: skip


@pytest.fixture
def runs():
    """(width, lr, loss) of nine runs."""
    return RUNS


@pytest.fixture
def right():
    """Checks that a sweep table holds the nine runs."""

    def right(sweep, wanted=RUNS):
        found = sorted(zip(sweep.scale.tolist(), sweep.hp.tolist(), sweep.loss.tolist(), strict=True))
        assert np.array(found) == pytest.approx(np.array(sorted(map(tuple, wanted)), dtype=float))

    return right


@pytest.fixture
def write(tmp_path):
    def write(text, name="runs.csv"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write
