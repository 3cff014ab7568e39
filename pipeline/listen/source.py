"""The keys that every source of sources.yaml has."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import ClassVar, Literal, NamedTuple, Self

import orjson
from pydantic import Field, field_validator, model_validator
from pydantic.config import JsonDict

from pipeline.config.document import StrictModel
from pipeline.config.fields import Duration, Name
from pipeline.listen.source_fields import Account, Reachable, Variable

LONGEST_BACKFILL = timedelta(days=10_000)
Keep = Literal["all", "mentions"]
_TOKENS = ("token", "password", "bearer_token", "access_token", "api_key", "secret", "client_secret")
EVERY = ("interval", "poll", "period")


def also(*names: str) -> JsonDict:
    """Other names that people try for a key."""
    return {"misnamed": [*names]}


def called(*names: str) -> JsonDict:
    """Other names of a platform."""
    return {"called": [*names]}


class Cost(NamedTuple):
    """What a platform bills."""

    currency: str
    price: float
    """Of an item that it delivers."""
    spend: float | None = None
    """What the source may cost in a month; None: no end."""


class Source(StrictModel):
    """The keys of every platform."""

    is_key_file: ClassVar[bool] = False
    """Whether the credential is the content of a file of several lines, as a private key."""
    wanted: ClassVar[tuple[str, ...]] = ()
    """Keys for which a person is asked, though each has a default: without all of them there is nothing to hear."""
    name: Name
    """Of the source; one of its own. Under another name it begins anew."""
    every: Duration = Field(timedelta(minutes=1), json_schema_extra=also(*EVERY))
    """How often a source that polls asks: 1s to 1d."""
    backfill: Duration = Field(timedelta(0), json_schema_extra=also("history", "since"))
    """How far back the first start goes, behind what comes live."""
    keep: Keep = Field("all", json_schema_extra=also("only", "filter"))
    """mentions: events that mention no brand of brands.yaml are not sent."""
    allow: tuple[Reachable, ...] = ()
    """Private addresses, networks and host names that it may reach."""
    own: tuple[Account, ...] = ()
    """Ids or handles of one's own accounts: what they write is outbound."""
    original: bool = False
    """Whether events hold the platform's own payload."""
    token_env: Variable = Field("", json_schema_extra=also(*_TOKENS))
    """The variable of the environment that holds the credential."""
    token_file: Path | None = None
    """The file that holds it, in place of token_env; a relative path starts from the folder of sources.yaml. It is read again
    for each poll and connection."""

    budget: float | None = Field(None, gt=0, le=1_000, json_schema_extra=also("weight", "share", "quota"))
    """Its weight in the rate limit of its credential, where several sources share it: 1 if another one alone names its own.
    Where none does, each takes what it needs."""

    @field_validator("every")
    @classmethod
    def _some_rest(cls, every: timedelta) -> timedelta:
        if not timedelta(seconds=1) <= every <= timedelta(days=1):
            raise ValueError("it is 1 second to 1 day")
        return every

    @field_validator("backfill")
    @classmethod
    def _some_past(cls, backfill: timedelta) -> timedelta:
        if backfill > LONGEST_BACKFILL:
            raise ValueError(f"it is {LONGEST_BACKFILL.days}d at most")
        return backfill

    @model_validator(mode="after")
    def _one_token(self) -> Self:
        if self.token_env and self.token_file:
            raise ValueError("token_env and token_file: name one of them")
        return self

    @property
    def credential(self) -> str:
        """Names the credential, and the rate limit with it; sources without one have their own."""
        return self.token_env or (str(self.token_file) if self.token_file else "") or f"source {self.name}"

    @property
    def cost(self) -> Cost | None:
        """What its platform bills; None: nothing."""
        return None

    def what(self) -> str:
        """What its cursor is a place in: with another platform or account of the same name it starts anew. Without defaults: a
        key that a later version adds begins nothing anew."""
        keys = self.model_dump(mode="json", exclude=set(Source.model_fields), exclude_defaults=True)
        return orjson.dumps(keys, None, orjson.OPT_SORT_KEYS).decode()

    def own_accounts(self) -> frozenset[str]:
        """In small letters, without @."""
        return frozenset(account.lower().removeprefix("@") for account in self.own)
