"""CONTRIBUTING.md, the pictures and the files around them say what the code does."""

from __future__ import annotations

import re
import runpy

import pytest
import yaml

from pipeline import app
from tests.contracts.test_steps import NAMES
from tests.docs.pages import PAGES, examples
from tests.support.isolation import ROOT

TEXT = (ROOT / "CONTRIBUTING.md").read_text()
LINT = re.search(r"^lint: .*$", (ROOT / "Makefile").read_text(), re.MULTILINE)


def test_the_budgets_are_those_that_make_lint_checks() -> None:
    budgets = runpy.run_path(str(ROOT / ".ci/budgets.py"))["BUDGETS"]
    rows = dict(re.findall(r"^\| (.+?) \| (\d+)\b", TEXT.partition("## Budgets")[2].partition("\n## ")[0], re.MULTILINE))
    named = {"lines of a file": "lines", "lines of a function": "function", "arguments": "arguments", "nesting": "nesting"}
    assert {row: int(rows[row]) for row in named} == {row: budgets[name] for row, name in named.items()}
    assert int(rows["`Any`"]) == budgets["any"]


def test_the_hooks_are_what_make_lint_runs() -> None:
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    assert LINT
    linted = {" ".join(each.split()) for each in LINT[0].replace("$(BIN)", ".venv/bin").partition("@")[2].split("&&")}
    assert {hook["entry"].replace(" --force-exclude", "") for hook in hooks} == linted


def test_the_workflow_runs_what_ci_runs_with_pinned_actions() -> None:
    steps = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())["jobs"]["run"]["steps"]
    assert steps[-1] == {"run": ".ci/run"} and (ROOT / ".ci/run").exists()
    assert all(re.fullmatch(r"actions/[\w-]+@v\d+\.\d+\.\d+", step["uses"]) for step in steps[:-1])


def test_pictures_and_tables_show_the_steps_in_their_order() -> None:
    arrows = " --> ".join(NAMES)
    pictures = [each for each in examples("mermaid") if " --> ".join(NAMES[:3]) in each.text]
    assert len(pictures) >= 2 and all(arrows in each.text for each in pictures)
    assert app.__doc__ and " -> ".join(NAMES) in " ".join(app.__doc__.split()), "pipeline/app.py"
    for page in ("README.md", "docs/architecture.md"):
        rows = re.findall(r"^\| ([a-z]+) \|", (ROOT / page).read_text(), re.MULTILINE)
        assert [row for row in rows if row in NAMES] == NAMES, page


def test_the_index_links_each_page() -> None:
    linked = set(re.findall(r"\]\(([\w./-]+)", (ROOT / "docs/README.md").read_text()))
    pages = {page.name for page in PAGES if page.parent.name == "docs"} - {"README.md"}
    assert pages - linked == set(), "docs/README.md has no link"
    assert {"../README.md", "../CONTRIBUTING.md", "../CHANGELOG.md"} <= linked


def test_each_kind_of_change_has_a_recipe() -> None:
    recipes = re.findall(r"^### \.\.\. (.+)$", TEXT, re.MULTILINE)
    for change in ("a step", "a rule type", "a metric", "a table", "a query", "a setting", "a command"):
        assert change in recipes
    sections = TEXT.partition("## How to add")[2].partition("\n## ")[0].split("\n### ")[1:]
    assert [section.splitlines()[0] for section in sections if not re.search(r"eld by: \**`tests/", section)] == []


def _said_of_files() -> list[tuple[str, str]]:
    """Each name in code that follows a file on the same item of a recipe, with that file."""
    said = []
    for item in re.split(r"\n(?=\d\. |\n|- )", TEXT.partition("## How to add")[2].partition("\n## ")[0]):
        file = ""
        for code in re.findall(r"`([^`]+)`", item):
            if re.fullmatch(r"[\w/.-]+\.(py|sql|yaml|yml|json|xml)", code):
                file = code
            elif re.fullmatch(r"[A-Za-z_][\w.]*", code) and file and (ROOT / file).exists() and "make" not in code:
                said.append((file, code))
    return said


@pytest.mark.parametrize(("file", "name"), _said_of_files())
def test_what_a_recipe_names_is_in_the_file_before_it(file: str, name: str) -> None:
    text = (ROOT / file).read_text()
    assert all(re.search(rf"\b{part}\b", text) for part in name.split("."))
