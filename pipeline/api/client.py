"""Client of the APIs of control and customers (pipeline/api/server.py): sends a command, as the owner of a token or, by the
console, for a person, and says in one line why it failed."""

from __future__ import annotations

import http.client
import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from urllib.parse import quote

from pipeline.api.callers import actor_header
from pipeline.config.apis import ControlSettings, CustomersSettings
from pipeline.config.settings import Settings
from pipeline.embedded.token import Api, console_token_of, token_of
from pipeline.errors import ConflictError, EarshotError, SettingsError, UnknownName, UnreachableError, reason
from schemas.untyped import JsonObject

TIMEOUT_S, ACT_S = 30.0, 15.0
"""How long a command waits for its answer; an act of a page holds a thread of the console's few."""
ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}
"""Address that a process listens on -> address to reach it at, on this machine."""


class Uncertain(UnreachableError):
    """The request was sent and not answered: whether it is done is not known."""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *redirect: object) -> None:
        """None: the token goes to this process and to nobody else."""


_ERRORS: dict[int, type[EarshotError]] = {404: UnknownName, 409: ConflictError, 503: UnreachableError}
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
    actor: str = "",
) -> JsonObject:
    """The answer of control, or of customers, to one request. With `actor` it is the console's, for this person.

    Raises SettingsError without a token or when it is refused, UnreachableError when nobody answers, and Uncertain if the
    request may be done all the same. With the API's own error it raises UnknownName, ConflictError, or else EarshotError.
    """
    url = url_of(settings.control if api == "control" else settings.customers)
    who = f"process {api}" if actor else f"{api} at {url}"  # a person reads no address
    token, key = (console_token_of(settings, api), "console_token") if actor else (token_of(settings, api), "token")
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    headers |= actor_header(actor) if actor else {}
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
            what = f"does not know the token of setting {api}.{key}" if token else f"wants a token: set {api}.{key}"
            raise SettingsError(f"{who} {what} (EARSHOT_{api.upper()}__{key.upper()})") from None
        raise _ERRORS.get(error.code, EarshotError)(problem if actor else f"{who}: {problem}") from None
    except TimeoutError:
        raise Uncertain(f"{who}: no answer within {timeout_s:.0f} s; it may still do it") from None
    except urllib.error.URLError as error:  # urllib's name for all that happens before the request is sent
        hint = "nothing was done" if actor else f"is `earshot {api}` or `earshot up` running?"
        raise UnreachableError(f"{who}: {reason(error)}; {hint}") from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        what = "the answer did not come whole, and it may have done it: look, and ask again"
        raise Uncertain(f"{who}: {what} ({reason(error)})") from None


def _error_text(error: urllib.error.HTTPError) -> str:
    try:
        return str(json.loads(error.read(10_000))["error"])
    except (ValueError, KeyError, TypeError, OSError):
        return f"it answers {error.code} {error.reason}"


class ControlClient:
    """The commands of control, asked by the console for a person. Each blocks until it is answered, for ACT_S at most, and
    raises as `ask`: what was done is on record by then."""

    def __init__(self, settings: Settings, timeout_s: float = ACT_S) -> None:
        self._settings, self._timeout_s = settings, timeout_s

    def acknowledge(self, actor: str, key: str, comment: str = "", again: bool = True) -> JsonObject:
        """The alert. `key` in hexadecimal, as all keys here. Without `again`: ConflictError if somebody has acknowledged it."""
        return self._ask(actor, "POST", f"/alerts/{quote(key, safe='')}/ack", {"comment": comment, "again": again})

    def silence(self, actor: str, of: Mapping[str, str], minutes: int, comment: str = "") -> JsonObject:
        """The silence. `of` names a rule, a brand, a platform, or several of them."""
        return self._ask(actor, "POST", "/silences", {**of, "minutes": minutes, "comment": comment})

    def lift(self, actor: str, silence: str) -> JsonObject:
        """The silence of this id, as it ends."""
        return self._ask(actor, "DELETE", f"/silences/{quote(silence, safe='')}")

    def silences(self, actor: str) -> list[JsonObject]:
        """Those that have not ended."""
        return list(self._ask(actor, "GET", "/silences")["silences"])

    def test(self, actor: str, rule: str, brand: str = "", comment: str = "") -> JsonObject:
        """The test alert, and `untested`: the receivers that it does not test."""
        return self._ask(actor, "POST", "/test", {"rule": rule, "brand": brand, "comment": comment})

    def take(self, actor: str, conversation: Mapping[str, str], comment: str = "") -> JsonObject:
        """The case. `conversation` is brand, platform and conversation_id. Raises ConflictError if somebody else has it."""
        return self._ask(actor, "POST", "/cases/take", {**conversation, "comment": comment})

    def hand_over(self, actor: str, conversation: Mapping[str, str], owner: str, comment: str = "") -> JsonObject:
        """The case, which is `owner`'s now; blank: nobody's."""
        return self._ask(actor, "POST", "/cases/hand-over", {**conversation, "owner": owner, "comment": comment})

    def done(self, actor: str, conversation: Mapping[str, str], comment: str = "") -> JsonObject:
        """The case, which needs nothing more. Raises ConflictError if somebody else has it."""
        return self._ask(actor, "POST", "/cases/done", {**conversation, "comment": comment})

    def cases(self, actor: str) -> list[JsonObject]:
        """Those that somebody has, the newest first."""
        return list(self._ask(actor, "GET", "/cases")["cases"])

    def _ask(self, actor: str, method: str, path: str, body: Mapping[str, object] | None = None) -> JsonObject:
        return ask(self._settings, "control", method, path, body, self._timeout_s, actor)
