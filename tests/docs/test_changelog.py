"""CHANGELOG.md: its newest release is this version, each says how to upgrade, and which migrations it brings; changes since are
"Unreleased", at the top."""

from __future__ import annotations

import re
import tomllib

from pipeline.clickhouse.migrations import read_migrations
from tests.support.isolation import ROOT

TEXT = (ROOT / "CHANGELOG.md").read_text()
RELEASES = dict(re.findall(r"^## (\d+\.\d+\.\d+|Unreleased)\n(.*?)(?=^## |\Z)", TEXT, re.MULTILINE | re.DOTALL))


def test_the_newest_release_is_this_version_and_what_came_since_stands_above_it() -> None:
    releases = [version for version in RELEASES if version != "Unreleased"]
    assert "Unreleased" not in list(RELEASES)[1:]
    assert releases[0] == tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


def test_each_release_says_how_to_upgrade() -> None:
    assert [version for version, text in RELEASES.items() if "### Upgrade from " not in text] == []


def test_each_migration_is_of_one_release() -> None:
    named = [int(number) for text in RELEASES.values() for line in re.findall(r"^Migrations? (.+)\.$", text, re.MULTILINE)
             for number in line.split(", ")]  # fmt: skip
    assert sorted(named) == [migration.number for migration in read_migrations()]
