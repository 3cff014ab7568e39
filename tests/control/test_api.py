"""The control API: who may do what, and the error for those who may not."""

from __future__ import annotations

import asyncio
import http.client
import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any, NamedTuple

import pytest

from pipeline.api.callers import Callers
from pipeline.api.server import MAX_BODY, Door
from pipeline.control.api import ApiServer
from pipeline.errors import StackError
from pipeline.monitoring.health import Vitals
from pipeline.rollups.asked import Asked
from pipeline.rollups.rollup import QUARTER_S, Span
from schemas.alerts import State
from tests.support.control_api import CONSOLE, NOW, OTHER, TOKEN, MemoryCommands, alert, running, serving


class Answer(NamedTuple):
    status: int
    value: Any
    headers: dict[str, str]


class Client:
    """Asks as `token`'s owner; `headers` go over its own, None leaves one out."""

    def __init__(self, port: int) -> None:
        self.port = port

    def __call__(
        self,
        method: str,
        path: str,
        body: object = None,
        token: str | None = TOKEN,
        **headers: str | None,
    ) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        sent = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        final = {name: value for name, value in (sent | given).items() if value is not None}
        data = body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else None
        try:
            connection.request(method, path, data, final)
            answer = connection.getresponse()
            content = answer.read()
        finally:
            connection.close()
        kind = answer.headers["Content-Type"]
        return Answer(
            answer.status, json.loads(content) if "json" in kind else content.decode(), dict(answer.headers.items())
        )  # fmt: skip


@pytest.fixture
def commands() -> MemoryCommands:
    return MemoryCommands(alert(), alert("quiet", state=State.RESOLVED))


@pytest.fixture
def vitals() -> Vitals:
    return Vitals()


@pytest.fixture
def ask(commands: MemoryCommands, vitals: Vitals) -> Iterator[Client]:
    with serving(commands, vitals) as server:
        yield Client(server.port)


ACK = f"/alerts/{alert().hex}/ack"


def test_who_acknowledges_is_on_record(ask: Client, commands: MemoryCommands) -> None:
    done = ask("POST", ACK, {"comment": "we look"}, token=OTHER)
    assert (done.status, done.value["state"], done.value["actor"], done.value["comment"]) == (
        *(200, "acknowledged", "lars", "we look"),
    )
    assert (done.value["key"], done.value["version"]) == (alert().hex, 2)
    assert commands.alerts[alert().key].actor == "lars"
    assert ask("POST", ACK).value["actor"] == "ines"  # no body is an empty one


def test_a_silence_comes_ends_and_is_listed(ask: Client, commands: MemoryCommands) -> None:
    made = ask("POST", "/silences", {"brand": "Acme", "minutes": 120, "comment": "planned work"})
    assert (made.status, made.value["id"], made.value["actor"]) == (201, "0000000000000001", "ines")
    assert made.value["ends_at"] == "2026-11-02T12:30:00.000Z"
    until = ask("POST", "/silences", {"rule": "anger", "platform": "forum", "until": "2026-11-02T13:00:00+01:00"})
    assert until.value["ends_at"] == "2026-11-02T12:00:00.000Z"
    assert [silence["id"][-1] for silence in ask("GET", "/silences").value["silences"]] == ["1", "2"]
    assert ask("DELETE", "/silences/0000000000000001").value["ends_at"] == "2026-11-02T10:30:00.000Z"
    assert list(commands.known) == [2]
    assert commands.known[2].ends_at - NOW == timedelta(minutes=90)


def test_each_command_is_on_record_with_what_came_of_it(ask: Client, commands: MemoryCommands) -> None:
    ask("POST", ACK, {"comment": "we look"})
    made = ask("POST", "/silences", {"rule": "anger", "brand": "Acme", "minutes": 120}).value
    ask("DELETE", f"/silences/{made['id']}", token=OTHER)
    ask("POST", "/test", {"rule": "anger"})
    ask("POST", "/test", {"rule": "angr"})
    ask("POST", "/rollups", {"since": "2026-11-02T00:00:00Z", "until": "2026-11-03T00:00:00Z"})
    assert [(each.actor, each.way, each.act, each.subject, each.outcome) for each in commands.acts] == [
        ("ines", "api", "acknowledge", alert().hex, "done"),
        ("ines", "api", "silence", "anger Acme", "done"),
        ("lars", "api", "lift", made["id"], "done"),
        ("ines", "api", "test", "anger", "done"),
        ("ines", "api", "test", "angr", "there is no rule 'angr'"),
        ("ines", "api", "rebuild rollups", "2026-11-02T00:00:00.000Z to 2026-11-03T00:00:00.000Z", "done"),
    ]
    first, silenced, lifted, *_ = commands.acts
    assert (first.comment, first.before, first.after) == (
        "we look", {"state": "firing", "actor": ""}, {"state": "acknowledged", "rule": "anger", "brand": "Acme"}
    )  # fmt: skip
    assert (silenced.after, lifted.before) == (made, made)
    assert len({each.id for each in commands.acts}) == 6
    assert ask("GET", "/silences").status == ask("GET", "/cases").status == 200 and len(commands.acts) == 6, "to look is no act"


