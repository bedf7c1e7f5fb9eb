"""The exception tree, and the version that the package says it has."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

from hptransfer import errors
from hptransfer.errors import (
    HPTransferError,
    MissingExtraError,
    RuleError,
    SpecError,
    VerifyError,
    install_command,
    one_of,
)
from hptransfer.version import __version__


def test_every_error_has_one_root_and_says_when_it_is_raised() -> None:
    classes = [c for _, c in inspect.getmembers(errors, inspect.isclass) if c.__module__ == errors.__name__]
    assert len(classes) >= 10
    assert all(issubclass(c, HPTransferError) and c.__doc__ for c in classes)
    assert issubclass(VerifyError, RuleError)


def test_a_missing_package_names_its_extra() -> None:
    text = str(MissingExtraError("lm", "training"))
    assert text == f"training needs the `lm` extra: {install_command('lm')}"


def test_the_install_command_goes_by_what_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.metadata.distribution", lambda name: name)
    assert install_command("lm") == "pip install 'hptransfer[lm]'"

    def missing(name: str) -> None:
        raise PackageNotFoundError(name)

    monkeypatch.setattr("importlib.metadata.distribution", missing)
    root = Path(errors.__file__).parents[2]
    assert install_command("lm") == f"pip install -e '{root}[lm]'"


def test_pip_adds_an_extra_to_an_installation_that_is_on_no_index() -> None:
    try:
        version("hptransfer"), version("pip")
    except PackageNotFoundError:
        pytest.skip("not installed, or no pip")
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--no-index", "hptransfer[report]"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr  # `report` needs nothing more, so this asks no index


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
