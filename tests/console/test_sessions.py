"""Sessions: fixed, stolen, ended, and after a restart."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Event

import pytest
from clickhouse_connect.driver.client import Client
from starlette.applications import Starlette

from pipeline.clickhouse.client import clickhouse_client
from pipeline.clock import wall
from pipeline.config.settings import Settings
from pipeline.console.session_table import Row, SessionTable, hash_of, new_token
from pipeline.console.sessions import FRESH_S, IN_USE_S, LONGEST_S, MOST_KNOWN, TRUST_S, Sessions
from pipeline.errors import UnreachableError
from tests.support.console import Browser, app_of, link, password, table, users_file


def with_users(settings: Settings, file: Path) -> Settings:
    return settings.model_copy(update={"console": settings.console.model_copy(update={"users": file})})


def log_in(browser: Browser, name: str, **form: str):  # type: ignore[no-untyped-def]  # httpx2's answer
    return browser.post("/login", {"name": name, "password": password(name), **form})


def test_a_link_logs_in_once_and_only_by_its_button(app: Starlette, emptied: Settings) -> None:
    path = link(emptied, "<i>ines")
    browser, preview = Browser(app), Browser(app)
    for _ in range(2):
        assert preview.get(path).status_code == 200
    assert "&lt;i&gt;ines" in preview.get(path).text and not preview.cookie
    assert browser.post(path).status_code == 303
    assert browser.get("/").status_code == 200
    assert preview.post(path).status_code == 404 and preview.get(path).status_code == 404
    assert browser.get(path).headers["location"] == "/", "whom it has logged in goes on"
    assert not preview.cookie


def test_of_two_consoles_that_take_a_link_at_once_one_gets_it(emptied: Settings) -> None:
    from concurrent.futures import ThreadPoolExecutor

    from pipeline.console.one_time import take

    token = link(emptied).rpartition("/")[2]
    tables = [table(emptied) for _ in range(6)]
    with ThreadPoolExecutor(6) as pool:
        taken = list(pool.map(lambda each: take(each, token), tables))
    assert len([row for row in taken if row]) <= 1
    assert take(tables[0], token) is None


def test_a_link_is_over_after_ten_minutes(emptied: Settings) -> None:
    from pipeline.console.one_time import standing

    token = link(emptied).rpartition("/")[2]
    assert standing(table(emptied), token, lambda: wall() + 590)
    assert not standing(table(emptied), token, lambda: wall() + 601)
    assert not standing(table(emptied), token + "x")


def test_a_link_is_no_session_and_a_session_no_link(ines: Browser, app: Starlette, emptied: Settings) -> None:
    other = Browser(app)
    other.carry(link(emptied).rpartition("/")[2])
    assert other.get("/").status_code == 303
    assert other.get(f"/login/{ines.cookie}").status_code == 404


def test_the_cookie(ines: Browser, emptied: Settings, app: Starlette) -> None:
    header = Browser(app).post(link(emptied)).headers["set-cookie"].lower()
    assert header.startswith("earshot=") and "httponly" in header and "samesite=lax" in header and "path=/" in header
    assert "domain" not in header and "max-age" not in header
    row = table(emptied).read(hash_of(ines.cookie))
    assert row is not None and (row.actor, row.roles, row.way) == ("ines", ("admin",), "link")


def test_a_session_that_somebody_else_chose_is_not_taken_over(app: Starlette, emptied: Settings, tmp_path: Path) -> None:
    fixed, thief = "A" * 43, Browser(app)
    browser = Browser(app)
    browser.carry(fixed)
    browser.log_in(emptied)
    assert browser.cookie != fixed
    thief.carry(fixed)
    assert thief.get("/").status_code == 303


def test_a_new_login_ends_the_session_before(ines: Browser, app: Starlette, emptied: Settings) -> None:
    before = ines.cookie
    ines.log_in(emptied)
    thief = Browser(app)
    thief.carry(before)
    assert thief.get("/").status_code == 303 and ines.get("/").status_code == 200


def test_after_logout_the_cookie_is_worth_nothing_here_and_after_a_restart(ines: Browser, emptied: Settings) -> None:
    stolen = ines.cookie
    answer = ines.act("/logout")
    assert (answer.status_code, ines.cookie) == (303, "")
    for browser in ines, Browser(app_of(emptied)):
        browser.carry(stolen)
        assert browser.get("/").status_code == 303


def test_people_stay_logged_in_over_a_restart(ines: Browser, emptied: Settings) -> None:
    after = Browser(app_of(emptied))
    after.carry(ines.cookie)
    assert "<bdi>ines</bdi>" in after.get("/").text
    assert after.act("/logout").status_code == 303


async def test_idle_for_eight_hours_and_it_is_over(emptied: Settings) -> None:
    now = wall()
    sessions = Sessions(table(emptied), lambda row: True, 8 * 3600, lambda: now)
    token = await sessions.open("ines", ("ops",), "password", "")
    for _ in range(3):
        now += 8 * 3600 - 1
        assert await sessions.find(token)
    assert await sessions.find(token, note=False)
    now += 8 * 3600 - 30
    assert await sessions.find(token, note=False)
    now += 60
    assert await sessions.find(token) is None
    token, opened = await sessions.open("ines", ("ops",), "password", ""), now
    while now + 3600 < opened + LONGEST_S:
        now += 3600
        assert await sessions.find(token)
    now += 3600
    assert await sessions.find(token) is None, "it has an end, whatever its person does"
    sessions.close()


def test_what_an_open_page_asks_by_itself_keeps_nobody_logged_in(ines: Browser, app: Starlette, emptied: Settings) -> None:
    sessions = app.state.desk.sessions
    sessions._clock = lambda: wall() + 7 * 3600
    row = table(emptied).read(hash_of(ines.cookie))
    for path in "/now/alerts", "/now/waiting", "/now/tones", "/backtests/none":
        assert ines.get(path, hx_request="true").status_code in (200, 404)
    assert row is not None and table(emptied).read(hash_of(ines.cookie)) == row
    ines.get("/record")
    assert table(emptied).read(hash_of(ines.cookie)) != row


async def test_a_late_note_that_somebody_is_there_opens_nothing_that_has_ended(emptied: Settings) -> None:
    now = wall()
    one, other = (Sessions(table(emptied), lambda row: True, 8 * 3600, lambda: now) for _ in range(2))
    token = await one.open("ines", ("ops",), "password", "")
    row = await other.find(token)
    await one.end(token)
    assert row is not None
    table(emptied).write(row._replace(seen_at=now + 3600))
    now += FRESH_S
    assert await other.find(token) is None
    for each in one, other:
        each.close()


class Away(SessionTable):
    """ClickHouse, until it is away."""

    away = False

    def asking(self):  # type: ignore[no-untyped-def]
        if self.away:
            raise UnreachableError("ClickHouse: away")
        return super().asking()


class Held(SessionTable):
    """Each write of an end waits until the test lets it go."""

    def __init__(self, connect: Callable[[], Client]) -> None:
        super().__init__(connect)
        self.waiting: list[Event] = []

    def write(self, row: Row, once: str = "") -> Row:
        if row.ended:
            self.waiting.append(gate := Event())
            assert gate.wait(20)
        return super().write(row, once)


class Asked(SessionTable):
    """It counts its questions; while `gate` is set, those for more than the hashes in `known` wait until the test opens it."""

    def __init__(self, connect: Callable[[], Client]) -> None:
        super().__init__(connect)
        self.questions, self.known = 0, set[str]()
        self.gate: Event | None = None

    def read_all(self, keys: Sequence[str]) -> dict[str, Row]:
        self.questions += 1
        if self.gate is not None and not self.known.issuperset(keys):
            assert self.gate.wait(60)
        return super().read_all(keys)


async def test_all_sessions_in_use_are_one_question(emptied: Settings) -> None:
    now, store = wall(), Asked(table(emptied)._connect)
    sessions, elsewhere = (Sessions(each, lambda row: True, 8 * 3600, lambda: now) for each in (store, table(emptied)))
    tokens = [await sessions.open(f"person {number}", ("ops",), "password", "") for number in range(5)]
    gone = await sessions.open("gone", ("ops",), "password", "")
    for _ in range(40):
        now += FRESH_S / 2
        await sessions.refresh()
        assert all([await sessions.find(token) for token in tokens])
    assert store.questions == 40
    assert not sessions._known[hash_of(gone)].asked_at >= now - IN_USE_S, "nobody uses it"
    assert await elsewhere.end(tokens[0])
    with clickhouse_client(emptied.clickhouse) as client:
        client.command("DELETE FROM console_sessions WHERE hash = {hash:String}", {"hash": hash_of(tokens[1])})
    await sessions.refresh()
    assert [await sessions.find(token) is not None for token in tokens] == [False, False, True, True, True]
    for each in sessions, elsewhere:
        each.close()
    assert not store.read_all([hash_of(str(number)) for number in range(MOST_KNOWN)])


class Killed(SessionTable):
    """With `kill` its server noted the token of the next row, and is killed before it keeps the row."""

    kill = False

    def write(self, row: Row, once: str = "") -> Row:
        written = super().write(row, once)
        if self.kill:
            self.kill = False
            with self.asking() as client:
                client.command("DELETE FROM console_sessions WHERE version = {version:UInt64}", {"version": written.version})
            raise UnreachableError("ClickHouse: Connection reset by peer")
        return written


async def test_a_logout_whose_row_a_killed_server_lost_is_written_later(emptied: Settings) -> None:
    store = Killed(table(emptied)._connect)
    sessions = Sessions(store, lambda row: True, 8 * 3600)
    token = await sessions.open("ines", ("ops",), "password", "")
    store.kill = True
    assert not await sessions.end(token)
    await sessions.settle()
    row = table(emptied).read(hash_of(token))
    assert row is not None and row.ended, "the server takes the same row again"
    sessions.close()


async def test_while_clickhouse_hangs_known_people_go_on_for_an_hour_and_no_end_is_undone(
    emptied: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.console.sessions.WAIT_S", 0.1)
    now, store = wall(), Asked(table(emptied)._connect)
    sessions = Sessions(store, lambda row: True, 8 * 3600, lambda: now)
    token, leaving = [await sessions.open(name, ("ops",), "password", "") for name in ("ines", "otto")]
    store.gate = Event()
    now += FRESH_S
    assert await sessions.find(token) and await sessions.find(token, note=False)
    assert store.questions == 1, "nobody waits again so soon"
    await sessions.end(leaving)
    now += TRUST_S - FRESH_S - 1
    assert await sessions.find(token, note=False) and await sessions.find(leaving) is None
    now += 2
    with pytest.raises(UnreachableError, match="for too long"):
        await sessions.find(token)
    assert await sessions.find(leaving) is None
    store.gate.set()
    store.gate = None
    await sessions.settle()
    await sessions.refresh()
    assert await sessions.find(token) and await sessions.find(leaving) is None
    sessions.close()


async def test_cookies_that_nobody_has_keep_nobody_waiting(emptied: Settings) -> None:
    now, store = wall(), Asked(table(emptied)._connect)
    sessions = Sessions(store, lambda row: True, 8 * 3600, lambda: now)
    token = await sessions.open("ines", ("ops",), "password", "")
    for shape in ("", "x", "A" * 42, "A" * 44, "A" * 42 + "/"):
        assert await sessions.find(shape) is None
    assert await sessions.find("B" * 43) is None and await sessions.find("B" * 43) is None
    assert store.questions == 1, "what is none is known for a minute"
    store.gate, store.known = Event(), {hash_of(token)}
    flood = [asyncio.create_task(sessions.find(new_token(), holder=f"10.6.6.{number % 9}")) for number in range(90)]
    while store.questions < 3:
        await asyncio.sleep(0.01)
    now += FRESH_S
    assert await sessions.find(token)
    assert store.questions == 4, "two of them are asked for at a time"
    store.gate.set()
    assert not any(await asyncio.gather(*flood))
    sessions.close()


async def test_an_end_that_is_written_twice_at_once_ends_once(emptied: Settings) -> None:
    store = Held(table(emptied)._connect)
    sessions = Sessions(store, lambda row: True, 8 * 3600)
    token = await sessions.open("ines", ("ops",), "password", "")
    ending = asyncio.create_task(sessions.end(token))
    while len(store.waiting) < 1:
        await asyncio.sleep(0.01)
    settling = asyncio.create_task(sessions.settle())  # as the process does each few seconds
    while len(store.waiting) < 2:
        await asyncio.sleep(0.01)
    store.waiting[0].set()
    assert await ending
    store.waiting[1].set()
    await settling
    assert await sessions.find(token) is None
    sessions.close()


async def test_a_clock_that_goes_back_hides_no_logout_of_another_console(emptied: Settings) -> None:
    now = wall()
    one, other = (Sessions(table(emptied), lambda row: True, 8 * 3600, lambda: now) for _ in range(2))
    token = await one.open("ines", ("ops",), "password", "")
    assert await other.find(token)
    now -= 3600
    await one.end(token)
    assert await other.find(token) is None
    for each in one, other:
        each.close()


async def test_who_was_seen_in_the_future_is_seen_now_or_has_to_log_in_again(emptied: Settings) -> None:
    now = wall()
    sessions = Sessions(table(emptied), lambda row: True, 8 * 3600, lambda: now)
    token = await sessions.open("ines", ("ops",), "password", "")
    now += 7 * 3600
    assert await sessions.find(token)
    now -= 7 * 3600 - 2
    assert await sessions.find(token)
    row = table(emptied).read(hash_of(token))
    assert row is not None and abs(row.seen_at - now) < 1
    now += 365 * 86_400
    wrong = await sessions.open("ines", ("ops",), "password", "")
    now -= 365 * 86_400
    assert await sessions.find(wrong) is None
    sessions.close()


def test_a_logout_that_is_not_written_yet_says_so(ines: Browser, app: Starlette, emptied: Settings) -> None:
    csrf, stolen = ines.csrf(), ines.cookie
    store = Away(table(emptied)._connect)
    app.state.desk.sessions.table, store.away = store, True
    answer = ines.post("/logout", {"csrf": csrf})
    assert answer.status_code == 503 and "You are logged out, and ClickHouse is away" in answer.text
    assert "<bdi>ines</bdi>" not in answer.text and not ines.cookie
    ines.carry(stolen)
    assert ines.get("/").status_code == 303


async def test_while_clickhouse_is_away_known_people_go_on_and_a_logout_holds(emptied: Settings) -> None:
    now, store = wall(), Away(table(emptied)._connect)
    sessions = Sessions(store, lambda row: True, 8 * 3600, lambda: now)
    token, leaving = [await sessions.open(name, ("ops",), "password", "") for name in ("ines", "otto")]
    store.away, now = True, now + 120
    assert await sessions.find(token)
    assert not await sessions.end(leaving)
    assert await sessions.find(leaving) is None
    with pytest.raises(UnreachableError):
        await sessions.find("B" * 43)
    store.away = False
    await sessions.settle()
    row = table(emptied).read(hash_of(leaving))
    assert row is not None and row.ended
    sessions.close()


async def test_a_login_waits_for_no_thread_that_pages_hold(app: Starlette) -> None:
    held = Event()
    pages = [asyncio.create_task(asyncio.to_thread(held.wait)) for _ in range(64)]
    await asyncio.sleep(0)
    try:
        async with asyncio.timeout(60):
            assert await app.state.desk.hashing(lambda: "done") == "done"
    finally:
        held.set()
        await asyncio.gather(*pages)


def test_a_password_logs_in_and_goes_on_where_one_was(emptied: Settings, tmp_path: Path) -> None:
    settings = with_users(emptied, users_file(tmp_path / "users.yaml", ines="ops analyst"))
    browser = Browser(app_of(settings))
    assert log_in(browser, "ines", next="/?brand=Acme").headers["location"] == "/?brand=Acme"
    assert '<bdi>ines</bdi> <span class="quiet">analyst, ops</span>' in browser.get("/").text


@pytest.mark.parametrize(
    "next", ["https://evil.example", "//evil.example", "/\\evil.example", "javascript:x", "\t//x", "/login"]
)
def test_nobody_is_sent_elsewhere(emptied: Settings, tmp_path: Path, next: str) -> None:
    settings = with_users(emptied, users_file(tmp_path / "users.yaml", ines="ops"))
    assert log_in(Browser(app_of(settings)), "ines", next=next).headers["location"] == "/"


def test_another_role_another_password_or_no_line_ends_the_session_at_once(emptied: Settings, tmp_path: Path) -> None:
    file = users_file(tmp_path / "users.yaml", ines="ops", otto="ops")
    settings = with_users(emptied, file)
    app = app_of(settings)
    before = file.read_text()
    for after in (before.replace("[ops]", "[viewer]", 1), users_file(file, ines="ops").read_text(), "users: []\n"):
        file.write_text(before)
        browser, restarted = Browser(app), Browser(app_of(settings))
        assert log_in(browser, "ines").status_code == 303
        assert browser.get("/").status_code == 200
        file.write_text(after)
        assert browser.get("/").status_code == 303
        file.write_text(before)  # it does not come back
        restarted.carry(browser.cookie)
        assert browser.get("/").status_code == 303 and restarted.get("/").status_code == 303


def test_who_logged_in_and_out_and_who_was_refused_is_on_record(emptied: Settings, tmp_path: Path) -> None:
    settings = with_users(emptied, users_file(tmp_path / "users.yaml", ines="ops"))
    browser = Browser(app_of(settings))
    log_in(browser, "ines", password="wrong")
    log_in(browser, "otto")
    log_in(browser, "ines")
    browser.act("/logout")
    browser.log_in(settings, "mara")
    with clickhouse_client(emptied.clickhouse) as client:
        rows = client.query("SELECT actor, way, act, subject, outcome, after FROM acts ORDER BY at").result_rows
    wrong = "Name and password don't belong together."
    assert [row[:5] for row in rows] == [
        ("ines", "console", "log in", "password", wrong),
        ("(unknown name)", "console", "log in", "password", wrong),
        ("ines", "console", "log in", "password", "done"),
        ("ines", "console", "log out", "", "done"),
        ("mara", "console", "log in", "link", "done"),
    ]
    assert {row[5] for row in rows} == {'{"address": "testclient"}'}


def test_what_was_typed_is_there_after_the_login(emptied: Settings, tmp_path: Path) -> None:
    settings = with_users(emptied, users_file(tmp_path / "users.yaml", ines="ops"))
    browser = Browser(app_of(settings))
    kept = '{"action": "/alerts/1/silence", "form": {"comment": "until <noon>"}}'
    answer = log_in(browser, "ines", kept=kept)
    assert answer.status_code == 200 and browser.cookie
    assert 'action="/alerts/1/silence"' in answer.text and 'value="until &lt;noon&gt;"' in answer.text
    assert browser.get("/").status_code == 200
    for bad in ('{"action": "https://evil.example", "form": {}}', "[", '{"action": "//x", "form": {}}', '{"action": 1}'):
        assert log_in(browser, "ines", kept=bad).headers["location"] == "/"
