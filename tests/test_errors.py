"""The exception tree, and the version that the package says it has."""

from __future__ import annotations

import inspect
import re
from importlib.metadata import PackageNotFoundError, version

import pytest

from hptransfer import errors
from hptransfer.errors import HPTransferError, MissingExtraError, RuleError, SpecError, VerifyError, one_of
from hptransfer.version import __version__


def test_every_error_has_one_root_and_says_when_it_is_raised() -> None:
    classes = [c for _, c in inspect.getmembers(errors, inspect.isclass) if c.__module__ == errors.__name__]
    assert len(classes) >= 10
    assert all(issubclass(c, HPTransferError) and c.__doc__ for c in classes)
    assert issubclass(VerifyError, RuleError)


def test_a_missing_package_names_its_extra() -> None:
    text = str(MissingExtraError("lm", "training"))
    assert text == "training needs the `lm` extra: pip install 'hptransfer[lm]'"


def test_a_failed_check_carries_its_faults() -> None:
    assert VerifyError("a table", ("fault",)).faults == ("fault",)
    assert VerifyError("a table").faults == ()


def test_one_of_gives_the_value_back_or_the_valid_ones() -> None:
    assert one_of("tiny", iter(("tiny", "small")), "--size", SpecError) == "tiny"
    with pytest.raises(SpecError, match=r"^--size must be one of tiny, small, but got 'huge'$"):
        one_of("huge", ("tiny", "small"), "--size", SpecError)


def test_the_version_is_the_installed_package_s() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+", __version__)
    try:
        installed = version("hptransfer")
    except PackageNotFoundError:
        pytest.skip("not installed")
    assert installed == __version__
