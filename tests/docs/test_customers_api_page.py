"""docs/customers-api.md: its requests are answered as it says; it lists all routes and actions."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, NoReturn

from pydantic import ValidationError

from pipeline.api.callers import Callers
from pipeline.api.server import Door
from pipeline.config.document import first_problem
from pipeline.customers.api import CustomersApi
from pipeline.customers.commands import Applied, Done
from pipeline.errors import ConflictError
from pipeline.identity.rules_file import RulesFile
from pipeline.monitoring.health import PATHS, Vitals
from schemas.identity import ACTIONS, Command
from tests.docs.pages import examples
from tests.docs.test_control_api_page import ROUTE, WRONG, ask
from tests.support.control_api import TOKEN, TOKENS, running
from tests.support.isolation import ROOT

PAGE = (ROOT / "docs/customers-api.md").read_text()


class MemoryCommands:
    """`Commands` that do nothing, and refuse what the page says."""

    async def command(self, asked: Command) -> Done:
        if asked.a == asked.b:
            raise ConflictError("it names one profile twice: a link, or what undoes it, is of two")
        return Done(7, [(asked.a, asked.a, asked.b)], 0)

    async def apply(self, rules: Mapping[str, Any], actor: str) -> Applied:
        try:
            RulesFile.model_validate(rules)
        except ValidationError as error:
            await self.broken(str(first_problem(error, RulesFile, rules)), actor)
        return Applied(3, 12, same=False)

    async def broken(self, problem: str, actor: str) -> NoReturn:
        raise ConflictError(problem)


def server() -> CustomersApi:
    door = Door("127.0.0.1", 0, Callers("customers", TOKENS), lambda act: None)
    return CustomersApi(MemoryCommands(), Vitals(), door)


def test_each_request_is_answered_as_the_page_says() -> None:
    blocks = [each.text for each in examples("http") if each.page.name == "customers-api.md"]
    assert len(blocks) == 6
    with running(server()) as serving:
        for request, answer in zip(blocks[::2], blocks[1::2], strict=True):
            head, _, body = request.partition("\n\n")
            line, *headers = head.strip().splitlines()
            method, path, _ = line.split()
            sent = {name: value.replace("$TOKEN", TOKEN) for name, value in (header.split(": ", 1) for header in headers)}
            status, value = ask(serving, method, path, sent, body.strip())
            expected, _, text = answer.partition("\n\n")
            assert int(expected.split()[1]) == status, (request, value)
            assert (json.loads(text) if "json" in expected else text) == value, request


def test_each_error_is_the_one_in_the_table() -> None:
    rows = WRONG.findall(PAGE)
    assert {int(row[3]) for row in rows} == {400, 405, 409, 415}
    with running(server()) as serving:
        for method, path, body, status, error in rows:
            kind = "text/plain" if status == "415" else "application/json"
            done = ask(serving, method, path, {"Authorization": f"Bearer {TOKEN}", "Content-Type": kind}, body)
            assert (done[0], error in done[1]["error"]) == (int(status), True), (path, body, done)


def test_each_route_and_action_is_in_a_table() -> None:
    listed = set(ROUTE.findall(PAGE.partition("## Routes")[2].partition("## ")[0]))
    routes = {(route.method, route.path) for route in server().routes()}
    assert listed == routes | {("GET", path) for path in PATHS}
    rows = re.findall(r"^\| ([a-z, ]+) \| (?:profile|edge|) ?", PAGE, re.MULTILINE)
    assert {name for row in rows for name in row.split(", ")} >= set(ACTIONS) - {"apply", "erase"}
