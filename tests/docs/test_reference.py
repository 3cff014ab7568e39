"""docs/settings.md, docs/cli.md and the generated parts of docs/sources.md and docs/analysts.md are what `make docs` makes."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from deploy import queries_reference, reference, sources_reference
from pipeline.listen.known_sources import MODELS
from pipeline.queries.named import IN_STEPS
from schemas.queries import named_queries
from tests.cli.test_main import COMMANDS
from tests.support.isolation import ROOT

README = (ROOT / "README.md").read_text()


@pytest.mark.parametrize(("page", "made"), [("settings.md", reference.settings_page), ("cli.md", reference.cli_page)])
def test_the_page_is_current(page: str, made: Callable[[], str]) -> None:
    """Spaces apart: where lines break differs with the release of typer."""
    assert (reference.DOCS / page).read_text().split() == made().split(), "run make docs"


def test_the_page_of_sources_is_current_and_has_all_platforms() -> None:
    page = sources_reference.PAGE.read_text()
    assert page.split() == sources_reference.sources_page(page).split(), "run make docs"
    parts = re.findall(r"<!-- made: (\S+) -->", page)
    mapped = {each.partition(":")[2] for each in parts if each.startswith("mapped:")}
    assert set(parts) >= {"keys", *(f"keys:{platform}" for platform in MODELS)}
    assert mapped >= {*MODELS} - {"email"}, "e-mail has its own table"


def test_the_page_of_queries_is_current_and_has_each_of_them() -> None:
    page = queries_reference.PAGE.read_text()
    assert page.split() == queries_reference.queries_page(page).split(), "run make docs"
    assert set(re.findall(r"<!-- made: query:(\w+) -->", page)) == set(named_queries())


def test_each_setting_says_its_meaning() -> None:
    rows = [line.split(" | ") for line in reference.settings_page().splitlines() if line.startswith("| `")]
    assert len(rows) > 40 and all(row[3].strip() for row in rows)


def test_each_command_is_on_the_page() -> None:
    assert {" ".join(command) for command in reference.commands()} == set(COMMANDS)


def test_the_readme_has_each_command_and_each_named_query() -> None:
    """Its table writes `alerts tail|list|show` for three commands, and `query SQL|NAME` for one."""
    rows = re.findall(r"^\| (`.+?) \| (.+) \|$", README.partition("\n## Commands\n")[2].partition("\n## ")[0], re.MULTILINE)
    groups = {command.split()[0] for command in COMMANDS if " " in command}
    named = set()
    for code in [code for cell, _ in rows for code in re.findall(r"`(?:earshot )?([^`]+)`", cell)]:
        first, *others = code.replace("\\|", " ").split()
        if code in COMMANDS:
            named.add(code)
        else:
            named |= {f"{first} {each}" for each in others} if first in groups else {first}
    assert named == set(COMMANDS)
    (queries,) = [says for cell, says in rows if cell.startswith("`earshot query")]
    assert re.findall(r"`(\w+)`", queries) == [*named_queries(), *IN_STEPS]
