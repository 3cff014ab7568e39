"""Settings of a listener."""

from __future__ import annotations

from pydantic import Field

from pipeline.config.section import Section


class ListenSettings(Section):
    host: str = Field("127.0.0.1", description="address that /live, /ready and /metrics of a listener listen on")
    port: int = Field(9403, ge=0, le=65535, description="their port; 0: any that is free")
