"""Hostile feeds end as an error of their own: the child that parses them has limits, and is replaced."""

from __future__ import annotations

import asyncio
import gc
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable

import psutil
import pytest

from pipeline.sources.platforms import rss_child
from pipeline.sources.platforms.observation import Unreadable
from pipeline.sources.platforms.rss_child import LARGE, FeedParser
from pipeline.sources.platforms.rss_document import MOST_BYTES, HtmlPage
from schemas.untyped import JsonObject

pytestmark = pytest.mark.slow

BASE = "https://blog.example.org/feed.xml"
GOOD = b"<rss version='2.0'><channel><title>T</title><item><guid>1</guid><title>Tea</title></item></channel></rss>"
ENTRY: list[JsonObject] = [{"id": "1", "text": "Tea"}]
LAUGHS = "".join(f"<!ENTITY a{n} '{f'&a{n - 1};' * 10}'>" for n in range(1, 20))


def feed(inside: str, doctype: str = "") -> bytes:
    return f"<?xml version='1.0'?>\n{doctype}<rss version='2.0'><channel><item>{inside}</item></channel></rss>".encode()


BLOW_UP = f'<!DOCTYPE rss [\n<!ENTITY a "{"a" * 60_000}">\n]>'
BOMBS: dict[str, tuple[bytes, str | None]] = {  # each with its reason; None: some end at a limit, others are harmless
    "billion laughs": (feed("<title>&a19;</title>", f"<!DOCTYPE rss [<!ENTITY a0 'ha'>{LAUGHS}]>"), None),
    "quadratic blow-up": (feed(f"<title>{'&a;' * 60_000}</title>", BLOW_UP), "160 MB of memory"),
    "blow-up of broken XML": (feed(f"<b><title>{'&a;' * 60_000}</title>", BLOW_UP), "160 MB of memory"),
    "a file of this machine": (feed("<title>&x;</title>", '<!DOCTYPE rss [<!ENTITY x SYSTEM "file:///etc/passwd">]>'), None),
    "deep nesting": (feed("<a>" * 80_000), None),
    "deep HTML": (feed(f"<description><![CDATA[{'<div>' * 45_000}]]></description>"), None),
    "categories": (feed("".join(f"<category>{n}</category>" for n in range(20_000))), "of a processor"),
    "attributes": (feed("<a " + " ".join(f"a{n}='1'" for n in range(20_000)) + "/>"), None),
    "open brackets": (feed("<" * 200_000), None),
    "references": (feed("&" * 200_000), None),
    "deep JSON": (b'{"version": "https://jsonfeed.org/version/1", "items": ' + b"[" * 200_000, "broken JSON"),
    "an archive": (b"\x1f\x8b\x08" + b"\x00\xff" * 100_000, "neither RSS"),
}


def run(work: Callable[[FeedParser], Awaitable[None]]) -> None:
    async def inside() -> None:
        parser = FeedParser()
        try:
            await work(parser)
        finally:
            await parser.close()

    asyncio.run(inside())
    gc.collect()  # a pipe left open is an error here


async def entries(parser: FeedParser, document: bytes = GOOD) -> object:
    return (await parser.parse(document, BASE))["entries"]


def child(parser: FeedParser) -> psutil.Process:
    process = parser._child._process
    assert process is not None
    return psutil.Process(process.pid)


def test_feeds_are_parsed_in_one_child() -> None:
    async def work(parser: FeedParser) -> None:
        found = await parser.parse(GOOD, BASE)
        assert found == {"format": "rss20", "host": "blog.example.org", "entries": ENTRY}
        pid = child(parser).pid
        assert await asyncio.gather(*(entries(parser) for _ in range(20))) == [ENTRY] * 20
        assert child(parser).pid == pid

    run(work)


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_bomb_ends_as_an_error_of_its_own(bomb: str) -> None:
    document, reason = BOMBS[bomb]

    async def work(parser: FeedParser) -> None:
        other = asyncio.create_task(entries(parser)) if len(document) > LARGE else None
        try:
            found = await parser.parse(document, BASE)
            assert reason is None and "root:" not in str(found)
        except Unreadable as error:
            assert reason is None or reason in str(error)
        assert await entries(parser) == ENTRY
        assert other is None or await other == ENTRY

    run(work)


def test_a_feed_of_200_mb_is_refused() -> None:
    async def work(parser: FeedParser) -> None:
        with pytest.raises(Unreadable, match="a document of 200 MB"):
            await parser.parse(bytes(200 << 20), BASE)
        with pytest.raises(Unreadable, match="neither RSS"):
            await parser.parse(b" words" * (MOST_BYTES // 6), BASE)
        assert await entries(parser) == ENTRY

    run(work)


def test_a_large_feed_is_parsed_while_small_ones_are() -> None:
    items = 4_100
    large = GOOD.replace(b"</item>", b"</item>" + b"<item><title>%s</title></item>" % (b"a" * (LARGE // items)) * items)

    async def work(parser: FeedParser) -> None:
        before = set(psutil.Process().children())
        slow = asyncio.create_task(entries(parser, large))
        assert await entries(parser) == ENTRY and not slow.done()
        assert len(await slow) == 4_000  # type: ignore[arg-type]
        assert set(psutil.Process().children()) - before == {child(parser)}

    run(work)


def test_a_page_names_its_feeds() -> None:
    page = b"<html><link rel=alternate type=application/rss+xml href=/all.xml></html>"

    async def work(parser: FeedParser) -> None:
        with pytest.raises(HtmlPage, match="it offers https://blog.example.org/all.xml") as caught:
            await parser.parse(page, BASE)
        assert caught.value.feeds == ["https://blog.example.org/all.xml"]

    run(work)


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGSEGV])
def test_a_child_that_ended_between_documents_is_replaced(end: signal.Signals) -> None:
    async def work(parser: FeedParser) -> None:
        await entries(parser)
        child(parser).send_signal(end)
        assert await entries(parser) == ENTRY

    run(work)


def test_a_child_that_does_not_answer_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work(parser: FeedParser) -> None:
        await entries(parser)
        child(parser).suspend()
        monkeypatch.setattr(rss_child, "PATIENCE", 1)
        with pytest.raises(Unreadable, match="takes over"):
            await entries(parser)
        monkeypatch.undo()
        assert await entries(parser) == ENTRY

    run(work)


def test_a_parse_that_is_cancelled_leaves_no_answer_behind() -> None:
    other = GOOD.replace(b"Tea", b"Coffee")

    async def work(parser: FeedParser) -> None:
        await entries(parser)
        child(parser).suspend()
        task = asyncio.create_task(entries(parser, other))
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await entries(parser) == ENTRY

    run(work)


def test_a_child_is_small_and_knows_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_TOKEN", "placeholder")

    async def work(parser: FeedParser) -> None:
        await entries(parser)
        process = child(parser)
        times = process.cpu_times()
        assert process.memory_info().rss < 60 << 20 and times.user + times.system < 5
        assert "A_TOKEN" not in process.environ()

    run(work)


def test_a_child_ends_with_its_parent() -> None:
    program = (
        "import asyncio\nfrom pipeline.sources.platforms.rss_child import FeedParser\n"
        f"async def main():\n    parser = FeedParser()\n    await parser.parse({GOOD!r}, '')\n"
        "    print(parser._child._process.pid, flush=True)\n    await asyncio.sleep(60)\nasyncio.run(main())"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert psutil.pid_exists(pid)
        parent.kill()
    deadline = time.monotonic() + 20
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        time.sleep(0.05)
