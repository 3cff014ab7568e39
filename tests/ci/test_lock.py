"""What is installed is pinned, with hashes, and what pyproject.toml allows."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
ASKED = {"base": PROJECT["project"]["dependencies"] + PROJECT["build-system"]["requires"]} | PROJECT["project"][
    "optional-dependencies"
]
FILES = sorted(ASKED)


def pinned(name: str) -> dict[str, list[str]]:
    """The lines of a file of requirements/, each with its hashes, by package."""
    lines: dict[str, list[str]] = {}
    for line in (ROOT / f"requirements/{name}.txt").read_text().replace("\\\n", "").splitlines():
        lines.setdefault(canonicalize_name(re.split("[=; ]", line)[0]), []).append(line)
    return lines


@pytest.mark.parametrize("name", FILES)
def test_what_the_project_asks_for_is_pinned_as_it_allows(name: str) -> None:
    known = pinned("base") | pinned("embedded") | pinned(name)
    for asked in map(Requirement, ASKED[name]):
        versions = [re.findall(r"==(\S+)", line)[0] for line in known[canonicalize_name(asked.name)]]
        assert versions and all(asked.specifier.contains(version, prereleases=True) for version in versions), (
            f"make lock: {asked}"
        )


@pytest.mark.parametrize("name", FILES)
def test_each_pin_has_a_hash(name: str) -> None:
    assert not [line for lines in pinned(name).values() for line in lines if "--hash=sha256:" not in line]


def test_there_is_a_file_for_each_extra() -> None:
    assert {path.stem for path in (ROOT / "requirements").iterdir()} == set(FILES)
