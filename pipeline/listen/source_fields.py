"""The types of fields of sources.yaml, each with its mistakes in plain words."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints

from pipeline.config.fields import check_reachable


def _url(schemes: tuple[str, ...], *, path: bool = True, query: bool = True) -> Callable[[str], str]:
    def checked(url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in schemes or not parts.hostname or re.search(r"\s", url):
            raise ValueError(f"it should look like {schemes[0]}://example.com")
        if parts.username is not None:
            raise ValueError("a password is not part of it: name token_env or token_file")
        if not path and parts.path.strip("/"):
            raise ValueError(f"it is that of the server alone: {parts.scheme}://{parts.netloc}")
        if not query and ("?" in url or "#" in url):  # also where nothing follows it: what is put behind it would be no path
            raise ValueError("it has neither ? nor #")
        _ = parts.port  # raises ValueError for one above 65535
        return url.rstrip("/")

    return checked


def _host(host: str) -> str:
    if not re.fullmatch(r"[^\s/:@]+|[0-9a-fA-F:.]+", host):
        raise ValueError("it is a host alone, as imap.example.com; its port is key port")
    return host


def _account(account: str) -> str:
    if "://" in account:
        raise ValueError("it is an id or a handle, as '@acme', and not the URL of a profile")
    return account


def pasted(pattern: str) -> BeforeValidator:
    """An id as people paste it: inside of a link or of a longer name, which `pattern` takes it out of; with blanks around it;
    a number without quotes. Anything else stays as it is, for the checks behind."""

    def taken(value: object) -> object:
        if isinstance(value, bool) or not isinstance(value, (str, int)):
            return value
        text = str(value).strip()
        found = re.fullmatch(pattern, text, re.IGNORECASE)
        return found[1] if found else text

    return BeforeValidator(taken)


def linked(site: str, path: str) -> BeforeValidator:
    """The same, of links to pages of a site whose path is `path`."""
    return pasted(rf"(?:(?:https?://)?(?:[\w-]+\.)*{site})?/?{path}(?:[/?&#].*)?")


Word = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]
Url = Annotated[str, AfterValidator(_url(("https", "http")))]
Site = Annotated[str, AfterValidator(_url(("https", "http"), query=False))]
"""A place below which its pages are."""
Server = Annotated[str, AfterValidator(_url(("https", "http"), path=False, query=False))]
SocketUrl = Annotated[str, AfterValidator(_url(("wss", "ws")))]
Host = Annotated[Word, AfterValidator(_host)]
Reachable = Annotated[Word, AfterValidator(check_reachable)]
Account = Annotated[Word, AfterValidator(_account)]
Variable = Annotated[
    str,
    StringConstraints(pattern=r"^([A-Za-z_][A-Za-z0-9_]*)?$"),
    Field(json_schema_extra={"as": "the name of a variable, as X_TOKEN, without $; never the token itself"}),
]
Subreddit = Annotated[
    str,
    linked(r"reddit\.com", r"r/(\w+)"),
    StringConstraints(pattern=r"^[A-Za-z0-9_]{2,21}$"),
    Field(json_schema_extra={"as": "coffee, without r/ and without the URL"}),
]
RedditName = Annotated[
    str,
    linked(r"reddit\.com", r"u(?:ser)?/([\w-]+)"),
    StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,30}$"),
    Field(json_schema_extra={"as": "otto, without u/"}),
]
AppId = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,100}$"),
    Field(json_schema_extra={"as": "the id that stands under the app's name"}),
]
Did = Annotated[
    str,
    StringConstraints(pattern=r"^did:[a-z]+:[A-Za-z0-9._:%-]+$"),
    Field(json_schema_extra={"as": "a DID, as did:plc:abc234: a handle can change its owner"}),
]
Tag = Annotated[
    str,
    StringConstraints(strip_whitespace=True, pattern=r"^#?[^\s#]{1,500}$"),
    Field(json_schema_extra={"as": "one hashtag, as coffee"}),
]
