"""Wire: imaplib's protocol over a connection that stands already, within limits of time and bytes.

imaplib by itself waits for each byte anew, so a server that drips holds it for ever; it reserves as much memory as a server
announces, and keeps what was never asked for.
"""

from __future__ import annotations

import imaplib
import re
import socket
import time
from ast import literal_eval
from contextlib import suppress
from typing import Any, Literal

from imapclient import IMAPClient

from pipeline.listen.states import Failed

COMMAND_S = 60.0
"""From a command to the last byte of its answer; also from the first byte of a line, while news are waited for, to its last."""
ANSWER = 1 << 20
"""Bytes of an answer."""
LONGEST_LITERAL = 4 << 20
LINE, PIECE = 100, 1 << 16
"""A line counts for so many bytes more: it takes memory beside its own."""
Waited = Literal["news", "quiet", "ended", "refused"]


class Broken(Exception):
    """The session can't go on. Unlike imaplib's own error for it, imapclient turns it into no other."""


class Goodbye(Broken):
    """The server ends the session; the text: its words."""


class Wire(imaplib.IMAP4):
    """For one thread. Raises Failed when a limit is passed or the connection ends, Broken, imaplib's error for a refused
    command, OSError."""

    abort = Broken  # type: ignore[assignment]

    def __init__(self, connection: socket.socket) -> None:
        """`connection`: not yet greeted. It is closed if this raises."""
        self._connection = connection
        self._buffer = bytearray()
        self._searched = 0
        """So many bytes of the buffer hold no end of a line."""
        self._deadline, self._left = time.monotonic() + COMMAND_S, ANSWER
        self.news = False
        """Whether the server said that the folder has more mails."""
        super().__init__()

    def begin(self, answer: int = ANSWER) -> None:
        """Before each command: its answer may have so many bytes; what came without a question is forgotten."""
        self._deadline, self._left = time.monotonic() + COMMAND_S, answer
        self.news = self.news or "EXISTS" in self.untagged_responses
        self.untagged_responses.clear()

    def wait_for_news(self, seconds: float) -> Waited:
        """IDLE, for so long at most: `news` once the folder has more mails, `ended` when the server says goodbye, `refused`
        when it knows no IDLE."""
        self.begin()
        with suppress(Goodbye):
            return self._idle(seconds)
        return "ended"

    def _idle(self, seconds: float) -> Waited:
        tag = self._command("IDLE")
        while self._get_response() is not None:
            if self.tagged_commands[tag]:
                return "refused"
        until, self._left = time.monotonic() + seconds, ANSWER
        while "EXISTS" not in self.untagged_responses and not self.news:
            if not self._line_begins(until):
                break
            self._deadline, self._left = time.monotonic() + COMMAND_S, ANSWER
            self._get_response()
            if self.tagged_commands[tag]:
                raise Failed("the server ended IDLE by itself")
            if "EXISTS" not in self.untagged_responses:
                self.untagged_responses.clear()  # flags and signs of life: days of them
        found = self.news or "EXISTS" in self.untagged_responses
        self.begin()
        self.news = False
        self.send(b"DONE\r\n")
        self._command_complete("IDLE", tag)
        return "news" if found else "quiet"

    # --- what imaplib calls -------------------------------------------------------------------------------------------
    def open(self, host: str = "", port: int = 0, timeout: float | None = None) -> None:
        """Takes the connection."""
        self.host, self.port, self.sock = host, port, self._connection

    def read(self, size: int) -> bytes:
        """A literal."""
        if size > LONGEST_LITERAL:
            raise Failed(f"the server announces {size:,} bytes where {LONGEST_LITERAL:,} at most were asked for")
        while len(self._buffer) < size:
            self._fill()
        return self._taken(size)

    def readline(self) -> bytes:
        """A line, its end too."""
        while (end := self._buffer.find(b"\n", self._searched)) < 0:
            self._searched = len(self._buffer)
            self._fill()
        self._left -= LINE
        return self._taken(end + 1)

    def send(self, data: Any) -> None:
        """All of it."""
        self.sock.settimeout(self._time_left())
        self.sock.sendall(data)

    def shutdown(self) -> None:
        """Closes the connection."""
        with suppress(OSError):
            self._connection.close()

    def _get_response(self) -> Any:
        """Raises Goodbye at once: imaplib waits on, for what a server says no more."""
        response = super()._get_response()  # type: ignore[misc]
        if "BYE" in self.untagged_responses:
            raise Goodbye(str(self.untagged_responses["BYE"][-1]))
        return response

    def _log(self, line: str) -> None:
        """Nothing: imaplib would keep the last commands, the login among them."""

    # --- the connection -----------------------------------------------------------------------------------------------
    def _line_begins(self, until: float) -> bool:
        """Waits for the first byte of a line."""
        if not self._buffer:
            with suppress(TimeoutError):
                self._receive(max(until - time.monotonic(), 0.001))
        return bool(self._buffer)

    def _time_left(self) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise Failed(f"the server gave no whole answer within {COMMAND_S:g} s")
        return left

    def _fill(self) -> None:
        with suppress(TimeoutError):  # _time_left names it
            self._receive(self._time_left())

    def _receive(self, seconds: float) -> None:
        self.sock.settimeout(seconds)
        chunk = self.sock.recv(PIECE)
        if not chunk:
            raise Failed("the server closed the connection")
        self._left -= len(chunk)
        if self._left < 0:
            raise Failed("the server's answer is far longer than what was asked for")
        self._buffer += chunk

    def _taken(self, size: int) -> bytes:
        taken = bytes(memoryview(self._buffer)[:size])
        del self._buffer[:size]
        self._searched = 0
        return taken


class Client(IMAPClient):  # type: ignore[misc]  # it has no types
    """imapclient over a wire."""

    def __init__(self, connection: socket.socket) -> None:
        """`connection`: not yet greeted. It is closed if this raises."""
        self._connection = connection
        super().__init__("", 0, ssl=False)
        self.wire.debug = 0  # imapclient has whole mails written into its log
        self.normalise_times = False

    def _create_IMAP4(self) -> Wire:
        self.wire = Wire(self._connection)
        return self.wire

    def _set_read_timeout(self) -> None:
        """The wire has its own limits."""


_BYTES = re.compile(r"""\[?\b(b'(?:[^'\\]|\\.)*'|b"(?:[^"\\]|\\.)*")\]?""")


def said(error: Exception) -> str:
    """The server's words, on one line. They may hold a secret."""
    words = _BYTES.sub(lambda found: str(literal_eval(found[1]), "utf-8", "replace"), str(error))
    return " ".join("".join(each if each.isprintable() else " " for each in words).split())
