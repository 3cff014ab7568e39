"""docs/control-api.md: its requests are answered as it says, in its order; it lists all routes."""

from __future__ import annotations

import http.client
import json
import re
from typing import Any

from pipeline.api.server import CommandServer
from pipeline.monitoring.health import PATHS
from schemas.alerts import State
from tests.docs.pages import examples
from tests.support.control_api import TOKEN, MemoryCommands, alert, serving
from tests.support.isolation import ROOT

PAGE = (ROOT / "docs/control-api.md").read_text()
ROUTE = re.compile(r"^\| `(GET|POST|DELETE) (/[^`]*)` \|", re.MULTILINE)
WRONG = re.compile(r"^\| `([A-Z]+) (/\S*)(?: ([^`]*))?` \| (\d+) \| `([^`]*)` \|$", re.MULTILINE)


def ask(server: CommandServer, method: str, path: str, headers: dict[str, str], body: str) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    try:
        connection.request(method, path, body or None, headers)
        answer = connection.getresponse()
        text = answer.read().decode()
        return answer.status, json.loads(text) if "json" in answer.headers["Content-Type"] else text
    finally:
        connection.close()


def test_each_request_is_answered_as_the_page_says() -> None:
    blocks = [each.text for each in examples("http") if each.page.name == "control-api.md"]
    assert len(blocks) > 8 and len(blocks) % 2 == 0
    with serving(MemoryCommands(alert())) as server:
        for request, answer in zip(blocks[::2], blocks[1::2], strict=True):
            head, _, body = request.partition("\n\n")
            line, *headers = head.strip().splitlines()
            method, path, _ = line.split()
            sent = dict(header.split(": ", 1) for header in headers)
            sent = {name: value.replace("$TOKEN", TOKEN) for name, value in sent.items()}
            status, value = ask(server, method, path, sent, body.strip())
            expected, _, text = answer.partition("\n\n")
            assert int(expected.split()[1]) == status, request
            assert (json.loads(text) if "json" in expected else text) == value, request


def test_each_error_is_the_one_in_the_table() -> None:
    rows = WRONG.findall(PAGE)
    assert {int(row[3]) for row in rows} == {400, 404, 405, 409, 415}
    with serving(MemoryCommands(alert("quiet", state=State.RESOLVED), alert())) as server:
        for method, path, body, status, error in rows:
            headers = {
                "Authorization": f"Bearer {TOKEN}",
                "Content-Type": "text/plain" if status == "415" else "application/json",
            }
            done = ask(server, method, path.replace("RESOLVED", alert("quiet").hex), headers, body)
            assert (done[0], error in done[1]["error"]) == (int(status), True), (path, done)


def test_each_route_is_in_the_table() -> None:
    table = PAGE.partition("## Routes")[2].partition("## ")[0]
    listed = {(method, re.sub(r"\{\w+\}", "0" * 16, path)) for method, path in ROUTE.findall(table)}
    assert {path for _, path in listed} >= set(PATHS)
    code = "".join((ROOT / f"pipeline/control/{name}.py").read_text() for name in ("api", "case_routes"))
    added = {
        (method.upper(), re.sub(r"\{\w+\}", "0" * 16, path)) for method, path in re.findall(r'web\.(\w+)\("(/[^"]+)"', code)
    }
    assert listed == added | {("GET", path) for path in PATHS}
