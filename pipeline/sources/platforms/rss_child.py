"""Feeds are parsed in a child process with limits: a hostile or broken document ends as an error of its feed alone.

A document's limits are those of rss_child_main.py (memory, processor time) and rss_document.py (bytes). A child that dies or
does not answer is replaced, and the next document parses again. Children get no environment, so no credentials, and end with
this process: their input does.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from asyncio.subprocess import PIPE
from contextlib import suppress

import orjson

from pipeline.sources.platforms.observation import Unreadable
from pipeline.sources.platforms.rss_child_main import ANSWER, OUT_OF_MEMORY, REQUEST, processor_seconds
from pipeline.sources.platforms.rss_document import HtmlPage, check_size
from schemas.untyped import JsonObject

LARGE = 256 << 10
"""A document over this many bytes gets a child of its own, which ends after it: others don't wait for it."""
MEMORY_MB, MEMORY_LARGE_MB = 160, 768
PATIENCE = 20.0
"""An answer comes within this many times the limit of processor time, also on a busy machine."""
_COMMAND = [sys.executable, "-I", "-W", "ignore", "-m", "pipeline.sources.platforms.rss_child_main"]


class FeedParser:
    """Parses documents of feeds: small ones in one long-lived child, large ones each in a child of its own, one at a time.

    For one event loop. The first document starts the child. Restart: nothing is kept.
    """

    def __init__(self) -> None:
        self._child = _Child(MEMORY_MB)
        self._small, self._large = asyncio.Lock(), asyncio.Lock()

    async def parse(self, document: bytes, base: str) -> JsonObject:
        """The feed as rss_document.py has it; `base`: the document's address. Raises Unreadable with a reason (HtmlPage, with
        the feeds that it offers, for a page), OSError if no child starts."""
        check_size(document)
        if len(document) <= LARGE:
            async with self._small:
                return await self._child.parse(document, base)
        async with self._large:
            child = _Child(MEMORY_LARGE_MB)
            try:
                return await child.parse(document, base)
            finally:
                await child.end()

    async def close(self) -> None:
        """Ends the child; a later `parse` starts another."""
        await self._child.end()


class _Child:
    """One child, which `parse` starts where none runs."""

    def __init__(self, memory_mb: int) -> None:
        self._memory_mb = memory_mb
        self._process: asyncio.subprocess.Process | None = None

    async def parse(self, document: bytes, base: str) -> JsonObject:
        fresh, patience = self._process is None, PATIENCE * processor_seconds(len(document))
        try:
            async with asyncio.timeout(patience):
                return _read(*await self._ask(document, base.encode()))
        except (EOFError, ConnectionError):
            code = await self._ended()
        except TimeoutError:
            await self.end()
            raise Unreadable(f"a feed that takes over {patience:.0f} s to parse") from None
        except asyncio.CancelledError:  # its answer would be taken for that to the next document
            await self.end()
            raise
        if fresh or code == -signal.SIGPROF:
            raise Unreadable(self._reason(code, len(document)))
        return await self.parse(document, base)  # in a fresh child: others may have ended this one, or taken its memory

    async def end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def _ask(self, document: bytes, base: bytes) -> tuple[bool, bytes]:
        if self._process is None:
            self._process = await asyncio.create_subprocess_exec(
                *_COMMAND, str(self._memory_mb), stdin=PIPE, stdout=PIPE, env={}, start_new_session=True
            )
        requests, answers = self._process.stdin, self._process.stdout
        assert requests is not None and answers is not None
        requests.write(REQUEST.pack(len(base), len(document)) + base)
        requests.write(document)
        await requests.drain()
        found, length = ANSWER.unpack(await answers.readexactly(ANSWER.size))
        return found, await answers.readexactly(length)

    async def _ended(self) -> int:
        """The exit code of a process whose output ended."""
        process = self._process
        assert process is not None
        with suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), 5)
        await self.end()
        return process.returncode or 0

    def _reason(self, code: int, length: int) -> str:
        if code == -signal.SIGPROF:
            return f"a feed that takes over {processor_seconds(length):.1f} s of a processor to parse"
        if code == OUT_OF_MEMORY:
            return f"a feed that takes over {self._memory_mb} MB of memory to parse"
        return f"a feed that ends its parser by {f'signal {signal.Signals(-code).name}' if code < 0 else f'exit code {code}'}"


def _read(found: bool, answer: bytes) -> JsonObject:
    value: JsonObject = orjson.loads(answer)
    if found:
        return value
    raise Unreadable(value["reason"]) if value["feeds"] is None else HtmlPage(value["feeds"])
