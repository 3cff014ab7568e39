"""The keys of sources on networks, each with one account: a channel, a bot, a community, a page."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from pipeline.config.fields import Duration
from pipeline.listen.source import EVERY, Source, also, called
from pipeline.listen.source_fields import Url, Variable, linked

Channel = Annotated[
    str,
    linked(r"youtube\.com", r"channel/(UC[\w-]{22})"),
    StringConstraints(pattern=r"^UC[A-Za-z0-9_-]{22}$"),
    Field(json_schema_extra={"as": "the channel's id, as UC and 22 characters, and not its handle"}),
]

Community = Annotated[
    int,
    linked(r"vk\.(?:com|ru)", r"(?:club|public|event|-)(\d+)"),
    Field(json_schema_extra={"as": "its number, as 1234 of club1234, and not its name"}),
]
CompanyPage = Annotated[
    int,
    linked(r"linkedin\.com", r"(?:company|showcase|school)/(\d+)"),
    Field(json_schema_extra={"as": "its number, as 1234 of linkedin.com/company/1234/admin, and not its name"}),
]


class YouTube(Source):
    platform: Literal["youtube"] = Field(json_schema_extra=called("yt"))
    every: Duration = Field(timedelta(minutes=5), json_schema_extra=also(*EVERY))
    """How often it asks: a poll costs one or two of the key's 10,000 units a day, and one for each page of answers."""
    channel: Channel = Field(json_schema_extra=also("channels", "account", "handle", "id"))
    """Whose videos' comments are heard."""
    server: Url = "https://www.googleapis.com"


class Telegram(Source):
    platform: Literal["telegram"] = Field(json_schema_extra=called("tg"))
    server: Url = Field("https://api.telegram.org", exclude=True)
    """Another one: a Bot API server of your own."""


class Vk(Source):
    platform: Literal["vk"] = Field(json_schema_extra=called("vkontakte"))
    group: Community = Field(gt=0, lt=10**12, json_schema_extra=also("community", "group_id", "account", "id"))
    """The community's number, as 1234 of club1234."""
    wall_token_env: Variable = Field("", exclude=True)
    """The variable with the service key of an app: it reads the wall's past, which a community's key may not."""
    server: Url = Field("https://api.vk.ru", exclude=True)
    """Of the API; https://api.vk.com is the same."""


class LinkedIn(Source):
    platform: Literal["linkedin"] = Field(json_schema_extra=called("li"))
    every: Duration = Field(timedelta(minutes=5), json_schema_extra=also(*EVERY))
    """How often it asks: an app's requests of a day are few."""
    page: CompanyPage = Field(
        gt=0, lt=10**12, json_schema_extra=also("organization", "organisation", "company", "account", "id")
    )
    """The number of the page, as linkedin.com/company/1234/admin shows it."""
    version: Annotated[str, StringConstraints(pattern=r"^20\d{4}$")] = Field("202610", exclude=True)
    """Of LinkedIn's API, a year and a month; each ends after a year."""
    server: Url = Field("https://api.linkedin.com", exclude=True)