def test_what_can_not_be_put_on_record_is_not_told_as_done(ask: Client, commands: MemoryCommands) -> None:
    commands.unrecorded = "acknowledge: done, and not on record: no answer in time"
    done = ask("POST", ACK, {})
    assert done[:2] == (503, {"error": commands.unrecorded})
    assert ask("POST", ACK.replace(alert().hex, "00000000000000aa"), {}).status == 404, "the first error is told"


@pytest.mark.logs_errors
def test_a_fault_is_on_record_without_its_words(ask: Client, commands: MemoryCommands) -> None:
    assert ask("POST", "/test", {"rule": "crash"}).status == 500
    assert [(each.act, each.outcome) for each in commands.acts] == [("test", "it failed: RuntimeError")]


def test_the_console_alone_names_the_person_who_acts(ask: Client, commands: MemoryCommands) -> None:
    zoe = {"X_Earshot_Actor": "Zo%C3%AB%20M%C3%BCller"}
    assert ask("POST", ACK, {}, token=CONSOLE, **zoe).value["actor"] == "Zoë Müller"
    assert [(each.actor, each.way) for each in commands.acts] == [("Zoë Müller", "console")]
    for token in (TOKEN, OTHER):
        refused = ask("POST", ACK, {}, token=token, **zoe)
        assert (refused.status, "a token is of one person" in refused.value["error"]) == (400, True)
    assert ask("POST", ACK, {}, token="the token of nobody", **zoe).status == 401
    for name in (None, "", "%20", "%00", "a%0Ab", "%E2%80%AE", "%FF", "x" * 201):
        refused = ask("POST", ACK, {}, token=CONSOLE, X_Earshot_Actor=name)
        assert (refused.status, "names the person" in refused.value["error"]) == (400, True), name
    assert len(commands.acts) == 1


def test_where_the_console_has_no_token_none_is_empty(commands: MemoryCommands) -> None:
    door = Door("127.0.0.1", 0, Callers("control", {"ines": TOKEN}), commands.record)
    with running(ApiServer(commands, commands.cases, Asked(), Vitals(), door)) as server:
        assert Client(server.port)("POST", ACK, {}, token="", X_Earshot_Actor="ines").status == 401


def test_a_conversation_is_taken_handed_over_and_done(ask: Client, commands: MemoryCommands) -> None:
    of = {"brand": "Acme", "platform": "trustpilot", "conversation_id": "r-1"}
    taken = ask("POST", "/cases/take", {**of, "comment": "mine"})
    assert (taken.status, taken.value["state"], taken.value["owner"]) == (200, "taken", "ines")
    assert ask("POST", "/cases/take", of, token=OTHER)[:2] == (409, {"error": "ines has it"})
    assert ask("GET", "/cases").value == {"cases": [taken.value]}
    given = ask("POST", "/cases/hand-over", {**of, "owner": "lars"})
    assert (given.value["owner"], given.value["actor"]) == ("lars", "ines")
    assert ask("POST", "/cases/done", of, token=OTHER).value["state"] == "done"
    assert ask("GET", "/cases").value == {"cases": []}
    assert [(each.act, each.subject, each.outcome) for each in commands.acts] == [
        (act, "Acme trustpilot r-1", outcome)
        for act, outcome in (("take", "done"), ("take", "ines has it"), ("hand over", "done"), ("done", "done"))
    ]
    assert (commands.acts[2].before, commands.acts[2].after) == (taken.value, given.value)
    for body in ({}, of | {"brand": ""}, of | {"conversation_id": "x" * 1_001}, of | {"owner": "lars"}):
        assert ask("POST", "/cases/take", body).status == 400


