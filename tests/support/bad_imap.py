"""An IMAP server that does what no good one does: a conversation with lines of a test's own in it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field

from tests.support.server import Served, talking

MAIL = b"From: Ada <ada@mail.example>\r\nDate: Mon, 2 Mar 2026 10:00:00 +0100\r\nMessage-ID: <%d@mail.example>\r\n\r\nCold.\r\n"
Answer = bytes | None | Callable[[asyncio.StreamWriter, bytes], object]
"""Lines, in which TAG stands for the command's tag; without its end if they do not hold one. None: nothing, for ever."""


@dataclass
class BadImap:
    """A folder with `mails` mails, UIDs 1 to `mails`. `answers`: by command, instead of a good server's."""

    mails: int = 3
    answers: dict[str, Answer] = field(default_factory=dict)
    greeting: bytes | None = b"* OK hello\r\n"
    commands: list[str] = field(default_factory=list)
    """All that came, a line each."""

    def serving(self) -> AbstractAsyncContextManager[Served]:
        """Runs inside `async with`; its value has the port."""
        return talking(self._talk)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.greeting is None:
            await asyncio.Event().wait()
        writer.write(self.greeting or b"")
        while line := await reader.readline():
            self.commands.append(line.decode().strip())
            tag, _, rest = line.strip().partition(b" ")
            words = rest.upper().split()
            name = b" ".join(words[:2] if words and words[0] == b"UID" else words[:1]).decode()
            name = "DONE" if tag == b"DONE" else name
            answer = self.answers.get(name, self._good(name, rest))
            if answer is None:
                await asyncio.Event().wait()
            elif callable(answer):
                result = answer(writer, tag)
                if asyncio.iscoroutine(result):
                    await result
            else:
                writer.write(answer.replace(b"TAG", tag))
            await writer.drain()
            if writer.is_closing():
                return

    def _good(self, name: str, rest: bytes) -> bytes:
        done = b"TAG OK done\r\n"
        if name == "CAPABILITY":
            return b"* CAPABILITY IMAP4rev1 IDLE AUTH=PLAIN\r\n" + done
        if name == "AUTHENTICATE":
            return b"+ \r\nTAG OK done\r\n"
        if name == "EXAMINE":
            return b"* %d EXISTS\r\n* OK [UIDVALIDITY 7] ok\r\n* OK [UIDNEXT %d] ok\r\n" % (self.mails, self.mails + 1) + done
        if name == "UID SEARCH":
            return b"* SEARCH %s\r\n" % b" ".join(b"%d" % uid for uid in self.uids(rest)) + done
        if name == "UID FETCH":
            return b"".join(self._fetched(uid, b"BODY" in rest) for uid in self.uids(rest)) + done
        if name == "IDLE":
            return b"+ idling\r\n"
        return done if name != "" else b""

    def uids(self, rest: bytes) -> list[int]:
        """Those that the command names."""
        words = rest.split()
        found = set[int]()
        for each in (words[3] if words[1].upper() == b"SEARCH" else words[2]).split(b","):
            first, _, last = each.partition(b":")
            end = self.mails if last == b"*" else int(last or first)
            found |= {*range(min(int(first), end), min(max(int(first), end), self.mails) + 1)}
        return sorted(found)

    def _fetched(self, uid: int, body: bool) -> bytes:
        if not body:
            return b'* %d FETCH (UID %d RFC822.SIZE 120 INTERNALDATE "02-Mar-2026 10:00:00 +0100")\r\n' % (uid, uid)
        mail = MAIL % uid
        return b"* %d FETCH (UID %d BODY[]<0> {%d}\r\n%s)\r\n" % (uid, uid, len(mail), mail)
