"""Each act, of each route that the app has: refused to whom it is not for, however it is sent, and never on record as done."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from pipeline.config.settings import Settings
from pipeline.console.guard import HEADERS
from pipeline.kafka.topics import migrate_topics
from tests.support.console import HERE, Browser, password
from tests.support.console_routes import BACKTESTS, LOGIN, OPEN, OUT, STREAM, Way, acts, pages
from tests.support.console_whole import PEOPLE, Whole, whole

ELSEWHERE = (
    {"origin": "https://evil.example"},
    {"origin": "null"},
    {"origin": f"{HERE}.evil.example"},
    {"origin": HERE.replace("127.0.0.1", "localhost")},
    {"sec_fetch_site": "cross-site"},
    {"sec_fetch_site": "same-site"},
    {"sec_fetch_site": "none"},
)
OTHER_BODIES = (
    ("application/json", b'{"comment": "x"}'),
    ("text/plain", b"comment=x"),
    ("multipart/form-data; boundary=b", b'--b\r\nContent-Disposition: form-data; name="comment"\r\n\r\nx\r\n--b--\r\n'),
    ("", b"comment=x"),
)
"""What a form of another page, or a script, can send."""


@pytest.fixture
def bench(emptied: Settings, tmp_path: Path) -> Iterator[Whole]:
    with whole(emptied, tmp_path) as console:
        yield console


@pytest.fixture
def before(bench: Whole) -> object:
    """What there is before anybody acts."""
    return bench.state()


def guarded(bench: Whole) -> list[Way]:
    """The acts of somebody who is logged in."""
    found = [way for way in acts(bench.app, bench.names) if way.route not in OPEN]
    assert len(found) > 10
    return sorted(found, key=lambda way: way.route == OUT)


def try_all(bench: Whole, browser: Browser, token: str, **headers: str) -> dict[str, int]:
    """Sends every act, its form whole; what each was answered."""
    fields = {"csrf": token} if token else {}
    return {way.path: browser.post(way.path, {**fields, **way.form}, **headers).status_code for way in guarded(bench)}


def nothing_done(bench: Whole, before: object, answers: dict[str, int], status: int) -> None:
    """Each was refused with this status, nothing has changed, and nothing is on record."""
    assert {path: answer for path, answer in answers.items() if answer != status} == {}
    assert bench.state() == before and bench.acts() == []


def test_who_may_does_each(bench: Whole) -> None:
    """The others are refused for what is wrong with them, and not because the address or the form is."""
    migrate_topics(bench.settings.kafka)
    ada = bench.person("ada")
    for way in guarded(bench):
        answer = ada.act(way.path, dict(way.form))
        assert answer.status_code in (200, 303) or (way.route, answer.status_code) == (BACKTESTS, 422), (way, answer.text)


def test_without_a_session(bench: Whole, before: object) -> None:
    ada, nobody = bench.person("ada"), Browser(bench.app)
    token = ada.csrf()
    for cookie in ("", "A" * 43, ada.cookie[:-1], ada.cookie + "x", ada.cookie.swapcase(), " ", "0"):
        nobody.carry(cookie)
        nothing_done(bench, before, try_all(bench, nobody, token), 401)


def test_with_a_session_that_is_over(bench: Whole, before: object) -> None:
    ada, thief = bench.person("ada"), Browser(bench.app)
    token = ada.csrf()
    thief.carry(ada.cookie)
    assert thief.get("/").status_code == 200
    assert ada.act(OUT).status_code == 303
    assert set(try_all(bench, thief, token).values()) == {401}
    assert bench.state() == before and [act[1] for act in bench.acts()] == ["log out"]


def test_with_a_session_that_was_there_before_the_login(bench: Whole, before: object) -> None:
    victim, thief = Browser(bench.app), Browser(bench.app)
    for fixed in ("B" * 43, bench.person("vera").cookie):
        victim.carry(fixed)
        assert victim.post(LOGIN, {"name": "ada", "password": password("ada")}).status_code == 303
        thief.carry(fixed)
        nothing_done(bench, before, try_all(bench, thief, victim.csrf()), 401)


def test_after_a_role_was_taken_away(bench: Whole, before: object) -> None:
    ada, file = bench.person("ada"), bench.settings.console.users
    assert file is not None
    token = ada.csrf()
    file.write_text(file.read_text().replace("[admin]", "[viewer]"))
    nothing_done(bench, before, try_all(bench, ada, token), 401)


def test_by_somebody_with_another_role(bench: Whole, before: object) -> None:
    wanted = {route.path: getattr(route.endpoint, "wanted", ()) for route in bench.app.router.routes if "POST" in route.methods}  # type: ignore[attr-defined]
    for name, role in PEOPLE.items():
        person = bench.person(name)
        token = person.csrf()
        for way in guarded(bench):
            if way.route == OUT or role == "admin" or role in wanted[way.route]:
                continue
            assert person.post(way.path, {"csrf": token, **way.form}).status_code == 403, (name, way)
    nothing_done(bench, before, {}, 403)


def test_without_a_token_or_with_another(bench: Whole, before: object) -> None:
    ada, other, again = bench.person("ada"), bench.person("otto"), bench.person("ada")
    old = ada.csrf()
    ada.post(LOGIN, {"name": "ada", "password": password("ada")})
    for token in ("", "x", "c" * 86 + "==", "ä", other.csrf(), again.csrf(), old, ada.cookie, ada.csrf()[:-4]):
        nothing_done(bench, before, try_all(bench, ada, token), 403)
        nothing_done(bench, before, try_all(bench, ada, "", x_csrf_token=quote(token)), 403)


@pytest.mark.parametrize("where", ELSEWHERE, ids=lambda where: " ".join(where.values()))
def test_from_another_origin(bench: Whole, before: object, where: dict[str, str]) -> None:
    ada = bench.person("ada")
    nothing_done(bench, before, try_all(bench, ada, ada.csrf(), **where), 403)


def test_from_nobody_knows_where(bench: Whole, before: object) -> None:
    ada = bench.person("ada")
    token = ada.csrf()
    forms = {way.path: {"csrf": token, **way.form} for way in guarded(bench)}
    nothing_done(bench, before, {path: ada.client.post(path, data=form).status_code for path, form in forms.items()}, 403)


@pytest.mark.parametrize(("kind", "body"), OTHER_BODIES, ids=lambda each: each if isinstance(each, str) else "body")
def test_with_another_kind_of_body(bench: Whole, before: object, kind: str, body: bytes) -> None:
    ada = bench.person("ada")
    headers = {"sec-fetch-site": "same-origin", "x-csrf-token": ada.csrf(), "content-type": kind}
    answers = {
        way.path: ada.client.post(way.path, content=body, headers=headers).status_code for way in acts(bench.app, bench.names)
    }
    nothing_done(bench, before, answers, 415)


def test_a_login_is_of_the_consoles_own_page_too(bench: Whole) -> None:
    """Nobody is logged in by another page, as somebody else."""
    for where in ELSEWHERE:
        browser = Browser(bench.app)
        assert browser.post(LOGIN, {"name": "ada", "password": password("ada")}, **where).status_code == 403
        assert not browser.cookie


def test_by_get_and_other_methods(bench: Whole, before: object) -> None:
    ada = bench.person("ada")
    token = ada.csrf()
    for way in acts(bench.app, bench.names):
        for method in ("GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"):
            headers = {"sec-fetch-site": "same-origin", "x-csrf-token": token, "x-http-method-override": "POST"}
            query = {"csrf": token, "_method": "POST", **way.form}
            answer = ada.client.request(method, way.path, params=query, headers=headers)
            assert answer.status_code in ((200, 303, 404, 405) if method in ("GET", "HEAD") else (405,)), (method, way)
    nothing_done(bench, before, {}, 405)


def test_a_page_changes_nothing_but_that_a_look_is_on_record(bench: Whole, before: object) -> None:
    ada = bench.person("ada")
    for way in pages(bench.app, bench.names):
        if way.route != STREAM:
            assert ada.get(way.path).status_code in (200, 303), way
    assert bench.state() == before
    assert {act[1] for act in bench.acts()} == {"look at dead letters"}


def test_a_page_without_a_session_leads_to_the_login_and_says_nothing(bench: Whole) -> None:
    nobody = Browser(bench.app)
    for way in (*pages(bench.app, bench.names), Way(f"{BACKTESTS}/{{id}}", f"{BACKTESTS}/none")):
        for headers, status in (({}, 303), ({"hx_request": "true"}, 401)):
            answer = nobody.get(way.path, **headers)
            assert answer.status_code == status, way
            assert "Acme" not in answer.text
            if status == 303:
                assert answer.headers["location"].partition("?")[0] == LOGIN


def test_every_answer_has_the_headers(bench: Whole) -> None:
    nobody, vera, ada = Browser(bench.app), bench.person("vera"), bench.person("ada")
    ways = [way for way in pages(bench.app, bench.names) if way.route != STREAM]
    missing = [
        "/nothing",
        "/backtests/none",
        "/alerts/%00",
        "/static/x/console.css",
        "/libraries/x",
        "/silences/x/lift",
        "/live",
        "/metrics",
    ]
    paths = [*(way.path for way in ways), *missing]
    for browser in nobody, vera, ada:
        answers = [answer for path in paths for answer in (browser.get(path), browser.get(path, hx_request="true"))]
        answers += [browser.post(way.path, dict(way.form)) for way in acts(bench.app, bench.names)]
        for answer in answers:
            assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS, answer.url
            assert answer.headers["cache-control"] == "no-store"
