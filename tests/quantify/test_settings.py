"""Settings of a fit: what must hold, and what is said where it does not."""

import pytest
from known_sweeps import make

from hptransfer.errors import QuantifyError
from hptransfer.fit import quantify
from hptransfer.quantify.settings import Settings

GOOD = {
    "targets": (1e-3, 1e12), "level": 0.5, "tolerance": 1e-9, "draws": 100, "seed": 0, "family": None,
    "reference": None, "holdout": 0, "filter": 1.001, "coordinates": None,
}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"level": 0.0}, "0 < level < 1 must hold, but got level=0"),
        ({"level": 1.0}, "0 < level < 1 must hold, but got level=1"),
        ({"tolerance": 0.0}, "tolerance must be positive, but got 0"),
        ({"draws": 99}, "draws must be at least 100, but got 99"),
        ({"seed": -1}, "seed must be 0 or more, but got -1"),
        ({"holdout": -1}, "holdout must be 0 or more, but got -1"),
        ({"filter": 1.0}, "filter must be above 1, but got 1"),
        ({"family": "cubic"}, "family must be one of power, offset, const, but got 'cubic'"),
        ({"coordinates": "ntk"}, "coordinates must be one of sp, mup, but got 'ntk'"),
        ({"targets": (64.0, 0.0)}, "targets must be positive and finite, but got 0"),
        ({"targets": (float("inf"),)}, "targets must be positive and finite, but got inf"),
        ({"level": float("nan")}, "0 < level < 1 must hold, but got level=nan"),
    ],
)
def test_what_is_just_out_of_range_is_refused(change, message):
    assert Settings(**GOOD)
    with pytest.raises(QuantifyError, match=f"^{message}"):
        Settings(**{**GOOD, **change})


def test_the_reference_must_be_a_variant():
    settings = Settings(**{**GOOD, "reference": "nobody"})
    with pytest.raises(QuantifyError, match=r"but got 'nobody'; valid: a, b$"):
        settings.check_reference(["a", "b"])
    with pytest.raises(QuantifyError, match=r"valid: v0, v1, .*, v7, \.\.\.$"):
        settings.check_reference([f"v{i}" for i in range(9)])
    settings.check_reference(["nobody"])
    Settings(**GOOD).check_reference([])


def test_bad_settings_say_what_must_hold():
    for option, match in (
        ({"level": 2}, "0 < level < 1"),
        ({"tolerance": 0}, "tolerance must be positive"),
        ({"draws": 5}, "draws must be at least 100"),
        ({"family": "cubic"}, "family must be one of power, offset, const"),
        ({"coordinates": "ntk"}, "coordinates must be one of sp, mup"),
        ({"holdout": -1}, "holdout must be 0 or more"),
        ({"filter": 1.0}, "filter must be above 1"),
        ({"targets": (-1,)}, "targets must be positive"),
        ({"reference": "nobody"}, "reference must be a variant"),
    ):
        with pytest.raises(QuantifyError, match=match):
            quantify(make(), **option)
