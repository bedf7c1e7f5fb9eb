"""What can be read from the files that package hptransfer; building is `packaging/smoke.py`'s."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import yaml

from hptransfer.version import __version__

ROOT = Path(__file__).parents[2]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
RECIPE: dict[str, Any] = yaml.safe_load((ROOT / "packaging/conda/recipe.yaml").read_text())
CONDA_NAMES = {"matplotlib": "matplotlib-base"}


def parts(requirement: str) -> tuple[str, str]:
    found = re.fullmatch(r"([A-Za-z0-9-]+) ?(.*)", requirement)
    assert found is not None
    return found[1], found[2]


def test_every_file_has_the_package_s_version() -> None:
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == __version__
    assert RECIPE["context"]["version"] == __version__


def test_the_citation_has_what_its_format_asks_for() -> None:
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert cited["cff-version"] == "1.2.0"
    assert {"message", "title", "authors", "license"} <= cited.keys()
    assert cited["license"] == PROJECT["project"]["license"]


def test_the_recipe_has_the_package_s_licences() -> None:
    assert RECIPE["about"]["license_file"] == PROJECT["project"]["license-files"]


def test_the_recipe_needs_what_the_package_needs() -> None:
    mine = {
        CONDA_NAMES.get(name, name): limit for name, limit in map(parts, PROJECT["project"]["dependencies"])
    }
    recipe = dict(map(parts, RECIPE["requirements"]["run"]))
    assert recipe.pop("python") == PROJECT["project"]["requires-python"]
    assert recipe == mine
    (entry,) = RECIPE["build"]["python"]["entry_points"]
    name, _, target = entry.partition(" = ")
    assert PROJECT["project"]["scripts"] == {name: target}
    assert (ROOT / "packaging/conda" / RECIPE["source"]["path"]).resolve() == ROOT


def test_the_dockerfile_copies_what_is_there_and_what_the_build_needs() -> None:
    text = (ROOT / "Dockerfile").read_text()
    copied = [word for line in re.findall(r"^COPY (.*)", text, re.MULTILINE) for word in line.split()[:-1]]
    assert all((ROOT / name).exists() for name in copied)
    project = PROJECT["project"]
    assert {"pyproject.toml", "src", project["readme"]} <= set(copied)
    extras = re.findall(r"ARG EXTRAS=\[(\w+)\]", text)
    assert set(extras) <= project["optional-dependencies"].keys()


def test_the_workflow_publishes_only_what_was_tried() -> None:
    jobs = yaml.safe_load((ROOT / ".github/workflows/release.yml").read_text())["jobs"]
    tried = [f"Programming Language :: Python :: {v}" for v in jobs["smoke"]["strategy"]["matrix"]["python"]]
    assert tried == [line for line in PROJECT["project"]["classifiers"] if ":: Python ::" in line]
    assert jobs["publish"]["needs"] == "smoke"
    assert jobs["smoke"]["needs"] == "build"
    named = re.findall(
        r"(?:^|\s)([\w/.-]+\.py)\b", " ".join(s.get("run", "") for j in jobs.values() for s in j["steps"])
    )
    assert named
    assert all((ROOT / path).is_file() for path in named)
