"""Commands to the desk of `earshot control` (pipeline/control/api.py), and why one did not get through."""

from __future__ import annotations

import http.client
import json
import urllib.error
import urllib.request
from typing import Any

from pipeline.config.settings import ControlSettings, Settings
from pipeline.embedded.token import token_of
from pipeline.errors import EarshotError, SettingsError, UnreachableError, reason

TIMEOUT_S = 30.0
ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}
"""Where to ask a control that listens everywhere: on this machine."""


class _Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *redirect: object) -> None:
        """The token goes to control and to nobody else."""


_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}), _Stay)


def url_of(control: ControlSettings) -> str:
    host = ANYWHERE.get(control.host, control.host)
    return f"http://[{host}]:{control.port}" if ":" in host else f"http://{host}:{control.port}"


def ask(settings: Settings, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    """The desk's answer.

    Raises SettingsError without a token or when it is refused, UnreachableError when nobody answers, EarshotError with the
    desk's words when it can't be done.
    """
    url, token = url_of(settings.control), token_of(settings)
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url + path, data, headers, method=method)
    try:
        with _DIRECT.open(request, timeout=TIMEOUT_S) as answer:
            found: dict[str, Any] = json.load(answer)
            return found
    except urllib.error.HTTPError as error:
        with error:
            said = _said(error)
        if error.code == 401:
            what = "does not know the token of setting control.token" if token else "wants a token: set control.token"
            raise SettingsError(f"control at {url} {what} (EARSHOT_CONTROL__TOKEN)") from None
        raise (UnreachableError if error.code == 503 else EarshotError)(f"control at {url}: {said}") from None
    except TimeoutError:
        raise UnreachableError(f"control at {url}: no answer within {TIMEOUT_S:.0f} s; it may do it all the same") from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise UnreachableError(f"control at {url}: {reason(error)}; is `earshot control` or `earshot up` running?") from None


def _said(error: urllib.error.HTTPError) -> str:
    try:
        return str(json.loads(error.read(10_000))["error"])
    except (ValueError, KeyError, TypeError, OSError):
        return f"it says {error.code} {error.reason}"
