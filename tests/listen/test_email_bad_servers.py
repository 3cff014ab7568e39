"""The driver of e-mail against servers that stall, drip, flood, lie and end: bounded time and memory, and the reason."""

from __future__ import annotations

import asyncio
import time
import tracemalloc
from base64 import b64encode
from collections.abc import Callable

import pytest

from pipeline.listen.drivers import email as email_driver
from pipeline.listen.drivers import email_wire
from pipeline.listen.states import Failed, NoCredentials, SourceError, Waiting
from tests.support.bad_imap import MAIL, Answer, BadImap
from tests.support.mailbox import driving, taken

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]
CURSOR = {"validity": 7, "uid": 0}


async def outcome(server: BadImap, cursor: dict[str, object] | None = None) -> SourceError | tuple[int, dict[str, object]]:
    """What ends the pages: an error, or how many mails came, and the cursor."""
    async with server.serving() as served, driving(served.port) as driver:
        try:
            found, last = await taken(driver.pages(CURSOR if cursor is None else cursor), server.mails)
        except SourceError as error:
            return error
        return len(found), last


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(email_wire, "COMMAND_S", 0.5)


async def drip(writer: asyncio.StreamWriter, tag: bytes) -> None:
    while True:
        writer.write(b"*")
        await writer.drain()
        await asyncio.sleep(0.05)


async def flood(writer: asyncio.StreamWriter, tag: bytes) -> None:
    while True:
        writer.write(b"* 5 FETCH (FLAGS (\\Seen))\r\n" * 1_000)
        await writer.drain()


async def endless_line(writer: asyncio.StreamWriter, tag: bytes) -> None:
    writer.write(b"* ")
    while True:
        writer.write(b"1 " * 10_000)
        await writer.drain()


def end(writer: asyncio.StreamWriter, tag: bytes) -> None:
    writer.close()


COMMANDS = ("CAPABILITY", "AUTHENTICATE", "EXAMINE", "UID SEARCH", "UID FETCH")


async def test_a_good_server() -> None:
    assert await outcome(BadImap()) == (3, {"validity": 7, "uid": 3, "day": time.strftime("%Y-%m-%d", time.gmtime())})


@pytest.mark.parametrize("name", COMMANDS)
async def test_a_server_that_stalls_or_drips(hasty: None, name: str) -> None:
    for answer in (None, drip):
        found = await outcome(BadImap(answers={name: answer}))
        assert isinstance(found, Failed) and "within 0.5 s" in str(found)


async def test_a_server_that_does_not_greet(hasty: None) -> None:
    found = await outcome(BadImap(greeting=None))
    assert isinstance(found, Failed) and "within 0.5 s" in str(found)


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("answer", [flood, endless_line])
async def test_a_server_that_floods(name: str, answer: Callable[..., object]) -> None:
    found = await outcome(BadImap(answers={name: answer}))
    assert isinstance(found, Failed) and "far longer" in str(found)


@pytest.mark.parametrize("name", COMMANDS)
async def test_a_literal_of_4_gb_is_refused_before_its_first_byte(name: str) -> None:
    tracemalloc.start()
    found = await outcome(BadImap(answers={name: b"* 1 FETCH (UID 1 BODY[]<0> {4294967296}\r\nxxxxxxxx"}))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert isinstance(found, Failed) and "announces 4,294,967,296 bytes" in str(found) and peak < 10 << 20


@pytest.mark.parametrize("name", COMMANDS)
async def test_a_server_that_says_goodbye_or_ends_in_the_middle(name: str) -> None:
    found = await outcome(BadImap(answers={name: b"* BYE Server going down\r\n"}))
    assert isinstance(found, Failed) and "going down" in str(found)
    found = await outcome(BadImap(answers={name: end}))
    assert isinstance(found, Failed) and "closed the connection" in str(found)


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("UID SEARCH", b"* SEARCH one two\r\nTAG OK done\r\n"),
        ("UID SEARCH", b"* SEARCH 1\r\n* SEARCH 2\r\nTAG OK done\r\n"),
        ("UID FETCH", b"* 1 FETCH (UID one RFC822.SIZE 120)\r\nTAG OK done\r\n"),
        ("UID FETCH", b"* 1 FETCH (UID 1 RFC822.SIZE\r\nTAG OK done\r\n"),
        ("UID FETCH", b'* 1 FETCH "\r\nTAG OK done\r\n'),
        ("EXAMINE", b"* 3 EXISTS\r\n* OK [UIDVALIDITY x] ok\r\nTAG OK done\r\n"),
        ("EXAMINE", b"* 3 EXISTS\r\nTAG OK done\r\n"),
        ("CAPABILITY", b"* CAPABILITY IMAP2\r\nTAG OK done\r\n"),
        ("CAPABILITY", b"<html>\r\n"),
        ("AUTHENTICATE", b"\xff\xfe\r\n"),
    ],
)
async def test_an_answer_that_makes_no_sense(name: str, answer: bytes) -> None:
    assert isinstance(await outcome(BadImap(answers={name: answer})), Failed)


