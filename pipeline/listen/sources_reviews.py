"""The keys of sources of reviews: Google Play and the App Store."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, ClassVar, Literal

from pydantic import Field, StringConstraints

from pipeline.config.fields import Duration
from pipeline.listen.source import EVERY, Source, also, called
from pipeline.listen.source_fields import Url, linked, pasted

PackageName = Annotated[
    str,
    linked(r"play\.google\.com", r"store/apps/details\?(?:.*&)?id=([\w.]+)"),
    StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_]*(\.[A-Za-z][A-Za-z0-9_]*)+$", max_length=200),
    Field(json_schema_extra={"as": "the app's package, as com.example.app"}),
]
AppleId = Annotated[
    str,
    linked(r"apple\.com", r"(?:.*/)?id(\d+)"),
    StringConstraints(pattern=r"^[0-9]{1,20}$"),
    Field(json_schema_extra={"as": "the app's Apple ID, as 1234567890"}),
]
KeyId = Annotated[
    str,
    pasted(r"(?:.*/)?AuthKey_(\w+)\.p8"),
    StringConstraints(pattern=r"^[A-Z0-9]{1,20}$"),
    Field(json_schema_extra={"as": "the key's ID, as 2X9R4HXF34"}),
]
Issuer = Annotated[
    str,
    StringConstraints(pattern=r"^[0-9a-fA-F-]{36}$"),
    Field(json_schema_extra={"as": "the issuer ID, as 57246542-96fe-1a63-e053-0824d011072a"}),
]


class GooglePlay(Source):
    is_key_file: ClassVar[bool] = True
    platform: Literal["google_play"] = Field(json_schema_extra=called("play", "playstore", "play_store", "android"))
    every: Duration = Field(timedelta(minutes=10), json_schema_extra=also(*EVERY))
    """How often it asks; Google allows about 200 requests an hour for all your apps."""
    package: PackageName = Field(json_schema_extra=also("app", "id", "package_name"))
    """The app's package."""
    server: Url = "https://androidpublisher.googleapis.com"
    login: Url = Field("https://oauth2.googleapis.com/token", exclude=True)


class AppStore(Source):
    is_key_file: ClassVar[bool] = True
    platform: Literal["app_store"] = Field(json_schema_extra=called("appstore", "ios", "apple", "itunes"))
    every: Duration = Field(timedelta(minutes=10), json_schema_extra=also(*EVERY))
    """How often it asks."""
    app: AppleId = Field(json_schema_extra=also("id", "apple_id", "app_id"))
    """The app's Apple ID."""
    key_id: KeyId = Field(exclude=True, json_schema_extra=also("kid", "key"))
    """Of the key that the token is."""
    issuer: Issuer | None = Field(None, exclude=True, json_schema_extra=also("issuer_id", "iss"))
    """Of a team's key; an individual key has none."""
    server: Url = "https://api.appstoreconnect.apple.com"
