"""Client of the APIs of control and customers (pipeline/api/server.py): sends a command, and says in one line why it failed."""

from __future__ import annotations

import http.client
import json
import urllib.error
import urllib.request
from collections.abc import Mapping

from pipeline.config.apis import ControlSettings, CustomersSettings
from pipeline.config.settings import Settings
from pipeline.embedded.token import Api, token_of
from pipeline.errors import EarshotError, SettingsError, UnreachableError, reason
from schemas.untyped import JsonObject

TIMEOUT_S = 30.0
ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}
"""Address that a process listens on -> address to reach it at, on this machine."""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *redirect: object) -> None:
        """None: the token goes to this process and to nobody else."""


_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirect)


def url_of(section: ControlSettings | CustomersSettings) -> str:
    """The base URL of the API of these settings."""
    host = ANYWHERE.get(section.host, section.host)
    return f"http://[{host}]:{section.port}" if ":" in host else f"http://{host}:{section.port}"


def ask(
    settings: Settings,
    api: Api,
    method: str,
    path: str,
    body: Mapping[str, object] | None = None,
    timeout_s: float = TIMEOUT_S,
) -> JsonObject:
    """The answer of control, or of customers, to one request.

    Raises SettingsError without a token or when it is refused, UnreachableError when nobody answers, EarshotError with the
    API's own error when it refuses the command.
    """
    url, token = url_of(settings.control if api == "control" else settings.customers), token_of(settings, api)
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url + path, data, headers, method=method)
    try:
        with _DIRECT.open(request, timeout=timeout_s) as answer:
            record: JsonObject = json.load(answer)
            return record
    except urllib.error.HTTPError as error:
        with error:
            problem = _error_text(error)
        if error.code == 401:
            what = f"does not know the token of setting {api}.token" if token else f"wants a token: set {api}.token"
            raise SettingsError(f"{api} at {url} {what} (EARSHOT_{api.upper()}__TOKEN)") from None
        raise (UnreachableError if error.code == 503 else EarshotError)(f"{api} at {url}: {problem}") from None
    except TimeoutError:
        raise UnreachableError(f"{api} at {url}: no answer within {timeout_s:.0f} s; it may still do it") from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise UnreachableError(f"{api} at {url}: {reason(error)}; is `earshot {api}` or `earshot up` running?") from None


def _error_text(error: urllib.error.HTTPError) -> str:
    try:
        return str(json.loads(error.read(10_000))["error"])
    except (ValueError, KeyError, TypeError, OSError):
        return f"answers {error.code} {error.reason}"