@pytest.mark.parametrize("header", ["Origin", "Sec-Fetch-Site", "Sec-Fetch-Mode", "Sec-Fetch-Dest"])
def test_no_browser_commands(ask: Client, commands: MemoryCommands, header: str) -> None:
    """Not even one that shows a page of the same origin: it has the console."""
    own = {"Origin": f"http://127.0.0.1:{ask.port}", "Sec-Fetch-Site": "same-origin"}.get(header, "empty")
    refused = ask("POST", ACK, {}, **{header: own})
    assert refused[:2] == (403, {"error": "not for browsers: use `earshot console`"})
    assert ask("GET", "/silences", **{header: own}).status == 403
    assert ask("GET", "/live", token=None, **{header: own}).status == 200
    assert commands.acts == [] and commands.alerts[alert().key] == alert()


def test_a_test_alert_says_that_it_is_one(ask: Client) -> None:
    done = ask("POST", "/test", {"rule": "anger", "brand": "Brio"})
    assert (done.status, done.value["test"], done.value["brand"], done.value["actor"]) == (201, True, "Brio", "ines")


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "says"),
    [
        ("POST", "/alerts/00000000000000aa/ack", {}, 404, "there is no alert 00000000000000aa"),
        ("POST", "/alerts/aa/ack", {}, 404, "there is no alert 'aa': it has 16 hexadecimal digits"),
        ("POST", "/alerts/00000000000000AA/ack", {}, 404, "it has 16 hexadecimal digits"),
        ("POST", f"/alerts/{alert('quiet').hex}/ack", {}, 409, "is resolved"),
        ("POST", ACK, {"coment": "x"}, 400, "coment: unknown key"),
        ("POST", ACK, {"comment": 1}, 400, "comment: it is a text"),
        ("POST", ACK, {"comment": "x" * 2_001}, 400, "comment: String should have at most 2000 characters"),
        ("POST", ACK, b"{", 400, "Invalid JSON"),
        ("POST", ACK, b"[]", 400, "it is a mapping"),
        ("POST", ACK, b"\xff", 400, "Invalid JSON"),
        ("POST", ACK, {"comment": "x" * MAX_BODY}, 413, "a body has 64 kB at most"),
        ("POST", "/silences", {"minutes": 5}, 400, "name a rule, a brand or a platform"),
        ("POST", "/silences", {"rule": "anger"}, 400, "either minutes or until"),
        ("POST", "/silences", {"rule": "anger", "minutes": "5"}, 400, "minutes: it is a whole number of 1 or more"),
        ("POST", "/silences", {"rule": "anger", "minutes": 0}, 400, "minutes: it is a whole number of 1 or more"),
        ("POST", "/silences", {"rule": "anger", "minutes": 10**15}, 409, "within a year"),
        ("POST", "/silences", {"rule": "anger", "until": "2026-11-02T10:00:00Z"}, 409, "later than now"),
        ("POST", "/silences", {"rule": "anger", "until": "2026-11-02T11:00:00"}, 400, "timezone"),
        ("DELETE", "/silences/0000000000000009", None, 404, "there is no silence 0000000000000009"),
        ("POST", "/test", {"rule": "angr"}, 404, "there is no rule 'angr'"),
        ("POST", "/test", {}, 400, "rule: it is missing"),
        ("GET", "/nowhere", None, 404, "there is no /nowhere"),
        ("GET", ACK, None, 405, "takes POST"),
    ],
)
def test_what_is_wrong_is_said(ask: Client, method: str, path: str, body: object, status: int, says: str) -> None:
    done = ask(method, path, body)
    assert (done.status, list(done.value)) == (status, ["error"])
    assert says in done.value["error"]


@pytest.mark.parametrize(
    "header",
    [
        *(None, "", "Bearer", "Bearer ", f"Basic {TOKEN}", TOKEN, f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}"),
        *("Bearer \xff\xfe", f"Bearer {TOKEN} {OTHER}"),
    ],
)
@pytest.mark.parametrize(("method", "path"), [("POST", ACK), ("POST", "/test"), ("GET", "/silences"), ("GET", "/nowhere")])
def test_without_a_token_nothing_is_done(
    ask: Client, commands: MemoryCommands, method: str, path: str, header: str | None
) -> None:
    done = ask(method, path, {} if method == "POST" else None, token=None, Authorization=header)
    assert (done.status, "control.tokens" in done.value["error"]) == (401, True)
    assert commands.alerts[alert().key] == alert()


