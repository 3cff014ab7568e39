"""docs/settings.md and docs/cli.md, made from the settings' models and from `--help`, and parts of docs/sources.md,
docs/analysts.md and docs/privacy.md: `make docs` writes them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from types import UnionType
from typing import Annotated, Literal, Union, get_args, get_origin

import typer.main
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from typer.testing import CliRunner

from deploy import privacy, queries_reference, sources_reference
from pipeline.cli.main import app
from pipeline.config.section import Section
from pipeline.config.settings import ENV_PREFIX, Settings

DOCS = Path(__file__).parent.parent / "docs"
SETTINGS = """# Settings

<!-- made by `make docs` -->

One TOML file and environment variables; `earshot` reads both once, when it starts. Later wins: the defaults, the file
(`--config FILE`, else `EARSHOT_CONFIG`, else `./earshot.toml`), the environment. An unknown key or variable is an error.
A relative path in the file starts at the file's folder. Lists and tables in a variable are JSON.

```toml
brands = "brands.yaml"

[kafka]
bootstrap = "broker-1:9092,broker-2:9092"
```

is the same as `EARSHOT_BRANDS=brands.yaml` and `EARSHOT_KAFKA__BOOTSTRAP=broker-1:9092,broker-2:9092`.
"""
CLI = """# Commands

<!-- made by `make docs` -->

The `--help` of each command. Exit codes are the same everywhere: 0 done, 1 partly failed, 2 wrong usage or settings, 3 broker
or ClickHouse unreachable, 4 tables or topics don't match this program, 5 the embedded stack can't start, 130 Ctrl-C.

| command | |
|---|---|
"""
DATA_DIR = "`~/.local/share/earshot` (Linux)"  # it differs by system and user
LIMITS = {"ge": "≥", "gt": ">", "le": "≤", "min_length": "length ≥"}
KINDS: dict[object, str] = {str: "text", int: "number", float: "number", bool: "true, false", Path: "path", SecretStr: "secret"}
Names = tuple[str, ...]


def settings_page() -> str:
    top = [name for name, field in Settings.model_fields.items() if not _is_section(field)]
    page = SETTINGS + "\n## Top of the file\n\n" + _table(Settings, top, ENV_PREFIX)
    for name, field in Settings.model_fields.items():
        section = field.annotation
        if isinstance(section, type) and issubclass(section, Section):
            page += f"\n## [{name}]\n\n"
            page += f"{' '.join(section.__doc__.split())}\n\n" if section.__doc__ else ""
            page += _table(section, section.model_fields, f"{ENV_PREFIX}{name.upper()}__")
    return page


def cli_page() -> str:
    pages = {command: _help(command) for command in commands()}
    rows = [
        f"| [`{name(command)}`](#{'-'.join(('earshot', *command))}) | {_first(text)} |\n" for command, text in pages.items()
    ]
    parts = [f"\n## {name(command)}\n\n```text\n{text}```\n" for command, text in pages.items()]
    return CLI + "".join(rows + parts)


def commands() -> Iterator[Names]:
    """Each command, as the words after `earshot`."""
    yield from _commands((), typer.main.get_command(app))


def _commands(path: Names, command: object) -> Iterator[Names]:
    within = getattr(command, "commands", None)
    if within is None or (path and getattr(command, "invoke_without_command", False)):
        yield path
    for word, each in (within or {}).items():
        yield from _commands((*path, word), each)


def name(command: Names) -> str:
    return " ".join(("earshot", *command))


def _help(command: Names) -> str:
    text = CliRunner().invoke(app, [*command, "--help"], prog_name="earshot", env={"COLUMNS": "80"}).output
    return "".join(f"{line.rstrip()}\n" for line in text.strip().splitlines())


def _first(text: str) -> str:
    """The first sentence of a command's help."""
    return " ".join(re.split(r"\n\s*\n", text)[1].split()).partition(". ")[0].rstrip(".")


def _table(model: type[BaseModel], names: Iterator[str] | list[str] | dict[str, FieldInfo], prefix: str) -> str:
    rows = ["| key | type | default | meaning | variable |\n|---|---|---|---|---|\n"]
    for key in names:
        field = model.model_fields[key]
        variable = f"`{prefix}{key.upper()}`"
        rows.append(f"| `{key}` | {_type(field)} | {_default(key, field)} | {field.description or ''} | {variable} |\n")
    return "".join(rows)


def _is_section(field: FieldInfo) -> bool:
    return isinstance(field.annotation, type) and issubclass(field.annotation, Section)


def _type(field: FieldInfo) -> str:
    limits = [f"{LIMITS[key]} {value:g}" for part in field.metadata for key, value in _limits(part)]
    return ", ".join([_kind(field.annotation), *limits])


def _limits(part: object) -> list[tuple[str, float]]:
    return [(key, value) for key in LIMITS if (value := getattr(part, key, None)) is not None]


def _kind(annotation: object) -> str:
    arguments = [each for each in get_args(annotation) if each not in (type(None), ...)]
    if get_origin(annotation) is Literal:
        return ", ".join(f"`{each}`" for each in arguments)
    if get_origin(annotation) in (Annotated, Union, UnionType):
        return _kind(arguments[0])
    if get_origin(annotation) is tuple:
        return f"list of {_kind(arguments[0])}"
    if get_origin(annotation) is dict:
        return f"table of {_kind(arguments[1])}"
    return KINDS[annotation]


def _default(key: str, field: FieldInfo) -> str:
    value = field.default.get_secret_value() if isinstance(field.default, SecretStr) else field.default
    if key == "data_dir":
        return DATA_DIR
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{value}`" if value or value == 0 else ""


if __name__ == "__main__":
    (DOCS / "settings.md").write_text(settings_page())
    (DOCS / "cli.md").write_text(cli_page())
    queries_reference.PAGE.write_text(queries_reference.queries_page(queries_reference.PAGE.read_text()))
    sources_reference.PAGE.write_text(sources_reference.sources_page(sources_reference.PAGE.read_text()))
    privacy.PAGE.write_text(privacy.privacy_page(privacy.PAGE.read_text()))
