"""Each example of the README and of docs/ works: commands parse, SQL runs, files load, links lead somewhere."""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
import typer.main
from clickhouse_connect.driver.client import Client
from jsonschema import Draft202012Validator
from typer.core import TyperGroup

from pipeline.cli.main import app
from pipeline.clickhouse.client import clickhouse_client
from pipeline.config.document import parse
from pipeline.config.load import load
from pipeline.config.settings import ClickHouseSettings
from pipeline.console.people import Users
from pipeline.errors import SettingsError
from pipeline.identity.rules_file import parse_rules as parse_identity_rules
from pipeline.listen.sources_file import parse_sources
from pipeline.notify.receivers import check
from pipeline.processors.alerts.rules import parse_rules
from pipeline.processors.mentions.brands import parse_brands
from pipeline.rollups.roles import parse_roles
from pipeline.sources.recorded.mapping import load_mapping
from tests.docs.pages import PAGES, Example, anchors, examples, inline
from tests.support.isolation import ROOT

LANGUAGES = {"sh", "text", "yaml", "toml", "json", "sql", "python", "http", "mermaid", "xml"}
OTHER_PROGRAMS = {"source", "export", "cp", "docker", "curl", "git", "kafka-consumer-groups.sh"}
DIAGRAMS = ("flowchart", "stateDiagram", "sequenceDiagram")
SCHEMA = Draft202012Validator(json.loads((ROOT / "schemas/social_event.v1.json").read_text()))
COMMANDS = typer.main.get_command(app)
TARGETS = set(re.findall(r"^([\w./-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
SQL = re.compile(r"SELECT .* FROM |SHOW CREATE ")
LINK = re.compile(r"\]\(([^)\s]+)\)")


def test_each_block_names_its_language() -> None:
    assert [str(each) for each in examples() if each.language not in LANGUAGES] == []


# --- commands ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("example", examples("sh"), ids=str)
def test_a_command_is_one(example: Example, monkeypatch: pytest.MonkeyPatch) -> None:
    for line in example.text.replace("\\\n", "").splitlines():
        words = shlex.split(line, comments=True)
        while words and (variable := re.fullmatch(r"(EARSHOT_\w+)=(.*)", words[0])):
            _check_variable(variable[1], variable[2], monkeypatch)
            words.pop(0)
        if words:
            _check_command(words)


def _check_variable(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as environment:
        environment.setenv(name, value)
        load()


def _check_command(words: list[str]) -> None:
    program, *arguments = words
    if program.removeprefix(".venv/bin/") == "earshot":
        _parse(arguments)
    elif program == "make":
        assert {each for each in arguments if "=" not in each} <= TARGETS
    elif program.removeprefix(".venv/bin/") == "python":
        assert arguments[0] == "-m" and find_spec(arguments[1])
    elif program.removeprefix(".venv/bin/") == "pytest":
        assert all((ROOT / each.partition("::")[0]).exists() for each in arguments if not each.startswith("-"))
    else:
        assert program in OTHER_PROGRAMS


def _parse(arguments: list[str]) -> None:
    """Raises for what the command line refuses. Nothing is run."""
    command, name = COMMANDS, "earshot"
    while True:
        context = command.make_context(name, arguments)
        if not isinstance(command, TyperGroup):
            return
        left = [*context._protected_args, *context.args]
        if not left and command.invoke_without_command:
            return
        found, each, arguments = command.resolve_command(context, left)
        name, command = found or "", each or command


def test_a_command_with_a_mistake_is_found() -> None:
    for wrong in ("earshot querry latest", "earshot query --formt csv", "earshot alerts mute"):
        with pytest.raises(Exception, match="No such"):
            _check_command(wrong.split())


def _alternatives(command: str) -> Iterator[list[str]]:
    """The words of `earshot alerts tail|list`, once each; what is a placeholder (NAME, ...) included."""
    words = command.split()
    choices = next((word for word in words[1:3] if re.fullmatch(r"[a-z-]+(\|[a-z-]+)+", word)), None)
    for choice in choices.split("|") if choices else [""]:
        yield [choice if word == choices else word for word in words]


def _named(page: Path) -> Iterator[list[str]]:
    for code in inline(page):
        if code.startswith("earshot "):
            yield from _alternatives(code)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_command_in_the_text_exists(page: Path) -> None:
    for _, *words in _named(page):
        command, path = COMMANDS, words
        while path and not path[0].startswith("-") and hasattr(command, "commands"):
            command, path = command.commands[path[0].strip(",")], path[1:]
        options = {option for each in command.params for option in (*each.opts, *each.secondary_opts)}
        assert {word for word in path if re.match("--?[a-z]", word)} <= options, words


# --- files that people write ------------------------------------------------------------------------------------------
def _rules_of(yaml: Iterable[Example]) -> Iterator[tuple[Path, bytes]]:
    """Rules and receivers of a page are one alerts.yaml."""
    pages: dict[Path, str] = {}
    for each in yaml:
        if re.match("(rules|receivers|group):", each.text):
            pages[each.page] = pages.get(each.page, "") + each.text
    return ((page, text.encode()) for page, text in pages.items())


def test_yaml_loads(tmp_path: Path) -> None:
    left = []
    for each in examples("yaml"):
        if each.text.startswith("brands:"):
            parse_brands(each.text.encode(), each.page)
        elif re.search("^events:", each.text, re.MULTILINE):
            file = tmp_path / "example.mapping.yaml"
            file.write_text(each.text)
            load_mapping(file)
        elif re.match("(types|blocked|platforms|largest):", each.text):
            parse_identity_rules(each.text.encode(), each.page)
        elif each.text.startswith("roles:"):
            parse_roles(each.text.encode(), each.page)
        elif each.text.startswith("users:"):
            parse(each.text.encode(), each.page, Users)
        elif each.text.startswith("sources:"):
            parse_sources(each.text.encode(), each.page)
        elif not re.match("(rules|receivers|group):", each.text):
            left.append(str(each))
    for page, text in _rules_of(examples("yaml")):
        alerts = parse_rules(text, page)
        named = {
            name for receiver in alerts.receivers for name in (receiver.url_env, getattr(receiver, "secret_env", "")) if name
        }
        check(alerts, dict.fromkeys(named, "https://ops.example/x"))
    assert left == [], "no loader is known"


@pytest.mark.parametrize("example", examples("toml"), ids=str)
def test_toml_is_settings(example: Example, tmp_path: Path) -> None:
    file = tmp_path / "earshot.toml"
    file.write_text(example.text)
    load(file)


@pytest.mark.parametrize("example", examples("json"), ids=str)
def test_json_is_json_and_an_event_is_one(example: Example) -> None:
    value = json.loads(example.text)
    if isinstance(value, dict) and "kind" in value:
        assert [error.message for error in SCHEMA.iter_errors(value)] == []


@pytest.mark.parametrize("example", examples("python"), ids=str)
def test_python_compiles(example: Example) -> None:
    compile(example.text, str(example.page), "exec")


@pytest.mark.parametrize("example", examples("mermaid"), ids=str)
def test_a_diagram_has_a_kind_that_github_draws(example: Example) -> None:
    assert example.text.startswith(DIAGRAMS)


# --- variables, SQL, links ----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_variable_in_the_text_is_a_setting(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    named = set(re.findall(r"EARSHOT_[A-Z_]*[A-Z]", page.read_text())) - {"EARSHOT_CONFIG", "EARSHOT_DATA"}
    for name in named:
        with monkeypatch.context() as environment:
            environment.setenv(name, "x")
            try:
                load()
            except SettingsError as error:
                assert "unknown key" not in str(error)


@pytest.fixture(scope="module")
def client(module_database: ClickHouseSettings) -> Iterator[Client]:
    with clickhouse_client(module_database) as client:
        yield client


def _queries() -> list[str]:
    texts = [query for page in PAGES for query in inline(page) if SQL.match(query) and "..." not in query]
    blocks = [query.strip() for each in examples("sql") for query in each.text.split(";") if query.strip()]
    asked = re.findall(r'earshot query "(SELECT [^"]+)"', "".join(each.text for each in examples("sh")))
    return sorted({*texts, *blocks, *asked})


@pytest.mark.parametrize("query", _queries())
def test_sql_runs(query: str, client: Client) -> None:
    client.query(query)


def _links() -> list[tuple[Path, str]]:
    found = [(page, target) for page in PAGES for target in LINK.findall(page.read_text())]
    return [(page, target) for page, target in found if not target.startswith("http")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for source, target in _links():
        if source == page:
            path, _, anchor = target.partition("#")
            file = Path(os.path.normpath(page.parent / path)) if path else page
            assert file.exists(), target
            assert not anchor or anchor in anchors(file), target
