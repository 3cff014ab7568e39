"""The driver of e-mail against a real Dovecot: news, back-fill, new UIDs, large mails, TLS, and a listener."""

from __future__ import annotations

import asyncio
import time
import tracemalloc
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path

import pytest
import trustme
from imapclient import IMAPClient

from pipeline.config.settings import Settings
from pipeline.http.route import Route
from pipeline.listen.drivers import email_folder
from pipeline.listen.drivers.email import EmailDriver
from pipeline.listen.sources_file import Email
from pipeline.listen.states import Failed, NoCredentials
from pipeline.listen.status import check
from pipeline.migrate import migrate
from pipeline.sources.platforms.changes import Known
from pipeline.sources.platforms.observation import Observation
from pipeline.sources.platforms.registry import mapper
from schemas.untyped import JsonObject
from tests.support.imap import PASSWORD, USER, Dovecot
from tests.support.listener import listening, sent, start_listener, write_sources
from tests.support.mailbox import driving, events, taken
from tests.support.server import names
from tests.support.worker import wait_for

pytestmark = [pytest.mark.stack, pytest.mark.timeout(120)]
NOW = format_datetime(datetime.now(UTC))


def mail(number: int, author: str = "ada@mail.example", body: str = "The kettle is cold.") -> bytes:
    head = f"From: {author}\r\nDate: {NOW}\r\nMessage-ID: <{number}@mail.example>\r\nSubject: {number}\r\n"
    return f"{head}\r\n{body}\r\n".encode()


@pytest.fixture
def server() -> Iterator[Dovecot]:
    with Dovecot() as server:
        yield server


def flags(server: Dovecot) -> list[bytes]:
    client = IMAPClient("127.0.0.1", server.port, ssl=False, timeout=20)
    client.login(USER, PASSWORD)
    client.select_folder("INBOX", readonly=True)
    found = [flag for each in client.get_flags(client.search()).values() for flag in each]
    client.logout()
    return found


def texts(driver: EmailDriver, payloads: Sequence[object]) -> list[str]:
    """The subjects."""
    return [event["text"].split()[0] for event in events(driver, [each for each in payloads if isinstance(each, bytes)])]


async def test_a_first_start_begins_with_new_mail_which_comes_at_once_and_stays_unread(server: Dovecot) -> None:
    for number in range(3):
        server.deliver(mail(number))
    async with driving(server.port) as driver:
        pages = driver.pages({})
        first = await anext(pages)
        assert not first.payloads and first.cursor["uid"] == 3
        later = asyncio.get_running_loop().call_later(0.3, server.deliver, mail(3, f"{USER}@shop.example"))
        found, cursor = await taken(pages, 1)  # else it would come when IDLE is renewed: after minutes, which `driving` has not
        assert later.when() > 0
        assert [event["id"] for event in events(driver, found)] == ["3@mail.example"]
    assert set(flags(server)) <= {b"\\Recent"}
    server.deliver(mail(4))
    async with driving(server.port) as driver:
        found, cursor = await taken(driver.pages(cursor), 1)
        assert [event["id"] for event in events(driver, found)] == ["4@mail.example"] and cursor["uid"] == 5


async def test_mail_from_the_own_address_is_outbound(server: Dovecot) -> None:
    for number, author in enumerate(("Help <HELP@shop.example>", "me@shop.example", "ada@mail.example")):
        server.deliver(mail(number, author))
    async with driving(server.port, user="help@shop.example", own=["me@shop.example"]) as driver:
        found, _ = await taken(driver.backfill({}, 0.0))
        assert [event["direction"] for event in events(driver, found)] == ["inbound", "outbound", "outbound"]


