"""The processes of these settings, and what each says of itself at /live and /ready."""

from __future__ import annotations

import urllib.error
import urllib.request
from typing import NamedTuple

from pipeline.api.client import ANYWHERE, url_of
from pipeline.config.settings import Settings
from pipeline.errors import reason

TIMEOUT_S = 3


class Said(NamedTuple):
    """An answer."""

    ok: bool
    """It is 200."""
    text: str
    """What it says, its first bytes; of one that is not 200, or none, where it is not and why."""

    def __str__(self) -> str:
        return " ".join(self.text.split())


class Process(NamedTuple):
    """A process and what it says."""

    name: str
    url: str
    live: Said
    ready: Said


def urls(settings: Settings) -> dict[str, str]:
    """Where each serves its health: worker, control, customers, and where there are sources a listener."""
    result = {
        "worker": _url(settings.worker.health_host, settings.worker.health_port),
        "control": url_of(settings.control),
        "customers": url_of(settings.customers),
    }
    return result | ({"listener": _url(settings.listen.host, settings.listen.port)} if settings.sources else {})


def process(name: str, url: str) -> Process:
    """Asks it; it waits TIMEOUT_S for each answer. One that is not live is not asked whether it is ready."""
    live = ask(f"{url}/live")
    return Process(name, url, live, ask(f"{url}/ready") if live.ok else live)


def ask(url: str, most: int = 2_000) -> Said:
    """Whether it answers 200, and `most` bytes of what it says."""
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer:
            return Said(True, _text(answer.read(most)))
    except urllib.error.HTTPError as error:
        with error:
            return Said(False, f"{url} says {error.code} {_text(error.read(most))}")
    except (OSError, ValueError) as error:
        return Said(False, f"{url}: {reason(error)}")


def _url(host: str, port: int) -> str:
    host = ANYWHERE.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _text(body: bytes) -> str:
    return body.decode(errors="replace").strip()
