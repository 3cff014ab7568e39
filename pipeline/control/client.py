"""Client of the control API (pipeline/control/api.py): sends a command, and says in one line why it failed."""

from __future__ import annotations

import http.client
import json
import urllib.error
import urllib.request

from pipeline.config.settings import ControlSettings, CustomersSettings, Settings
from pipeline.embedded.token import token_of
from pipeline.errors import EarshotError, SettingsError, UnreachableError, reason

TIMEOUT_S = 30.0
ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}
"""Address that control listens on -> address to reach it at, on this machine."""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *redirect: object) -> None:
        """None: the token goes to control and to nobody else."""


_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirect)


def url_of(api: ControlSettings | CustomersSettings) -> str:
    """The base URL of an API."""
    host = ANYWHERE.get(api.host, api.host)
    return f"http://[{host}]:{api.port}" if ":" in host else f"http://{host}:{api.port}"


def ask(settings: Settings, method: str, path: str, body: dict[str, object] | None = None) -> dict[str, object]:
    """The API's answer to one request.

    Raises SettingsError without a token or when it is refused, UnreachableError when nobody answers, EarshotError with the
    API's own error when it refuses the command.
    """
    url, token = url_of(settings.control), token_of(settings, "control")
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url + path, data, headers, method=method)
    try:
        with _DIRECT.open(request, timeout=TIMEOUT_S) as answer:
            record: dict[str, object] = json.load(answer)
            return record
    except urllib.error.HTTPError as error:
        with error:
            problem = _error_text(error)
        if error.code == 401:
            what = "does not know the token of setting control.token" if token else "wants a token: set control.token"
            raise SettingsError(f"control at {url} {what} (EARSHOT_CONTROL__TOKEN)") from None
        raise (UnreachableError if error.code == 503 else EarshotError)(f"control at {url}: {problem}") from None
    except TimeoutError:
        raise UnreachableError(f"control at {url}: no answer within {TIMEOUT_S:.0f} s; it may still do it") from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise UnreachableError(f"control at {url}: {reason(error)}; is `earshot control` or `earshot up` running?") from None


def _error_text(error: urllib.error.HTTPError) -> str:
    try:
        return str(json.loads(error.read(10_000))["error"])
    except (ValueError, KeyError, TypeError, OSError):
        return f"answers {error.code} {error.reason}"
