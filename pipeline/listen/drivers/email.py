"""E-mail, by IMAP: new mails of one folder, at once where the server has IDLE, else by polls. A mail stays as unread as it was.

The cursor: `validity` (UIDVALIDITY), `uid`, up to which mails were sent, and `day`, when the folder was last looked at. Where a
server gives new UIDs, it starts again with the mails that came since that day. Of those that were sent already, changes.py
knows the newest 6,000 by their Message-IDs; mails beyond them are creates again, which the workers' dedup takes for
redeliveries. That of the back-fill: `validity` and `below`, down to which UID mails were sent.

A mail that leaves the folder is no delete: its author took nothing back.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, date, timedelta
from functools import partial
from random import uniform
from typing import TypeVar

from pipeline.http.failures import NoAnswer, OutgoingError, TimedOut
from pipeline.http.failures import named as named_outgoing
from pipeline.listen.api import failed
from pipeline.listen.driver import Gap, Page, Reach
from pipeline.listen.drivers.email_folder import SIZED, Folder, Mail, batches, day_of
from pipeline.listen.drivers.email_login import Logins, access_token, by_password, by_token, named, written
from pipeline.listen.sources_file import Email
from pipeline.listen.states import NoCredentials, SourceError
from pipeline.listen.timer import text_of
from pipeline.monitoring import source_metrics
from pipeline.sources.platforms.observation import Origin
from schemas.times import rfc3339
from schemas.untyped import JsonObject

CONNECT_S = 10.0
RENEW_S = (300.0, 540.0)
"""IDLE is renewed after a time between these: servers end it after ten minutes and more."""
SOON_S = 2.0
"""The same after new mails, so that the runner can write how far it is."""
REST_S = 1.0
"""After news without a mail."""
_KEEP_ALIVE = (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 4))
T = TypeVar("T")


class EmailDriver:
    """A folder of a mailbox, over one connection and one thread."""

    def __init__(self, source: Email, reach: Reach) -> None:
        self._source, self._reach = source, reach
        self.origin = Origin(source.host, source.own_accounts() | {source.user.lower()})
        self._thread = ThreadPoolExecutor(1, f"mail {source.name}")
        self._plug: socket.socket | None = None
        """The same connection: its end wakes the thread."""
        self._folder: Folder | None = None
        self._secrets = written(source.user, reach.token.get_secret_value())
        self._ends = ""
        """When the refresh token ends; blank: not known."""

    # --- pages --------------------------------------------------------------------------------------------------------
    async def pages(self, cursor: JsonObject) -> AsyncGenerator[Page, None]:
        """Mails as they come; where the server has no IDLE, those that came since. On trial, the newest mail."""
        folder = await self._opened()
        if self._reach.beside is None:
            async for page in self._newest(folder):
                yield page
            return
        cursor = await self._placed(folder, cursor)
        woken = False
        while True:
            found = False
            async for page in self._news(folder, cursor):
                cursor, found = page.cursor, True
                yield page
            cursor = {**cursor, "day": day_of(self._reach.timer.now()).isoformat()}
            yield Page([], cursor)
            if not folder.idles:
                return
            if woken and not found:
                await self._reach.timer.sleep(REST_S)
            waited = await self._do(partial(folder.wait, SOON_S if found else uniform(*RENEW_S)))
            if waited in ("ended", "refused"):
                return
            woken = waited == "news"

    async def _newest(self, folder: Folder) -> AsyncGenerator[Page, None]:
        if folder.mails:
            uids, _ = await self._do(partial(folder.older, folder.next, date(1970, 1, 1)))
            if batch := await self._do(partial(folder.described, uids[:1])):
                yield await self._page(folder, batch, {})

    async def _placed(self, folder: Folder, cursor: JsonObject) -> JsonObject:
        """The cursor in the folder as it is: of a first start, before the next mail."""
        if not cursor:
            return {"validity": folder.validity, "uid": folder.next - 1}
        if cursor["validity"] == folder.validity and cursor["uid"] < folder.next:
            return cursor
        since = date.fromisoformat(cursor["day"]) if "day" in cursor else day_of(self._reach.timer.now())
        first = await self._do(partial(folder.first, since - timedelta(days=1)))
        return {**cursor, "validity": folder.validity, "uid": first - 1}

    async def _news(self, folder: Folder, cursor: JsonObject) -> AsyncGenerator[Page, None]:
        end: int | None = cursor["uid"]
        while end is not None:
            uids, end = await self._do(partial(folder.newer, cursor["uid"]))
            for at in range(0, len(uids), SIZED):
                mails = await self._do(partial(folder.described, uids[at : at + SIZED]))
                for batch in batches(mails):
                    cursor = {**cursor, "uid": batch[-1].uid}
                    yield await self._page(folder, batch, cursor)
            if end is not None:
                cursor = {**cursor, "uid": end}
                yield Page([], cursor)

    async def backfill(self, cursor: JsonObject, since: float) -> AsyncGenerator[Page, None]:
        """Mails that came into the folder since then, the newest UIDs first."""
        folder = await self._opened()
        if cursor.get("validity") != folder.validity:
            cursor = {"validity": folder.validity, "below": folder.next}
        while cursor["below"] > 1:
            uids, start = await self._do(partial(folder.older, cursor["below"], day_of(since) - timedelta(days=1)))
            for at in range(0, len(uids), SIZED):
                mails = await self._do(partial(folder.described, uids[at : at + SIZED]))
                for batch in batches(mail for mail in mails if mail.received is None or mail.received.timestamp() >= since):
                    cursor = {**cursor, "below": batch[-1].uid}
                    yield await self._page(folder, batch, cursor)
            cursor = {**cursor, "below": start}
            yield Page([], cursor)

    async def _page(self, folder: Folder, batch: Sequence[Mail], cursor: JsonObject) -> Page:
        bodies, refused = await self._do(partial(folder.fetched, [mail.uid for mail in batch]))
        gap = None
        if refused:
            times = [rfc3339(mail.received.astimezone(UTC)) for mail in batch if mail.uid in refused and mail.received]
            gap = Gap(min(times, default=""), max(times, default=""), f"the server can't give {len(refused)} of its mails")
        return Page([*bodies], cursor, gap)

    async def check(self) -> str:
        """Logs in and selects the folder."""
        folder, source = await self._opened(), self._source
        way = "new ones come at once" if folder.idles else f"it has no IDLE, so new ones come each {source.every}"
        ends = f"; the refresh token ends {self._ends}: log in again before" if self._ends else ""
        return f"logged in as {source.user} at {source.host}: folder {source.folder} has {folder.mails:,} mails; {way}{ends}"

    # --- the connection -----------------------------------------------------------------------------------------------
    async def _opened(self) -> Folder:
        if self._folder is None:
            api, source = self._reach.api, self._source
            api.limit.check(self._reach.timer.now())
            logins = self._reach.shared.setdefault(f"mail {source.host} {source.user}", Logins())
            assert isinstance(logins, Logins)
            async with logins.turn(self._reach.token.get_secret_value(), self._reach.timer):
                await self._open()
        assert self._folder is not None
        return self._folder

    async def _open(self) -> None:
        api, source = self._reach.api, self._source
        log_in = await self._login()
        try:
            addresses = await api.client.addresses(source.host, api.allow)
            tls = api.client.tls if source.tls else None
            connection = await connected(addresses, source.port)
        except OutgoingError as error:
            raise api.counted(failed(error)) from None
        self._plug = connection.dup()

        def opened() -> None:
            self._folder = Folder(connection, source.host, tls, log_in, source.folder)

        await self._do(opened)

    async def _login(self) -> Callable[..., None]:
        token, source = self._reach.token.get_secret_value(), self._source
        if source.oauth is None:
            return by_password(source.user, token)
        access = await access_token(self._reach.api, source.oauth, token, self._reach.environ)
        self._secrets += written(source.user, access.token)
        if access.refresh_lasts_s is not None:
            self._ends = text_of(self._reach.timer.now() + access.refresh_lasts_s)
        return by_token(source.user, access.token)

    async def _do(self, work: Callable[[], T]) -> T:
        """On the thread. Raises SourceError."""
        try:
            result = await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except SourceError as error:
            raise self._reach.api.counted(error) from None
        except Exception as error:
            raise self._reach.api.counted(named(error, self._secrets, self._reach.timer.now())) from None
        source_metrics.REQUESTS.labels(self._source.name, "ok").inc()
        return result

    async def close(self) -> None:
        """Ends the connection, and so the thread, whatever it waits for."""
        if self._plug is not None:
            with suppress(OSError):
                self._plug.shutdown(socket.SHUT_RDWR)
            self._plug.close()
            self._thread.submit(self._end)
        self._thread.shutdown(wait=False)

    def _end(self) -> None:
        if self._folder is not None:
            self._folder.close()


async def connected(addresses: Sequence[str], port: int) -> socket.socket:
    """A connection to the first address that takes one. Raises NoAnswer."""
    failure: OutgoingError | None = None
    for address in addresses:
        connection = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
        try:
            connection.setblocking(False)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for name, value in _KEEP_ALIVE:
                connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
            async with asyncio.timeout(CONNECT_S):
                await asyncio.get_running_loop().sock_connect(connection, (address, port))
            return connection
        except TimeoutError:
            connection.close()
            failure = TimedOut(f"no connection within {CONNECT_S:g} s")
        except OSError as error:
            connection.close()
            failure = named_outgoing(error)
        except BaseException:
            connection.close()
            raise
    raise failure or NoAnswer("its name has no address")


def make(source: Email, reach: Reach) -> EmailDriver:
    """The driver of a mailbox. Raises NoCredentials where the source names no token."""
    if not reach.token.get_secret_value():
        raise NoCredentials("name the password, or with oauth the refresh token, by token_env or token_file")
    return EmailDriver(source, reach)
