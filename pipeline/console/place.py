"""Where the console serves and who may ask it: its own names, the proxies before it, and the origin that its pages have."""

from __future__ import annotations

import re
from ipaddress import ip_address, ip_network
from urllib.parse import urlsplit

from starlette.datastructures import Headers

from pipeline.config.console import ConsoleSettings
from pipeline.errors import SettingsError
from pipeline.http.same_origin import is_loopback

_HOST = re.compile(r"(\[[\da-f:.]+\]|[\w.-]+)(:\d{1,5})?", re.ASCII)


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
        if not self._here and self._settings.certificate is None and not self._trusted(peer):
            return "this console is reached through its proxy only"
        match = _HOST.fullmatch(host.lower())
        name = match[1].strip("[]") if match else ""
        if not name:
            return "the request names no host"
        if host.lower() == self._public.netloc or (self._here and is_loopback(name)):
            return ""
        if not self._public.netloc and not self._here:  # its certificate says who it is
            return ""
        return f"this console is not {host[:200]}"

    def same_origin(self, headers: Headers) -> bool:
        """Whether a page of the console sent the request, as its browser says by Origin or Sec-Fetch-Site."""
        origin, site = headers.get("origin"), headers.get("sec-fetch-site")
        if origin is None and site is None:
            return False
        own = {self._settings.public_url, f"{'https' if self.https else 'http'}://{headers.get('host', '').lower()}"}
        return (origin is None or origin.lower() in own) and site in (None, "same-origin")

    def address(self, peer: str, forwarded: str) -> str:
        """Who asks: the peer, or where a trusted proxy asks, the last address in X-Forwarded-For that is none of them."""
        addresses = [part.strip() for part in forwarded.split(",") if part.strip()]
        while self._trusted(peer) and addresses:
            peer = addresses.pop()
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

    def _trusted(self, peer: str) -> bool:
        try:
            address = ip_address(peer)
        except ValueError:
            return False
        return any(address in network for network in self._proxies)