async def test_a_server_that_is_no_mail_server() -> None:
    assert isinstance(await outcome(BadImap(greeting=b"HTTP/1.1 400 Bad Request\r\n\r\n")), Failed)


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (
            b"TAG NO [AUTHENTICATIONFAILED] Invalid credentials (Failure)\r\n",
            NoCredentials,
            "refuses the login: [AUTHENTICATIONFAILED]",
        ),
        (b"TAG NO LOGIN failed.\r\n", NoCredentials, "LOGIN failed."),
        (b"TAG NO [UNAVAILABLE] Temporary authentication failure\r\n", Failed, "[UNAVAILABLE]"),
        (b"TAG BAD User is authenticated but not connected.\r\n", Failed, "not connected"),
        (b"TAG NO [LIMIT] Maximum number of connections from user exceeded\r\n", Waiting, "[LIMIT]"),
        (b"TAG NO [ALERT] Too many simultaneous connections. (Failure)\r\n", Waiting, "Too many"),
        (b"TAG NO [OVERQUOTA] Account exceeded command or bandwidth limits.\r\n", Waiting, "[OVERQUOTA]"),
        (b"* BYE [LIMIT] Too many connections\r\n", Waiting, "Too many"),
    ],
)
async def test_a_refused_login(answer: bytes, kind: type[SourceError], words: str) -> None:
    found = await outcome(BadImap(answers={"AUTHENTICATE": b"+ \r\n" + answer}))
    assert type(found) is kind and words in str(found)
    if isinstance(found, Waiting):
        assert 290 < found.until - time.time() < 310


async def test_a_greeting_of_too_many_connections() -> None:
    assert isinstance(await outcome(BadImap(greeting=b"* BYE Too many connections from your IP\r\n")), Waiting)


async def test_sources_of_the_credential_wait_too() -> None:
    async with BadImap(greeting=b"* BYE Too many connections\r\n").serving() as served, driving(served.port) as driver:
        for _ in range(2):
            with pytest.raises(Waiting):
                await driver.check()
        assert len(served.connections) == 1


SECRET = 'correct-horse "battery" ' + "staple" * 60


@pytest.mark.parametrize("capability", ["", " AUTH=PLAIN"])
@pytest.mark.parametrize("cut", [-1, 60])
async def test_a_server_that_repeats_what_it_gets(capability: str, cut: int, caplog: pytest.LogCaptureFixture) -> None:
    """As commands that it does not know; the password is longer than what is shown of its words."""
    caplog.set_level("DEBUG")

    def repeat(writer: asyncio.StreamWriter, tag: bytes) -> None:
        writer.write(tag + b" BAD unknown: " + server.commands[-1].encode()[:cut] + b"\r\n")

    server = BadImap(answers={"CAPABILITY": b"* CAPABILITY IMAP4rev1" + capability.encode() + b"\r\nTAG OK done\r\n"})
    server.answers |= {"LOGIN": repeat, "AUTHENTICATE": b"+ \r\n", "": repeat}
    async with server.serving() as served, driving(served.port, token=SECRET) as driver:
        with pytest.raises(Failed) as error:
            await driver.check()
    words = str(error.value)
    assert "***" in words and len(words) < 300
    shown = words + caplog.text
    assert not any(part in shown for part in ("correct", "battery", "staple", b64encode(b"\0ada\0correct").decode()[2:14]))


async def test_mails_that_the_server_cannot_give_are_a_gap() -> None:
    def answer(writer: asyncio.StreamWriter, tag: bytes) -> None:
        asked = server.commands[-1].split()
        good = server._good("UID FETCH", server.commands[-1].partition(" ")[2].encode())
        bad = "BODY" in server.commands[-1] and 2 in server.uids(" ".join(asked[1:]).encode())
        writer.write((b"TAG NO message can't be converted\r\n" if bad else good).replace(b"TAG", tag))

    server = BadImap(answers={"UID FETCH": answer})
    async with server.serving() as served, driving(served.port) as driver:
        page = await anext(driver.pages(CURSOR))
    assert len(page.payloads) == 2 and page.cursor["uid"] == 3
    at = "2026-03-02T09:00:00.000Z"
    assert page.gap is not None and page.gap == (at, at, "the server can't give 1 of its mails")


async def test_a_passing_refusal_of_a_mail_is_no_gap() -> None:
    def answer(writer: asyncio.StreamWriter, tag: bytes) -> None:
        good = server._good("UID FETCH", server.commands[-1].partition(" ")[2].encode())
        refused = b"TAG NO [SERVERBUG] Internal error occurred\r\n"
        writer.write((refused if "BODY" in server.commands[-1] else good).replace(b"TAG", tag))

    server = BadImap(answers={"UID FETCH": answer})
    found = await outcome(server)
    assert isinstance(found, Failed) and "[SERVERBUG]" in str(found)


