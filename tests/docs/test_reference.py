"""docs/settings.md and docs/cli.md are what `make docs` makes."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from deploy import reference
from tests.cli.test_main import COMMANDS


@pytest.mark.parametrize(("page", "made"), [("settings.md", reference.settings_page), ("cli.md", reference.cli_page)])
def test_the_page_is_current(page: str, made: Callable[[], str]) -> None:
    """Spaces apart: where lines break differs with the release of typer."""
    assert (reference.DOCS / page).read_text().split() == made().split(), "run make docs"


def test_each_setting_says_its_meaning() -> None:
    rows = [line.split(" | ") for line in reference.settings_page().splitlines() if line.startswith("| `")]
    assert len(rows) > 40 and all(row[3].strip() for row in rows)


def test_each_command_is_on_the_page() -> None:
    assert {" ".join(command) for command in reference.commands()} == set(COMMANDS)
