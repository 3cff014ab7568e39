"""The console is killed while people act by it, and started again: they stay logged in, and each act that was told as done is
on record, none twice. What was done is what the record says, also of acts that nobody was told of.
"""

from __future__ import annotations

import http.client
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread
from typing import NamedTuple
from urllib.parse import urlencode

import pytest
import xxhash

from pipeline.clickhouse.client import clickhouse_client
from pipeline.config.settings import Settings
from pipeline.console.form import csrf_of
from pipeline.console.one_time import login_url
from pipeline.embedded.stack import Stack
from pipeline.migrate import migrate
from tests.support.console_process import Console, start_console
from tests.support.console_rows import a_thread
from tests.support.control import Rules, Webhook, controlled, start_control
from tests.support.worker import wait_for

RULE = {"name": "anger", "type": "threshold", "measure": "count", "above": 1_000, "window": "1h"}
BRAND, PLATFORM = "Acme", "reddit"
DOING_S = 0.4
"""Longer than most acts take."""
ACTS = ("silence", "take", "look", "session")
KINDS = {"silence", "take", "look", "log in", "log out"}


class Size(NamedTuple):
    people: int
    kills: int
    told: int
    """Acts that are told as done between two kills, at least."""


SIZES = {"short": Size(people=3, kills=2, told=6), "long": Size(people=4, kills=40, told=12)}


@pytest.fixture
def size(form: str) -> Size:
    return SIZES[form]


class Sent(NamedTuple):
    """One act: the text that it is known by, and whether the console told that it is done."""

    what: str
    text: str
    done: bool


