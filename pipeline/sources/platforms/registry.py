"""The platforms with a mapper, by name."""

from __future__ import annotations

from importlib import import_module

from pipeline.config.document import hint
from pipeline.errors import UnknownName
from pipeline.sources.platforms.observation import Observe

PLATFORMS = (
    "bluesky", "discourse", "email", "mastodon", "reddit", "rss", "twitter", "weibo",
    "linkedin", "telegram", "vk", "youtube",
    "facebook", "instagram",
    "app_store", "google_play", "freshdesk",
)  # fmt: skip


def mapper(platform: str) -> Observe:
    """The platform's `observe`. Raises UnknownName, with the nearest name that exists."""
    if platform not in PLATFORMS:
        near = hint(platform, PLATFORMS) or f"; there are {', '.join(PLATFORMS)}"
        raise UnknownName(f"there is no mapper for platform {platform!r}{near}")
    observe: Observe = import_module(f"pipeline.sources.platforms.{platform}").observe
    return observe
