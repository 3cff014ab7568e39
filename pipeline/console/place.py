"""Where the console serves and who may ask it: its own names, the proxies before it, and the origin that its pages have."""

from __future__ import annotations

import re
from collections.abc import Sequence
from ipaddress import IPv6Address, ip_address, ip_network
from urllib.parse import urlsplit

from starlette.datastructures import Headers

from pipeline.config.console import ConsoleSettings
from pipeline.errors import SettingsError
from pipeline.http.same_origin import is_loopback, refusal

_PORTED = re.compile(r"(\d{1,3}(?:\.\d{1,3}){3}):\d{1,5}|\[([\da-fA-F:.]+)\](?::\d{1,5})?", re.ASCII)
_HOST = re.compile(r"(\[[\da-f:.]+\]|[\w.-]+)(:\d{1,5})?", re.ASCII)


LOCAL = (".local", ".internal", ".svc", ".localhost", ".home.arpa")
"""Names that nobody can register."""


class Place:
    """The place that the settings name.

    Raises SettingsError where it would serve in clear beyond this machine: it needs a certificate, or a proxy with TLS."""

    def __init__(self, settings: ConsoleSettings) -> None:
        self._settings = settings
        self._public = urlsplit(settings.public_url)
        self._proxies = [ip_network(network) for network in settings.trusted_proxies]
        self._here = is_loopback(settings.host)
        self.https = settings.certificate is not None or self._public.scheme == "https"
        if self._here or settings.certificate is not None:
            return
        # http and a name of this machine: the port of a container, which is published on loopback
        if self._public.scheme != "https" and not is_loopback(self._public.hostname or ""):
            raise SettingsError(
                f"console.host {settings.host} is not this machine alone: set console.certificate and console.key, or "
                "console.public_url (https://...) and console.trusted_proxies for a proxy with TLS (docs/console.md)"
            )
        if not self._proxies:
            raise SettingsError("console.trusted_proxies: name the address or network of the proxy before the console")

    def refusal(self, peer: str, host: str) -> str:
        """Why a request of `peer` for this Host is not answered; blank: it is."""
        if not self._here and self._settings.certificate is None and not self.trusts(peer):
            return f"this console is reached through its proxy only, and {peer[:64]} is none of console.trusted_proxies"
        match = _HOST.fullmatch(host.lower())
        name = match[1].strip("[]") if match else ""
        if not name:
            return "the request names no host"
        if host.lower() == self._public.netloc or (self._here and is_loopback(name)):
            return ""
        if not self._public.netloc and not self._here:  # its certificate says who it is
            return ""
        return f"this console is not {host[:200]}"

    def refusal_of_health(self, headers: Headers) -> str:
        """Why /live, /ready and /metrics are not for this request; blank: they are. Who scrapes them names the console by its
        address, or by a name of its own network: a name that somebody may register could be of a page that reads them in a
        browser."""
        if why := refusal(self._settings.host, headers):
            return why
        host = headers.get("host", "").lower()
        match = _HOST.fullmatch(host)
        name = match[1].strip("[]") if match else ""
        local = "." not in name or name.endswith(LOCAL) or _is_address(name) or is_loopback(name)
        known = name in ((self._public.hostname or "").lower(), self._settings.host.lower())
        return "" if name and (local or known) else f"this console is not {host[:200]}: ask it by its address"

    def same_origin(self, headers: Headers) -> bool:
        """Whether a page of the console sent the request, as its browser says by Origin or Sec-Fetch-Site."""
        origin, site = headers.get("origin"), headers.get("sec-fetch-site")
        if origin is None and site is None:
            return False
        own = {self._settings.public_url, f"{'https' if self.https else 'http'}://{headers.get('host', '').lower()}"} - {""}
        return (origin is None or origin.lower() in own) and site in (None, "same-origin")

    def address(self, peer: str, forwarded: Sequence[str]) -> str:
        """Who asks: the peer, or where a trusted proxy asks, the last address in X-Forwarded-For that is none of them.
        `forwarded`: all lines of that header, as a proxy may write its own beside that of the browser."""
        addresses = [part.strip() for part in ",".join(forwarded).split(",") if part.strip()]
        while self.trusts(peer) and addresses:
            peer = _bare(addresses.pop())
        return peer[:64]

    def url(self, path: str, port: int) -> str:
        """The path as a person opens it."""
        if self._settings.public_url:
            return self._settings.public_url + path
        host = self._settings.host
        return f"{'https' if self.https else 'http'}://{f'[{host}]' if ':' in host else host}:{port}{path}"

    def elsewhere(self, host: str) -> str:
        """The origin under which browsers reach it, where this Host is of another; blank: it is of that one."""
        return self._settings.public_url if self._public.netloc not in ("", host.lower()) else ""

    def own(self, headers: Headers, path: str) -> str:
        """The path as an URL, for this browser to come back to."""
        here = f"{'https' if self.https else 'http'}://{headers.get('host', '').lower()}"
        return (self._settings.public_url or here) + path

    def trusts(self, peer: str) -> bool:
        """Whether it is one of the proxies that the settings name."""
        try:
            address = ip_address(peer)
        except ValueError:
            return False
        mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
        return any((mapped or address) in network for network in self._proxies)


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def _bare(address: str) -> str:
    """An address of X-Forwarded-For without its port: some proxies write one, and each connection has another."""
    match = _PORTED.fullmatch(address)
    return (match[1] or match[2]) if match else address
