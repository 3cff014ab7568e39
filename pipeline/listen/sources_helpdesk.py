"""The keys of sources of helpdesks."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from pydantic import Field

from pipeline.config.fields import Duration
from pipeline.listen.source import EVERY, Source, also, called
from pipeline.listen.source_fields import Server


class Freshdesk(Source):
    platform: Literal["freshdesk"] = Field(json_schema_extra=called("helpdesk", "freshworks"))
    every: Duration = Field(timedelta(minutes=2), json_schema_extra=also(*EVERY))
    """How often it asks; the plan says how many requests a minute are allowed."""
    server: Server = Field(json_schema_extra=also("url", "domain", "host"))
    """As https://acme.freshdesk.com."""
