"""A folder of a mailbox: what a session of IMAP asks and answers. All of it blocks, and is for one thread."""

from __future__ import annotations

import imaplib
import socket
import ssl
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, date, datetime
from typing import NamedTuple

from pipeline.config.document import hint
from pipeline.listen.drivers.email_wire import COMMAND_S, LONGEST_LITERAL, Client, Waited, said
from pipeline.listen.states import Failed

BATCH, BATCH_BYTES = 50, 4 << 20
"""Mails that are fetched at once, and their bytes, unless the first one has more."""
SIZED = 200
"""Mails whose sizes are asked at once."""
UIDS, PARTS = 50_000, 20
"""A search goes over so many UIDs, or over this part of all: its answer is a single line."""
SEARCHED = 4 << 20
_TAKEN = f"BODY.PEEK[]<0.{LONGEST_LITERAL}>"
LogIn = Callable[[Client], None]


class Mail(NamedTuple):
    """What the server says of a mail before it is fetched."""

    uid: int
    size: int
    """In bytes."""
    received: datetime | None
    """When it came into the folder."""


class Folder:
    """The selected folder. Raises Failed, Broken, imaplib's error, OSError."""

    def __init__(self, connection: socket.socket, host: str, tls: ssl.SSLContext | None, log_in: LogIn, folder: str) -> None:
        """`connection`: to the server, with nothing sent yet. It is closed if this raises."""
        try:
            connection.settimeout(COMMAND_S)
            if tls is not None:
                connection = tls.wrap_socket(connection, server_hostname=host)
            self._client = Client(connection)
            self._wire = self._client.wire
            if self._wire.state == "NONAUTH":
                self._wire.begin()
                log_in(self._client)
            self._select(folder)
        except BaseException:
            connection.close()
            raise

    def _select(self, folder: str) -> None:
        self.idles: bool = self._client.has_capability("IDLE")
        self._wire.begin()
        try:
            found = self._client.select_folder(folder, readonly=True)
        except imaplib.IMAP4.error:
            if missing := self._missing(folder):
                raise Failed(missing) from None
            raise
        if b"UIDVALIDITY" not in found:
            raise Failed("the server gives no UIDVALIDITY")
        self.validity: int = found[b"UIDVALIDITY"]
        self.mails: int = found[b"EXISTS"]
        self.next: int = found[b"UIDNEXT"] if b"UIDNEXT" in found else max(self._search("UID *"), default=0) + 1
        """The UID of the next mail that comes."""
        self._wire.begin()
        self._wire.news = False

    def _missing(self, folder: str) -> str:
        """That the folder is not there, with the nearest one; blank if it is there."""
        self._wire.begin()
        names = [str(name) for _, _, name in self._client.list_folders()]
        return "" if folder in names else f"there is no folder {folder!r}{hint(folder, names)}"

    # --- which mails --------------------------------------------------------------------------------------------------
    def newer(self, uid: int) -> tuple[list[int], int | None]:
        """UIDs above `uid`, ascending; and up to which UID that is so, None: there are no more."""
        span = self.next - uid
        end = uid + max(UIDS, span // PARTS) if span > UIDS else None
        found = self._search(f"UID {uid + 1}:{end or '*'}")
        return sorted(each for each in found if each > uid), end

    def older(self, below: int, since: date) -> tuple[list[int], int]:
        """UIDs below `below` of mails that came on or after `since`, descending; and from which UID on that is so."""
        start = max(1, below - max(UIDS, below // PARTS))
        found = self._search(f"UID {start}:{below - 1} SINCE {_day(since)}")
        return sorted((each for each in found if each < below), reverse=True), start

    def first(self, since: date) -> int:
        """The least UID of mails that came on or after `since`; the next UID, if there are none."""
        return min(self._search(f"SINCE {_day(since)}"), default=self.next)

    def _search(self, criteria: str) -> list[int]:
        self._wire.begin(SEARCHED)
        return list(self._client.search(criteria))

    # --- their bytes --------------------------------------------------------------------------------------------------
    def described(self, uids: Sequence[int]) -> list[Mail]:
        """In the order of `uids`; without those that are gone."""
        self._wire.begin()
        found = self._client.fetch(uids, ["RFC822.SIZE", "INTERNALDATE"])
        return [Mail(uid, found[uid].get(b"RFC822.SIZE") or 0, found[uid].get(b"INTERNALDATE")) for uid in uids if uid in found]

    def fetched(self, uids: Sequence[int]) -> tuple[list[bytes], list[int]]:
        """The mails, of each LONGEST_LITERAL bytes at most, as unread as before; and the UIDs of those that the server can't
        give, though it has them. Those that are gone are in neither."""
        try:
            return self._bodies(uids), []
        except imaplib.IMAP4.error as error:
            if is_passing(said(error)):
                raise
        if len(uids) == 1:
            return [], list(uids)
        each = [self.fetched([uid]) for uid in uids]
        return [body for bodies, _ in each for body in bodies], [uid for _, refused in each for uid in refused]

    def _bodies(self, uids: Sequence[int]) -> list[bytes]:
        self._wire.begin(4 * BATCH_BYTES)  # sizes are often a little wrong
        found = self._client.fetch(uids, [_TAKEN])
        bodies = (value for uid in uids for name, value in found.get(uid, {}).items() if name[:5] == b"BODY[")
        return [body for body in bodies if isinstance(body, bytes)]

    def wait(self, seconds: float) -> Waited:
        """Until there are more mails, for so long at most."""
        return self._wire.wait_for_news(seconds)

    def close(self) -> None:
        """Ends the connection."""
        with suppress(OSError):
            self._wire.shutdown()


def batches(mails: Iterable[Mail]) -> Iterator[list[Mail]]:
    """Mails that are fetched at once."""
    batch, bytes_ = list[Mail](), 0
    for mail in mails:
        size = min(mail.size, LONGEST_LITERAL)
        if batch and (len(batch) == BATCH or bytes_ + size > BATCH_BYTES):
            yield batch
            batch, bytes_ = [], 0
        batch.append(mail)
        bytes_ += size
    if batch:
        yield batch


def is_passing(words: str) -> bool:
    """Whether the server refuses for now alone."""
    return any(f"[{code}" in words.upper() for code in ("UNAVAILABLE", "INUSE", "SERVERBUG", "LIMIT", "OVERQUOTA", "THROTTLED"))


def day_of(seconds: float) -> date:
    """In UTC."""
    return datetime.fromtimestamp(seconds, UTC).date()


def _day(day: date) -> str:
    months = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
    return f"{day.day}-{months[day.month - 1]}-{day.year}"
