"""sources.yaml: what a listener listens to. The keys of each platform, their limits, and the credentials that they name.

Credentials are never in the file: `token_env` names a variable of the environment, `token_file` a file.
"""

from __future__ import annotations

from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from pipeline.config import document
from pipeline.config.document import StrictModel
from pipeline.config.fields import Duration
from pipeline.listen.social_sources import LinkedIn, Telegram, Vk, YouTube
from pipeline.listen.source import EVERY, Cost, Source, also, called
from pipeline.listen.source_fields import (
    AppId,
    Did,
    Host,
    RedditName,
    Server,
    Site,
    SocketUrl,
    Subreddit,
    Tag,
    Url,
    Variable,
    Word,
)
from pipeline.listen.sources_helpdesk import Freshdesk
from pipeline.listen.sources_meta import Facebook, Instagram
from pipeline.listen.sources_reviews import AppStore, GooglePlay

MOST_SOURCES = 10_000
_LIST = "a list: - {name: blog, platform: rss, url: ...}"


class Twitter(Source):
    platform: Literal["twitter"] = Field(json_schema_extra=called("x", "x.com"))
    query: Annotated[Word, StringConstraints(max_length=1024)] = Field(json_schema_extra=also("search", "account", "handle"))
    """As X's search takes it."""
    stream: bool = Field(True, exclude=True)
    """The filtered stream, and recent search for its gaps; else recent search alone."""
    spend: float | None = Field(None, gt=0, le=1e9, exclude=True, json_schema_extra=also("max_spend", "monthly", "cost"))
    """US dollars that it may cost in a month (UTC); then it waits for the next one. None given: no end."""
    price: float = Field(0.005, gt=0, le=1_000, exclude=True)
    """US dollars that X bills for a post."""
    server: Url = "https://api.x.com"

    @model_validator(mode="after")
    def _some_posts(self) -> Self:
        if self.spend is not None and self.spend < 10 * self.price:
            raise ValueError(f"spend: X gives ten posts at least, which cost {10 * self.price:g}")
        return self

    @property
    def cost(self) -> Cost:
        """Of the posts that X delivers."""
        return Cost("USD", self.price, self.spend)


class Reddit(Source):
    wanted: ClassVar[tuple[str, ...]] = ("subreddits", "query")
    platform: Literal["reddit"]
    subreddits: tuple[Subreddit, ...] = ()
    """Without r/."""
    query: Word | None = None
    """A search over all of Reddit."""
    comments: bool = True
    """false: submissions alone."""
    client_id: AppId = Field(exclude=True)
    """Of the app that Reddit approved; its secret is the token."""
    contact: RedditName | None = Field(None, exclude=True)
    """The account at Reddit of whoever is responsible: Reddit wants it in the User-Agent. Another one begins nothing anew."""
    server: Url = "https://oauth.reddit.com"
    login: Url = Field("https://www.reddit.com", exclude=True)

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.subreddits and self.query is None:
            raise ValueError("name subreddits, a query or both")
        return self


class Mastodon(Source):
    platform: Literal["mastodon"] = Field(json_schema_extra=called("fediverse"))
    server: Server = Field(json_schema_extra=also("instance", "url", "host"))
    """As https://mastodon.social."""
    timeline: Literal["public", "local", "tag", "home"] = "public"
    """All that the server knows, its own accounts, a hashtag, or what one's account follows."""
    tag: Tag | None = Field(None, json_schema_extra=also("hashtag"))
    """With timeline: tag, without #."""

    @model_validator(mode="after")
    def _tagged(self) -> Self:
        if (self.timeline == "tag") != (self.tag is not None):
            raise ValueError("timeline: tag and the key tag belong together")
        return self


class Bluesky(Source):
    platform: Literal["bluesky"] = Field(json_schema_extra=called("bsky", "jetstream"))
    accounts: tuple[Did, ...] = Field((), max_length=10_000, json_schema_extra=also("account", "handles", "dids"))
    """Their DIDs; none given: all."""
    server: SocketUrl = "wss://jetstream2.us-east.bsky.network"
    version: Literal[1, 2] = Field(1, exclude=True)
    """Of Jetstream's protocol."""


class Rss(Source):
    platform: Literal["rss"] = Field(json_schema_extra=called("atom", "feed", "jsonfeed", "blog"))
    every: Duration = Field(timedelta(minutes=5), json_schema_extra=also(*EVERY))
    """How often it asks, unless the feed names a longer time (Cache-Control: max-age, up to an hour)."""
    url: Url = Field(json_schema_extra=also("feed", "link", "site"))
    """Of a feed, or of a page that names one."""


class Discourse(Source):
    platform: Literal["discourse"] = Field(json_schema_extra=called("forum"))
    url: Site = Field(json_schema_extra=also("server", "forum", "host"))
    """Of the forum."""
    user: Word | None = None
    """To whom the token belongs."""


class OAuth(StrictModel):
    """A refresh token, which the token is, for IMAP logins."""

    url: Url
    """Where an access token is fetched: Google's or Microsoft's."""
    client_id: Word
    client_secret_env: Variable = Field("", json_schema_extra=also("client_secret", "secret"))
    """The variable with the app's secret; blank: it has none."""
    scope: str = ""
    """What the access token is for; blank: all that the refresh token is for."""


class Email(Source):
    """New mails come at once where the server has IDLE, else each `every`."""

    platform: Literal["email"] = Field(json_schema_extra=called("imap", "gmail", "mail", "outlook"))
    host: Host = Field(json_schema_extra=also("server", "imap", "url"))
    """Of the IMAP server."""
    port: int = Field(993, ge=1, le=65535, exclude=True)
    tls: bool = Field(True, exclude=True)
    """false: the password goes over the network as it is."""
    user: Word = Field(json_schema_extra=also("login", "email", "address", "account"))
    """To whom the token belongs. If it is an address, mails from it are outbound."""
    folder: Word = "INBOX"
    """One folder a source."""
    oauth: OAuth | None = Field(None, exclude=True)
    """None: the token is a password."""


AnySource = Annotated[
    Twitter | Reddit | Mastodon | Bluesky | Rss | Discourse | Email
    | YouTube | Telegram | Vk | LinkedIn
    | Facebook | Instagram
    | GooglePlay | AppStore | Freshdesk,
    Field(discriminator="platform"),
]  # fmt: skip


class Sources(StrictModel):
    """The file."""

    sources: tuple[AnySource, ...] = Field(max_length=MOST_SOURCES, json_schema_extra={"as": _LIST})

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        names: dict[str, int] = {}
        for number, source in enumerate(self.sources):
            if (first := names.setdefault(source.name, number)) != number:
                raise ValueError(f"sources.{first} and sources.{number} are both named {source.name}")
        return self

    @cached_property
    def by_credential(self) -> dict[str, list[AnySource]]:
        """The sources of each credential, in the order of the file."""
        found: dict[str, list[AnySource]] = {}
        for source in self.sources:
            found.setdefault(source.credential, []).append(source)
        return found


def load_sources(path: Path) -> Sources:
    """Reads sources.yaml. Raises SettingsError with one line that names the file, the source and the key."""
    return document.load(path, Sources)


def parse_sources(content: bytes, path: Path) -> Sources:
    """The sources in the content of `path`. Raises as `load_sources`."""
    return document.parse(content, path, Sources)
