"""`earshot up --live WORDS`: follows these words on Bluesky, which asks for no account."""

from __future__ import annotations

import asyncio
import json
import socket
from pathlib import Path

from pipeline.config.settings import Settings
from pipeline.errors import SettingsError

HOST, PORT, REACH_S = "jetstream2.us-east.bsky.network", 443, 3.0
MOST_WORDS = 100


def words_of(text: str) -> list[str]:
    """The words between commas. Raises SettingsError if there are none, or too many."""
    words = list(dict.fromkeys(filter(None, map(str.strip, text.split(",")))))
    if not 1 <= len(words) <= MOST_WORDS:
        raise SettingsError(f"--live: it should look like coffee,pizza, with 1 to {MOST_WORDS} words")
    return words


def live(settings: Settings, words: list[str], folder: Path) -> Settings:
    """The settings with a source on Bluesky that keeps what mentions a word, and a brand for each word."""
    brands, sources = folder / "live-brands.yaml", folder / "live-sources.yaml"
    found = {"brands": [{"name": word, "keywords": [word]} for word in words]}
    brands.write_text(json.dumps(found, ensure_ascii=False), encoding="utf-8")  # YAML has no escapes of half a character
    source = {"name": "bluesky", "platform": "bluesky", "keep": "mentions"}
    sources.write_text(json.dumps({"sources": [source]}))
    return settings.model_copy(update={"brands": brands, "sources": sources})


def unreachable() -> str:
    """Why Bluesky can't be reached from here; blank: it can."""

    async def connect() -> None:
        _, writer = await asyncio.wait_for(asyncio.open_connection(HOST, PORT), REACH_S)
        writer.close()

    try:
        asyncio.run(connect())
    except (TimeoutError, socket.gaierror, OSError) as error:
        return f"{HOST} can't be reached ({getattr(error, 'strerror', None) or 'no answer'})"
    return ""