@dataclass
class Person:
    """Somebody who acts without a pause, each act with a text of its own. What is not answered is not sent again."""

    name: str
    port: Callable[[], int]
    cookie: str
    first: int
    """The kind of act that comes first."""
    sent: list[Sent] = field(default_factory=list)
    over: list[str] = field(default_factory=list)
    """Cookies of sessions whose end was told."""
    problems: list[str] = field(default_factory=list)
    asking: bool = False
    """A request is on its way, and not answered."""

    @property
    def done(self) -> int:
        return sum(each.done for each in self.sent)

    def ask(self, method: str, path: str, cookie: str, form: dict[str, str] | None = None) -> http.client.HTTPResponse | None:
        """The answer; None: there is none, as the console was killed."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port(), timeout=40)
        body = urlencode({"csrf": csrf_of(cookie.partition("=")[2]), **(form or {})}) if method == "POST" else None
        headers = {"Cookie": cookie, "Sec-Fetch-Site": "same-origin", "Content-Type": "application/x-www-form-urlencoded"}
        self.asking = True
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            self.page = answer.read().decode(errors="replace")
            return answer
        except (OSError, http.client.HTTPException):
            return None
        finally:
            self.asking = False
            connection.close()

    def act(self, number: int, link: Callable[[], str]) -> None:
        """One act, of each kind in turn."""
        what, text = ACTS[(number + self.first) % len(ACTS)], f"{self.name}-{number}"
        answer = getattr(self, f"_{what}")(text, link)
        status = answer.status if answer is not None else 0
        if what != "session":
            self.sent.append(Sent(what, text, status in (200, 303)))
        if status not in (0, 200, 303):
            self.problems.append(f"{what} {text}: {status} {self.page[:3_000]}")

    def _silence(self, text: str, _: object) -> http.client.HTTPResponse | None:
        return self.ask("POST", "/silence", self.cookie, {"rule": str(RULE["name"]), "minutes": "120", "comment": text})

    def _take(self, text: str, _: object) -> http.client.HTTPResponse | None:
        where = {"brand": BRAND, "platform": PLATFORM, "conversation_id": f"t3_{self.name}"}
        return self.ask("POST", "/cases/take", self.cookie, where | {"comment": text})

    def _look(self, text: str, _: object) -> http.client.HTTPResponse | None:
        return self.ask("GET", f"/operations/dead-letters?{urlencode({'reason': text})}", self.cookie)

    def _session(self, text: str, link: Callable[[], str]) -> http.client.HTTPResponse | None:
        """Logs in by a link, once, and out again."""
        path = "/login/" + link().rpartition("/")[2]
        answer = self.ask("POST", path, "")
        self.sent.append(Sent("log in", text, answer is not None and answer.status == 303))
        if answer is None or answer.status != 303:
            return answer
        cookie = (answer.headers["Set-Cookie"] or "").partition(";")[0]
        again = self.ask("POST", path, "")
        if again is not None and again.status != 404:
            self.problems.append(f"a link logged in twice: {again.status}")
        answer = self.ask("POST", "/logout", cookie)
        self.sent.append(Sent("log out", text, answer is not None and answer.status == 303))
        if answer is not None and answer.status == 303:
            self.over.append(cookie)
        return answer


@dataclass
class Scenario:
    """One control, and a console that is killed and started again at the same port."""

    settings: Settings
    folder: Path
    console: Console
    people: list[Person] = field(default_factory=list)
    killed: int = 0
    up: Event = field(default_factory=Event)
    """Cleared after each kill: whoever acted meanwhile waits for the next console."""

    def person(self, number: int) -> Person:
        """Logged in; a conversation of theirs is there."""
        name = f"p{number}"
        with clickhouse_client(self.settings.clickhouse) as client:
            of = xxhash.xxh3_64_intdigest(f"{PLATFORM}:t3_{name}".encode())
            a_thread(client, f"t3_{name}", BRAND, PLATFORM, conversation=of)
        self.people.append(Person(name, lambda: self.console.port, self.console.log_in(), number))
        return self.people[-1]

    @contextmanager
    def acting(self) -> Iterator[None]:
        """All act, beside what the block does."""
        over = Event()

        def live(person: Person) -> None:
            number = 0
            while self.up.wait() and not over.is_set():
                number += 1
                person.act(number, lambda: login_url(self.console.settings))

        threads = [Thread(target=live, args=(person,), name=person.name) for person in self.people]
        self.up.set()
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            over.set()
            self.up.set()
            for thread in threads:
                thread.join()

    def replace_console(self) -> None:
        """Killed while somebody waits for an answer, and started again."""
        wait_for("an act is under way", lambda: any(person.asking for person in self.people), every=0.001)
        self.up.clear()
        self.console.kill()
        self.killed += 1
        self.console = Console(self.console.settings, self.folder / f"console{self.killed}.log")
        self.console.wait_ready()
        self.up.set()

    def told(self) -> int:
        return sum(person.done for person in self.people)

    def kinds(self, done: bool) -> set[str]:
        """Of acts that were told as done, or were not answered."""
        return {each.what for person in self.people for each in list(person.sent) if each.done is done}

    def rows(self, sql: str) -> list[tuple[str, ...]]:
        with clickhouse_client(self.settings.clickhouse) as client:
            return [tuple(map(str, row)) for row in client.query(sql).result_rows]

    def check(self) -> None:
        """Fails with what is wrong."""
        assert not (problems := [each for person in self.people for each in person.problems]), problems[:3]
        for person in self.people:
            assert (answer := person.ask("GET", "/record", person.cookie)) is not None and answer.status == 200, person.name
            for cookie in person.over:
                assert (answer := person.ask("GET", "/record", cookie)) is not None and answer.status == 303, "it has ended"
        sent = [each for person in self.people for each in person.sent]
        acts = self.rows("SELECT act, comment, outcome, replaceOne(subject, 'reason ', ''), actor FROM acts")
        assert {outcome for _, _, outcome, _, _ in acts} == {"done"}
        recorded = {
            "silence": Counter(comment for act, comment, *_ in acts if act == "silence"),
            "take": Counter(comment for act, comment, *_ in acts if act == "take"),
            "look": Counter(subject for act, _, _, subject, _ in acts if act == "look at dead letters"),
        }
        for what, found in recorded.items():
            told = {each.text for each in sent if each.what == what and each.done}
            asked = {each.text for each in sent if each.what == what}
            assert told and told <= set(found) <= asked, f"{what}: told and not on record {told - set(found)}"
            assert set(found.values()) == {1}, f"{what}: twice {[text for text, times in found.items() if times > 1]}"
        self._check_sessions(sent, Counter(act for act, *_ in acts))
        self._check_control(recorded)

    def _check_sessions(self, sent: list[Sent], acts: Counter[str]) -> None:
        """Logins and logouts have no text of their own: they are counted."""
        logins = len(self.people)  # those who act came by a link of their own
        for act, more in (("log in", logins), ("log out", 0)):
            told, asked = (sum(each.what == act and each.done in kinds for each in sent) for kinds in ((True,), (True, False)))
            assert told and told + more <= acts[act] <= asked + more, f"{act}: {told} told, {asked} sent, {acts[act]} on record"

    def _check_control(self, recorded: dict[str, Counter[str]]) -> None:
        """What control did is what the record says."""
        silences = Counter(comment for (comment,) in self.rows("SELECT comment FROM alert_silences FINAL"))
        assert silences == recorded["silence"]
        taken = self.rows("SELECT conversation_id, comment FROM cases FINAL ORDER BY conversation_id")
        newest = self.rows(
            "SELECT splitByChar(' ', subject)[-1] AS id, argMax(comment, at) FROM acts WHERE act = 'take' "
            "GROUP BY id ORDER BY id"
        )
        assert taken == newest


@pytest.fixture
def scenario(kafka: Stack, settings: Settings, size: Size, tmp_path: Path) -> Iterator[Scenario]:
    migrate(settings)
    hook = Webhook()
    own = controlled(settings, Rules(tmp_path / "alerts.yaml", hook, [RULE]).path)
    control = start_control(own, tmp_path / "control.log")
    console = start_console(own, tmp_path / "console0.log")
    scenario = Scenario(own, tmp_path, console)
    try:
        control.wait_ready()
        wait_for("control leads", lambda: control.said("alerts are open"))
        console.wait_ready()
        for number in range(size.people):
            scenario.person(number)
        yield scenario
    finally:
        scenario.console.close()
        control.close()
        hook.stop()


def test_killed_it_keeps_people_logged_in_and_loses_no_act(scenario: Scenario, size: Size, rng: random.Random) -> None:
    with scenario.acting():
        while scenario.killed < size.kills or not scenario.kinds(done=False):  # until a kill has found an act under way
            until = scenario.told() + size.told
            wait_for(f"{until} acts are done", lambda until=until: scenario.told() >= until, every=0.01)  # type: ignore[misc]
            time.sleep(rng.uniform(0, DOING_S))
            scenario.replace_console()
        before = scenario.told()
        wait_for("acts are done by the last console", lambda: scenario.told() >= before + size.told)
        wait_for("an act of each kind was told as done", lambda: scenario.kinds(done=True) == KINDS)
    unanswered = sum(not each.done for person in scenario.people for each in person.sent)
    print(f"{scenario.told()} acts told as done, {unanswered} not answered, {scenario.killed} kills")
    scenario.check()
