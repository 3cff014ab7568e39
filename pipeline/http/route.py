"""How requests leave this network: directly or by a proxy, and which certificates of servers they accept."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from yarl import URL

from pipeline.errors import SettingsError


@dataclass(frozen=True)
class Route:
    """Of one process, as the settings [outgoing] say; without arguments: directly, and certificates by the system's CAs."""

    proxy: URL | None = field(default=None, repr=False)
    """It may hold a password. It resolves the names of hosts; a host that an `allow` names is reached without it."""
    tls: ssl.SSLContext | None = None
    """None: aiohttp's own, which accepts the system's CAs."""

    @classmethod
    def of(cls, proxy: str = "", ca_file: Path | None = None) -> Self:
        """Raises SettingsError if the file holds no certificate that can be read."""
        return cls(URL(proxy) if proxy else None, _context(ca_file) if ca_file else None)


def _context(ca_file: Path) -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_verify_locations(ca_file)
    except ssl.SSLError:
        raise SettingsError(f"setting outgoing.ca_file: {ca_file} holds no certificates (PEM)") from None
    except OSError as error:
        raise SettingsError(f"setting outgoing.ca_file: {ca_file}: {error.strerror}") from None
    return context
