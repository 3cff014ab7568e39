"""The driver of e-mail without a listener: what its pages hold."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from itertools import count

from pydantic import SecretStr

from pipeline.http.addresses import Allowed
from pipeline.http.lookups import Resolver
from pipeline.http.outgoing import DIRECT
from pipeline.http.route import Route
from pipeline.listen.api import Api, Limit
from pipeline.listen.driver import Page, Reach
from pipeline.listen.drivers.email import EmailDriver, make
from pipeline.listen.sources_file import Email
from pipeline.listen.timer import Timer
from pipeline.sources.platforms.email import observe
from pipeline.sources.platforms.observation import Observation
from pipeline.sources.platforms.rss_child import FeedParser
from schemas.untyped import JsonObject
from tests.support.imap import PASSWORD, USER
from tests.support.server import client

PATIENCE_S = 60.0
_names = count()


@asynccontextmanager
async def driving(
    port: int, token: str = PASSWORD, lookup: Resolver | None = None, route: Route = DIRECT,
    allow: tuple[str, ...] = ("127.0.0.1",), shared: dict[str, object] | None = None, **keys: object,
) -> AsyncIterator[EmailDriver]:  # fmt: skip
    """A driver of a mailbox at 127.0.0.1, without TLS unless `keys` has it; closed after it, in two seconds at most."""
    name = f"mail{next(_names)}"
    source = Email.model_validate(
        {"name": name, "platform": "email", "host": "127.0.0.1", "port": port, "tls": False, "user": USER, **keys}
    )
    async with client(route, lookup) as out:
        api = Api(out, name, Timer(), Limit(), Allowed.of(allow))
        secrets = {"APP_SECRET": "app-s3cret"}
        beside = frozenset((name,))
        reach = Reach(api, SecretStr(token), Timer(), FeedParser(), {} if shared is None else shared, beside, environ=secrets)
        driver = make(source, reach)
        try:
            async with asyncio.timeout(PATIENCE_S):
                yield driver
        finally:
            await driver.close()
            async with asyncio.timeout(30):
                while any(thread.name.startswith(f"mail {name}_") for thread in threading.enumerate()):
                    await asyncio.sleep(0.01)


async def taken(pages: AsyncGenerator[Page, None], mails: int | None = None) -> tuple[list[bytes], JsonObject]:
    """The mails of the pages until there are so many, and the last cursor; None: until the pages end."""
    found, cursor = list[bytes](), JsonObject()
    async with aclosing(pages):
        async for page in pages:
            found += [each for each in page.payloads if isinstance(each, bytes)]
            cursor = page.cursor
            if mails is not None and len(found) >= mails and not page.payloads:
                break
    return found, cursor


def events(driver: EmailDriver, mails: list[bytes]) -> list[JsonObject]:
    """What the mapper makes of them."""
    return [each.event for mail in mails for each in observe(mail, driver.origin) if isinstance(each, Observation)]
