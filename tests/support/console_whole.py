"""A whole console: over a real ClickHouse with something of each kind, with a control that answers, people and sources."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from clickhouse_connect.driver.client import Client
from pydantic import SecretStr
from starlette.applications import Starlette

from pipeline.clickhouse.client import clickhouse_client
from pipeline.config.apis import ControlSettings
from pipeline.config.settings import Settings
from schemas.alerts import Alert
from tests.support.console import Browser, app_of, password, users_file
from tests.support.console_routes import Names
from tests.support.console_rows import a_letter, a_thread, an_alert, write_alerts
from tests.support.control_api import CONSOLE, MemoryCommands, serving
from tests.support.listener import write_sources

PEOPLE = {"vera": "viewer", "otto": "ops", "anna": "analyst", "stella": "steward", "sami": "sre", "ada": "admin"}
_ROWS = """
SELECT name, total_rows FROM system.tables
WHERE database = currentDatabase() AND engine LIKE '%MergeTree' AND name NOT IN ('acts', 'console_sessions')"""


class Whole(NamedTuple):
    """`names`: an alert that fires, a conversation that waits and a source, for addresses."""

    settings: Settings
    commands: MemoryCommands
    app: Starlette
    alert: Alert
    names: Names

    def person(self, name: str) -> Browser:
        """A browser in which one of PEOPLE is logged in."""
        browser = Browser(self.app)
        answer = browser.post("/login", {"name": name, "password": password(name)})
        assert answer.status_code == 303, answer.text
        return browser

    def state(self) -> object:
        """What people may change: rows of each table, sessions and the record aside, and what control knows."""
        with clickhouse_client(self.settings.clickhouse) as client:
            rows = {str(name): int(count) for name, count in client.query(_ROWS).result_rows}
        known = self.commands
        return rows, dict(known.alerts), dict(known.known), dict(known.cases.known)

    def acts(self) -> list[tuple[object, ...]]:
        """Who did what, as the record has it: of control and of the console itself; logins aside."""
        with clickhouse_client(self.settings.clickhouse) as client:
            own = client.query("SELECT actor, act, outcome FROM acts WHERE act NOT IN ('log in') ORDER BY at").result_rows
        return [tuple(row) for row in own] + [(act.actor, act.act, act.outcome) for act in self.commands.acts]


@contextmanager
def whole(settings: Settings, folder: Path) -> Iterator[Whole]:
    """The console, and control beside it."""
    alert = an_alert()
    commands = MemoryCommands(alert)
    write_sources(folder / "sources.yaml", [{"name": "feed", "platform": "rss", "url": "https://blog.example.org"}])
    users = users_file(folder / "users.yaml", **PEOPLE)
    with clickhouse_client(settings.clickhouse) as client, serving(commands) as server:
        write_alerts(client, alert)
        _others(client)
        changed = {
            "control": ControlSettings(port=server.port, console_token=SecretStr(CONSOLE)),
            "console": settings.console.model_copy(update={"users": users}),
            "sources": folder / "sources.yaml",
        }
        settings = settings.model_copy(update=changed)
        yield Whole(settings, commands, app_of(settings), alert, Names.of(alert))


def _others(client: Client) -> None:
    a_thread(client, "t3_abc")
    a_letter(client, 1, b'{"kind": "nonsense"}')
