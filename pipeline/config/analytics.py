"""Settings of what analysts read."""

from __future__ import annotations

from pydantic import Field

from pipeline.config.section import Section


class AnalyticsSettings(Section):
    currency: str = Field(
        "EUR", pattern="^[A-Z]{3}$", description="amounts of orders are converted to it by the day's rate: ISO 4217, as EUR"
    )