async def test_a_mail_that_is_gone_meanwhile_is_left_out() -> None:
    lines = b"* 1 FETCH (UID 1 RFC822.SIZE 9 BODY[]<0> NIL)\r\n* 2 FETCH (FLAGS (\\Seen))\r\n"
    async with BadImap(answers={"UID FETCH": lines + b"TAG OK done\r\n"}).serving() as served, driving(served.port) as driver:
        page = await anext(driver.pages(CURSOR))
        assert page.payloads == [] and page.cursor["uid"] == 2


# --- IDLE -------------------------------------------------------------------------------------------------------------
def idle(*lines: bytes, then: Callable[[asyncio.StreamWriter], None] = lambda writer: None) -> Answer:
    async def answer(writer: asyncio.StreamWriter, tag: bytes) -> None:
        for line in lines:
            writer.write(line.replace(b"TAG", tag))
            await asyncio.sleep(0.05)
        then(writer)

    return answer


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (idle(b"+ idling\r\n", b"* OK Still here\r\n", then=lambda writer: writer.close()), Failed),
        (idle(b"+ idling\r\n", b"* BYE Session expired\r\n"), None),
        (idle(b"TAG BAD no IDLE here\r\n"), None),
        (idle(b"* 3 FETCH (FLAGS ())\r\n", b"+ idling\r\n", b"* BYE so long\r\n"), None),
        (idle(b"+ idling\r\n", b"TAG OK enough\r\n"), Failed),
        (idle(b"+ idling\r\n", b"nonsense\r\n"), Failed),
        (idle(b"+ idling\r\n", b"* 4 EX"), Failed),
    ],
)
async def test_how_idle_ends(answer: Answer, kind: type[SourceError] | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(email_wire, "COMMAND_S", 1.0)
    async with BadImap(answers={"IDLE": answer}).serving() as served, driving(served.port) as driver:
        begun = time.monotonic()
        try:
            await taken(driver.pages({"validity": 7, "uid": 3}))
        except SourceError as error:
            assert type(error) is kind
        else:
            assert kind is None
        assert time.monotonic() - begun < 60


async def test_idle_is_renewed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(email_driver, "RENEW_S", (0.1, 0.2))
    server, tags = BadImap(), list[bytes]()

    def begin(writer: asyncio.StreamWriter, tag: bytes) -> None:
        tags.append(tag)
        writer.write(b"+ idling\r\n")

    def done(writer: asyncio.StreamWriter, tag: bytes) -> None:
        writer.write(tags[-1] + b" OK done\r\n")

    server.answers |= {"IDLE": begin, "DONE": done}
    async with server.serving() as served, driving(served.port) as driver:
        pages = driver.pages({"validity": 7, "uid": 3})
        for _ in range(5):
            assert not (await anext(pages)).payloads
        await pages.aclose()
    assert server.commands.count("DONE") == 4


async def test_news_without_a_mail_for_ever_are_looked_at_each_second(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(email_driver, "REST_S", 0.2)
    server, tags = BadImap(), list[bytes]()

    def begin(writer: asyncio.StreamWriter, tag: bytes) -> None:
        tags.append(tag)
        writer.write(b"+ idling\r\n* 9 EXISTS\r\n")

    server.answers |= {"IDLE": begin, "DONE": lambda writer, tag: writer.write(tags[-1] + b" OK done\r\n")}
    async with server.serving() as served, driving(served.port) as driver:
        pages, begun = driver.pages({"validity": 7, "uid": 3}), time.monotonic()
        for _ in range(5):
            await anext(pages)
        await pages.aclose()
    assert time.monotonic() - begun > 0.5


# --- closing ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", [*COMMANDS, "IDLE", "greeting"])
async def test_closing_ends_the_thread_whatever_it_waits_for(name: str) -> None:
    """`driving` fails if it lives for half a minute more."""
    server = BadImap(answers={name: None}) if name != "greeting" else BadImap(greeting=None)
    async with server.serving() as served, driving(served.port) as driver:
        running = asyncio.create_task(taken(driver.pages(CURSOR)))
        await asyncio.sleep(0.3)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running


async def test_the_size_of_a_mail_may_be_wrong() -> None:
    assert len(MAIL) < 120
    lines = b"".join(b"* %d FETCH (UID %d RFC822.SIZE 1)\r\n" % (uid, uid) for uid in (1, 2, 3))

    def answer(writer: asyncio.StreamWriter, tag: bytes) -> None:
        good = server._good("UID FETCH", server.commands[-1].partition(" ")[2].encode())
        writer.write((good if "BODY" in server.commands[-1] else lines + b"TAG OK done\r\n").replace(b"TAG", tag))

    server = BadImap(answers={"UID FETCH": answer})
    found = await outcome(server)
    assert isinstance(found, tuple) and found[0] == 3
