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
    ca_file: Path | None = None

    @classmethod
    def of(cls, proxy: str = "", ca_file: Path | None = None) -> Self:
        """Raises SettingsError if the file holds no certificate that can be read."""
        return cls(URL(proxy) if proxy else None, _context(ca_file, "http/1.1") if ca_file else None, ca_file)

    def context(self, *protocols: str) -> ssl.SSLContext:
        """Accepts the same certificates, for protocols other than HTTP; `protocols`: their names in TLS. Raises as `of`."""
        return _context(self.ca_file, *protocols)


def _context(ca_file: Path | None, *protocols: str) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if protocols:
        context.set_alpn_protocols(list(protocols))
    if ca_file is None:
        return context
    try:
        context.load_verify_locations(ca_file)
    except ssl.SSLError:
        raise SettingsError(f"setting outgoing.ca_file: {ca_file} holds no certificates (PEM)") from None
    except OSError as error:
        raise SettingsError(f"setting outgoing.ca_file: {ca_file}: {error.strerror}") from None
    return context
