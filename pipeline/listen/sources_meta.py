"""The keys of sources of the Graph API: Facebook and Instagram."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from pipeline.config.fields import Duration
from pipeline.listen.source import EVERY, Source, also, called
from pipeline.listen.source_fields import Url, linked

GraphId = Annotated[
    str,
    linked(r"facebook\.com", r"profile\.php\?id=(\d+)"),
    StringConstraints(pattern=r"^[0-9]{1,30}$"),
    Field(json_schema_extra={"as": "its number, as 20531316728, and not its name or URL"}),
]
Version = Annotated[str, StringConstraints(pattern=r"^v[0-9]{1,3}\.[0-9]$"), Field(json_schema_extra={"as": "v24.0"})]


class Facebook(Source):
    platform: Literal["facebook"] = Field(json_schema_extra=called("fb", "meta", "messenger"))
    every: Duration = Field(timedelta(minutes=5), json_schema_extra=also(*EVERY))
    """How often it asks. The fewer people use a page or an app, the fewer requests Meta allows."""
    page: GraphId = Field(json_schema_extra=also("account", "page_id", "id"))
    """The page's number; the token is one of this page."""
    tagged: bool = Field(False, exclude=True)
    """Others' posts that tag the page, too."""
    messages: bool = Field(False, exclude=True)
    """Its conversations in Messenger, too."""
    server: Url = "https://graph.facebook.com"
    version: Version = Field("v24.0", exclude=True)
    """Of the Graph API; Meta ends each after two years."""


class Instagram(Source):
    platform: Literal["instagram"] = Field(json_schema_extra=called("ig", "insta"))
    every: Duration = Field(timedelta(minutes=5), json_schema_extra=also(*EVERY))
    """How often it asks. The fewer people see an account, the fewer requests Meta allows."""
    account: GraphId = Field(json_schema_extra=also("user", "account_id", "id"))
    """The number of the professional account, as the Graph API has it."""
    tagged: bool = Field(False, exclude=True)
    """Others' media that tag the account, too."""
    page: GraphId | None = Field(None, exclude=True)
    """The Facebook page to which the account is linked: its messages come, too."""
    server: Url = "https://graph.facebook.com"
    """https://graph.instagram.com for a token of an Instagram login."""
    version: Version = Field("v24.0", exclude=True)
    """Of the Graph API; Meta ends each after two years."""
