"""The layout that docs/architecture.md promises: imports only go down the list of rooms, and never in a circle."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import pytest

from tests.docs.pages import inline
from tests.support.isolation import ROOT

PAGE = ROOT / "docs/architecture.md"
AT_THE_ROOT = {"app", "batch", "clock", "errors", "fence", "leader", "leading", "migrate", "records", "step"}
LONGEST = 300
CITED = ["docs/architecture.md", "docs/glossary.md", "docs/control-api.md", "docs/privacy.md", "CONTRIBUTING.md"]
"""Pages for people who look for the code: a file, class or function that these name has to exist."""

Imports = Mapping[str, set[str]]
"""Modules, by the module that imports them."""


def rooms() -> list[str]:
    """From the page's table, top to bottom."""
    table = PAGE.read_text().partition("## Rooms")[2].partition("\n## ")[0]
    return re.findall(r"^\| `([\w]+)(?:/|\.py)` \|", table, re.MULTILINE)


def modules(root: Path = ROOT) -> dict[str, Path]:
    files = [file for folder in ("pipeline", "schemas") for file in sorted((root / folder).rglob("*.py"))]
    return {".".join(file.relative_to(root).with_suffix("").parts).removesuffix(".__init__"): file for file in files}


def imports(files: Mapping[str, Path]) -> dict[str, set[str]]:
    """All imports, also those inside functions and under TYPE_CHECKING."""
    return {module: _imported(file.read_text(), files) for module, file in files.items()}


def _imported(source: str, known: Mapping[str, Path]) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            found |= {name if name in known else str(node.module) for name in names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found & set(known)


def room_of(module: str) -> str:
    first, *rest = module.split(".")
    return rest[0] if first == "pipeline" and rest else first


@cache
def ours() -> dict[str, set[str]]:
    return imports(modules())


def upward(imported: Imports, order: list[str]) -> list[str]:
    rank = {room: number for number, room in enumerate(order)}
    arrows = [(one, other) for one, others in imported.items() for other in sorted(others)]
    return [f"{one} imports {other}" for one, other in arrows if rank[room_of(other)] < rank[room_of(one)]]


def circles(imported: Imports) -> set[str]:
    """The modules that lie on a circle or lead only to one: what is left when modules without imports are taken away."""
    left = {module: set(others) for module, others in imported.items()}
    while free := {module for module, others in left.items() if not others}:
        left = {module: others - free for module, others in left.items() if module not in free}
    return set(left)


def test_the_page_lists_all_rooms() -> None:
    listed = rooms()
    assert len(listed) == len(set(listed))
    assert set(listed) == {room_of(module) for module in modules()} - {"pipeline"}


def test_no_import_goes_up() -> None:
    assert upward(ours(), [*rooms(), "pipeline"]) == []


def test_no_files_import_each_other_in_a_circle() -> None:
    assert circles(ours()) == set()


def test_the_root_holds_what_every_room_speaks_of_and_nothing_else() -> None:
    assert {file.stem for file in (ROOT / "pipeline").glob("*.py")} - {"__init__"} == AT_THE_ROOT


def test_no_file_is_longer_than_300_lines() -> None:
    lengths = {module: len(file.read_text().splitlines()) for module, file in modules().items()}
    assert {module: length for module, length in lengths.items() if length > LONGEST} == {}


def test_what_breaks_the_rules_is_found(tmp_path: Path) -> None:
    for path, source in {
        "pipeline/batch.py": "def work():\n    from pipeline.sinks import landing",
        "pipeline/sinks/landing.py": "import typing\nif typing.TYPE_CHECKING:\n    import pipeline.sinks.letters",
        "pipeline/sinks/letters.py": "from pipeline.sinks.landing import Landing",
        "schemas/__init__.py": "",
    }.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(source)
    found = imports(modules(tmp_path))
    assert upward(found, ["sinks", "batch", "schemas"]) == ["pipeline.batch imports pipeline.sinks.landing"]
    assert {"pipeline.sinks.landing", "pipeline.sinks.letters"} <= circles(found)


# --- names on pages ---------------------------------------------------------------------------------------------------
FOLDERS = (ROOT, ROOT / "pipeline", ROOT / "tests", ROOT / "schemas", ROOT / "docs", ROOT / "deploy")
FILE = re.compile(r"(?<![\w/.<-])[\w-]+(?:/[\w-]+)*\.(?:py|sql|xml|yaml|yml|md|toml)(?![\w.])")
OF_USERS = {"brands.yaml", "alerts.yaml", "sources.yaml", "identity.yaml", "earshot.toml"}
PLACEHOLDER = re.compile("NAME|GROUP|NNN")
DEFINED = re.compile(r"^\s*(?:class|def|async def) (\w+)|^(\w+)(?: =|: )", re.MULTILINE)
CLASS = re.compile(r"[A-Z][a-z]+[A-Za-z]*")


@cache
def _defined() -> set[str]:
    folders = ("pipeline", "schemas", "tests", "benchmarks", "deploy")
    texts = (file.read_text() for folder in folders for file in (ROOT / folder).rglob("*.py"))
    return {function or value for text in texts for function, value in DEFINED.findall(text)}


@pytest.mark.parametrize("name", [name for name in CITED if (ROOT / name).exists()])
def test_the_files_and_classes_that_a_page_names_exist(name: str) -> None:
    page = ROOT / name
    files = {file for file in FILE.findall(page.read_text()) if not PLACEHOLDER.search(file)} - OF_USERS
    assert {file for file in files if not any((folder / file).exists() for folder in FOLDERS)} == set()
    code = {code.removesuffix("()").split(".")[0].split("(")[0] for code in inline(page)}
    assert {each for each in code if CLASS.fullmatch(each)} - _defined() - {
        "Authorization",
        "Origin",
        "Host",
        "Allow",
        "Any",
    } == set()