def test_where_nobody_has_a_token_nobody_commands(commands: MemoryCommands) -> None:
    with serving(commands, tokens={}) as server:
        client = Client(server.port)
        assert client("POST", ACK, token="").status == 401
        assert client("POST", ACK, Authorization="Bearer ").status == 401
        assert client("GET", "/live").status == 200


def test_a_web_page_gets_nowhere(ask: Client, commands: MemoryCommands) -> None:
    rebound = ask("POST", ACK, {}, Host="evil.example:9401")
    assert (rebound.status, "evil.example" in rebound.value["error"]) == (403, True)
    assert ask("GET", "/metrics", Host="evil.example").status == 403
    assert ask("POST", ACK, {}, Origin="http://127.0.0.1:9401").status == 403
    assert ask("POST", ACK, {}, Content_Type="text/plain").status == 415
    assert ask("POST", ACK, {}, Content_Type="application/x-www-form-urlencoded").status == 415
    preflight = ask("OPTIONS", ACK, Origin="http://evil.example", token=None)
    assert preflight.status == 403 and not any(name.startswith("Access-Control") for name in preflight.headers)
    assert commands.alerts[alert().key] == alert()
    assert ask("POST", ACK, {}, Host="localhost:9401").status == 200
    assert ask("GET", "/live", Host="[::1]:9401").status == 200


def test_one_that_listens_everywhere_goes_by_any_name(commands: MemoryCommands) -> None:
    with serving(commands, host="0.0.0.0") as server:
        assert Client(server.port)("POST", ACK, {}, Host="control:9401").status == 200


def test_health_is_a_workers(ask: Client, vitals: Vitals) -> None:
    assert ask("GET", "/ready", token=None)[:2] == (200, "ok\n")
    vitals.hold("clickhouse", "no answer")
    assert ask("GET", "/ready", token=None)[:2] == (503, "clickhouse: no answer\n")
    assert ask("GET", "/live", token=None)[:2] == (200, "ok\n")
    assert "earshot_ready 0.0" in ask("GET", "/metrics", token=None).value


def test_a_rebuild_is_asked_for_and_shows_how_far_it_is(commands: MemoryCommands) -> None:
    asked = Asked()
    with serving(commands, rollups=asked) as server:
        ask = Client(server.port)
        day = {"since": "2026-11-02T00:07:00Z", "until": "2026-11-03T01:00:00+01:00"}
        assert ask("GET", "/rollups")[:2] == (200, {"of": 0, "left": 0, "failed": ""})
        assert ask("POST", "/rollups", day)[:2] == (202, {"of": 96, "left": 96, "failed": ""})
        first = int(NOW.replace(hour=0, minute=0).timestamp()) // QUARTER_S
        assert (asked.take(), asked.take()) == (Span(first, first + 95), None)
        asked.report(192, 48)
        refused = ask("POST", "/rollups", day)
        assert refused[:2] == (409, {"error": "a rebuild is under way, 75 % are done: wait for its end"})
        asked.fail("table quarters: no memory")
        assert ask("GET", "/rollups")[:2] == (200, {"of": 192, "left": 0, "failed": "table quarters: no memory"})
        assert ask("POST", "/rollups", day | {"until": day["since"]}).status == 400
        assert ask("POST", "/rollups", day, token=None).status == 401


@pytest.mark.logs_errors
def test_what_went_wrong_inside_is_in_the_log_alone(ask: Client, caplog: pytest.LogCaptureFixture) -> None:
    done = ask("POST", "/test", {"rule": "crash"})
    assert (done.status, done.value) == (500, {"error": "it failed: see control's log"})
    assert "a secret that stays in the log" in caplog.text


def test_a_port_that_is_taken_is_one_line(commands: MemoryCommands) -> None:
    with serving(commands) as server:
        door = Door("127.0.0.1", server.port, Callers("control", {}), commands.record)
        other = ApiServer(commands, commands.cases, Asked(), Vitals(), door)
        with pytest.raises(StackError, match=rf"control's port 127\.0\.0\.1:{server.port}: "):
            asyncio.run(other.start())