async def test_the_past_comes_newest_first_down_to_its_day_and_goes_on_after_any_page(
    server: Dovecot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(email_folder, "UIDS", 4)
    monkeypatch.setattr(email_folder, "BATCH", 2)
    for number in range(1, 12):
        server.deliver(mail(number))
    found, cursor = list[str](), JsonObject()
    for _ in range(30):  # each page by a driver of its own
        async with driving(server.port) as driver:
            pages = driver.backfill(cursor, time.time() - 3600)
            page = await anext(pages, None)
            await pages.aclose()
            if page is None:
                break
            cursor = page.cursor
            found += texts(driver, page.payloads)
    assert found == [str(number) for number in range(11, 0, -1)] and cursor["below"] == 1
    async with driving(server.port) as driver:
        assert await taken(driver.backfill({}, time.time() + 3600)) == ([], {**cursor, "below": 1})
        assert (await taken(driver.backfill(cursor, 0.0)))[0] == []


async def test_many_mails_since_the_last_start_come_in_order(server: Dovecot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(email_folder, "UIDS", 7)
    monkeypatch.setattr(email_folder, "BATCH", 3)
    server.deliver(mail(0))
    async with driving(server.port) as driver:
        cursor = (await anext(driver.pages({}))).cursor
    for number in range(1, 31):
        server.deliver(mail(number))
    async with driving(server.port) as driver:
        found, cursor = await taken(driver.pages(cursor), 30)
        assert texts(driver, found) == [str(number) for number in range(1, 31)]
        assert cursor["uid"] == 31


async def test_new_uids_start_again_and_known_mails_are_no_creates(server: Dovecot) -> None:
    known, observe, ids = Known(), mapper("email"), list[str]()
    server.deliver(mail(0))
    async with driving(server.port) as driver:
        cursor = (await anext(driver.pages({}))).cursor
        for restored in (False, True):
            if restored:
                server.rebuild()
            server.deliver(mail(1 + restored))
            async with driving(server.port) as again:
                found, cursor = await taken(again.pages(cursor), 1 if not restored else 3)
                seen = [each for body in found for each in observe(body, driver.origin) if isinstance(each, Observation)]
                ids += [event["id"] for event in known.changes(seen, "2026-03-02T10:00:00Z")]
    assert sorted(ids) == ["0@mail.example", "1@mail.example", "2@mail.example"], "each once"
    assert cursor["uid"] == 3


async def test_a_server_without_idle_is_polled(server: Dovecot) -> None:
    with Dovecot(capabilities="IMAP4rev1") as plain:
        async with driving(plain.port) as driver:
            assert "it has no IDLE" in await driver.check()
            _, cursor = await taken(driver.pages({}))
        plain.deliver(mail(1))
        async with driving(plain.port) as driver:
            found, _ = await taken(driver.pages(cursor))
            assert len(found) == 1


async def test_check_and_what_is_wrong(server: Dovecot) -> None:
    server.deliver(mail(1))
    async with driving(server.port) as driver:
        line = await driver.check()
        assert line == "logged in as ada at 127.0.0.1: folder INBOX has 1 mails; new ones come at once"
    async with driving(server.port, folder="Inbux") as driver:
        with pytest.raises(Failed, match="there is no folder 'Inbux', did you mean 'INBOX'?"):
            await driver.check()
    async with driving(server.port, token="wr0ng-kettle") as driver:
        with pytest.raises(NoCredentials, match="AUTHENTICATIONFAILED") as error:
            await driver.check()
        assert "wr0ng" not in str(error.value)
    async with driving(server.port, allow=()) as driver:
        with pytest.raises(Failed, match="127.0.0.1 is loopback: key allow of the source"):
            await driver.check()
    async with driving(server.port, allow=(), host="mail.example", lookup=names(mail="10.1.2.3")) as driver:
        with pytest.raises(Failed, match="10.1.2.3 is private"):
            await driver.check()


async def test_source_check_shows_the_newest_mail_which_stays_unread(server: Dovecot) -> None:
    keys = {"host": "127.0.0.1", "port": server.port, "tls": False, "user": USER, "token_env": "MAIL", "allow": ["127.0.0.1"]}
    source = Email.model_validate({"name": "post", "platform": "email", **keys})
    assert (await check(Settings(), source, {"MAIL": PASSWORD})).event is None, "the folder is empty"
    for number in range(3):
        server.deliver(mail(number))
    trial = await check(Settings(), source, {"MAIL": PASSWORD})
    assert trial.event is not None and trial.event["id"] == "2@mail.example"
    assert set(flags(server)) <= {b"\\Recent"}


async def test_tls_takes_the_right_name_and_the_own_ca_alone(tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    route, lookup = Route.of("", tmp_path / "ca.pem"), names(mail="127.0.0.1", other="127.0.0.1")
    with Dovecot(authority.issue_cert("mail.example")) as server:
        async with driving(server.tls_port, tls=True, host="mail.example", lookup=lookup, route=route) as driver:
            assert "logged in as ada at mail.example" in await driver.check()
        async with driving(server.tls_port, tls=True, host="other.example", lookup=lookup, route=route) as driver:
            with pytest.raises(Failed, match="certificate: Hostname mismatch"):
                await driver.check()
        async with driving(server.tls_port, tls=True, host="mail.example", lookup=lookup) as driver:
            with pytest.raises(Failed, match="certificate: "):
                await driver.check()
        server.deliver(mail(1))
        async with driving(server.tls_port, tls=True, host="mail.example", lookup=lookup, route=route) as driver:
            pages = driver.pages({})
            await anext(pages)
            server.deliver(mail(2))
            assert len((await taken(pages, 1))[0]) == 1


async def test_a_mail_of_50_mb_with_10_000_parts_comes_in_bounded_memory(server: Dovecot) -> None:
    part = b"--b\r\nContent-Type: image/png\r\n\r\n" + b"x" * 4_990 + b"\r\n"
    text = b"--b\r\nContent-Type: text/plain\r\n\r\nThe kettle is cold.\r\n"
    head = mail(1).replace(b"Subject", b"Content-Type: multipart/mixed; boundary=b\r\nSubject").partition(b"\r\n\r\n")[0]
    server.deliver(head + b"\r\n\r\n" + text + part * 10_000 + b"--b--\r\n")
    server.deliver(mail(2))
    async with driving(server.port) as driver:
        tracemalloc.start()
        found, _ = await taken(driver.backfill({}, 0.0))
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 20 << 20 and max(map(len, found)) == 4 << 20
        assert [event["text"] for event in events(driver, found)] == [
            "2\n\nThe kettle is cold.",
            "1\n\nThe kettle is cold.",
        ]


def test_a_listener_sends_each_mail_once_over_restarts(settings: Settings, server: Dovecot, tmp_path: Path) -> None:
    migrate(settings)
    (tmp_path / "password").write_text(PASSWORD)
    keys = {"host": "127.0.0.1", "port": server.port, "tls": False, "user": USER, "backfill": "2d"}
    source = {"name": "post", "platform": "email", "token_file": str(tmp_path / "password"), **keys}
    write_sources(tmp_path / "sources.yaml", [source])
    listens = listening(settings, tmp_path / "sources.yaml")
    first = server.deliver(mail(1))
    listener = start_listener(listens, tmp_path / "1.log")
    wait_for("the past came", lambda: len(sent(listens)) == 1)
    server.deliver(mail(2))
    wait_for("a new mail came", lambda: len(sent(listens)) == 2)
    assert listener.stop() == 0
    server.delete(first)
    server.deliver(mail(3))
    server.deliver(mail(2))  # once more, under another UID
    server.rebuild()
    listener = start_listener(listens, tmp_path / "2.log")
    wait_for("what came meanwhile came", lambda: len(sent(listens)) == 3)
    server.deliver(mail(4))
    wait_for("a new mail came", lambda: len(sent(listens)) == 4)
    assert listener.stop() == 0
    assert Counter(event["operation"] for event in sent(listens)) == {"create": 4}
    assert {event["id"] for event in sent(listens)} == {f"{number}@mail.example" for number in range(1, 5)}
    for log in ("1.log", "2.log"):
        assert PASSWORD not in (tmp_path / log).read_text()
