"""The keys of sources on networks, each with one account: a channel, a bot, a community, a page."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from pipeline.config.fields import Duration
from pipeline.listen.source import EVERY, Source, also, called
from pipeline.listen.source_fields import Url

Channel = Annotated[
    str,
    StringConstraints(pattern=r"^UC[A-Za-z0-9_-]{22}$"),
    Field(json_schema_extra={"as": "the channel's id, as UC and 22 characters, and not its handle"}),
]


class YouTube(Source):
    platform: Literal["youtube"]
    every: Duration = Field(timedelta(minutes=5), json_schema_extra=also(*EVERY))
    """How often it asks: a poll costs one or two of the key's 10,000 units a day, and one for each page of answers."""
    channel: Channel = Field(json_schema_extra=also("channels", "account", "handle", "id"))
    """Whose videos' comments are heard."""
    server: Url = "https://www.googleapis.com"


class Telegram(Source):
    platform: Literal["telegram"] = Field(json_schema_extra=called("tg"))
    server: Url = Field("https://api.telegram.org", exclude=True)
    """Another one: a Bot API server of your own."""
