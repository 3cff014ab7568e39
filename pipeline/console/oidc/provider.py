"""The provider: what it says of itself, its keys, and what it gives for a code. All requests go by http/outgoing.py.

Whatever it does, a person waits five seconds at most: then the login page says so, and other ways to log in stay.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import NamedTuple, TypeVar
from urllib.parse import urlsplit

import httpx2
import orjson
from authlib.integrations.base_client import OAuthError
from authlib.integrations.httpx_client import AsyncOAuth2Client
from joserfc.jwk import KeySet

from pipeline.clock import Clock, steady
from pipeline.config.console import ConsoleSettings, secure_url
from pipeline.console.oidc.failed import LoginFailed, ProviderAway, UnknownKey
from pipeline.console.oidc.id_token import read_keys
from pipeline.console.oidc.waiting import Waiting
from pipeline.console.turns import Turns
from pipeline.errors import UnreachableError
from pipeline.http.addresses import Allowed
from pipeline.http.failures import OutgoingError
from pipeline.http.outgoing import Limits, Outgoing
from pipeline.http.route import Route
from pipeline.http.same_origin import is_loopback
from pipeline.http.transport import OutgoingTransport

ANSWER_S = 5.0
"""All that one step of a login asks of the provider, together."""
AT_ONCE, OF_ADDRESS = 8, 4
"""Logins that ask it at a time, in all and from one address: nobody holds all the places with codes that are none."""
KEEP_S, AGAIN_S = 600.0, 10.0
"""How long what it says of itself is kept; and how often at most its keys are asked for because one is unknown."""
PATH = "/.well-known/openid-configuration"
LIMITS = Limits(total_s=ANSWER_S, body=512 << 10, redirects=0)
SCOPES = ("profile", "email")
ANOTHER = "The answer comes from another login provider."
T = TypeVar("T")


class Metadata(NamedTuple):
    """What the provider says of itself, as far as it is used."""

    authorize: str
    token: str
    keys: str
    scope: str
    method: str
    """How the console proves to it who it is."""
    names_itself: bool
    """Its answers say by parameter `iss` who gives them."""


class Provider:
    """The provider of the settings. Every method raises LoginFailed or ProviderAway."""

    def __init__(self, settings: ConsoleSettings, route: Route, clock: Clock = steady) -> None:
        self._settings, self._route, self._clock = settings, route, clock
        host = urlsplit(settings.oidc_issuer).hostname or ""
        self.loopback = is_loopback(host)
        self._allow = Allowed.of((*settings.oidc_allow, *([host] if self.loopback else [])))
        self._turns = Turns(AT_ONCE, OF_ADDRESS)
        self._metadata: tuple[float, Metadata] | None = None
        self._keys: tuple[float, KeySet] | None = None

    async def page(self, login: Waiting) -> str:
        """The URL of the page on which the person says who they are."""
        async with self._asking(login.address) as client:
            metadata = await self._describe(client)
            client.redirect_uri, client.scope = login.returns_to, metadata.scope
            url, _ = client.create_authorization_url(
                metadata.authorize, state=login.state, nonce=login.nonce, code_verifier=login.verifier
            )
        return str(url)

    async def redeem(self, code: str, named: bool, login: Waiting, read: Callable[[str, KeySet], T]) -> T:
        """What `read` makes of the id token that the provider gives for this code, and of its keys; of newer keys if it raises
        UnknownKey. `named`: whether the answer with the code said that it is this provider's."""
        async with self._asking(login.address) as client:
            metadata = await self._describe(client)
            if metadata.names_itself and not named:
                raise LoginFailed(ANOTHER)
            client.redirect_uri, client.token_endpoint_auth_method = login.returns_to, metadata.method
            try:
                tokens = await client.fetch_token(
                    metadata.token, grant_type="authorization_code", code=code, code_verifier=login.verifier
                )
            except OAuthError as error:
                raise LoginFailed(f"The login provider does not take the code: {shown(error.error)}.") from None
            except httpx2.HTTPStatusError as error:
                raise ProviderAway(_unwell(error.response.status_code)) from None
            except ValueError:
                raise ProviderAway("The login provider's answer to the code can't be read.") from None
            token = tokens.get("id_token")
            if not isinstance(token, str):
                raise LoginFailed("The login provider gave no id token.")
            try:
                return read(token, await self._ask_keys(client, metadata, KEEP_S))
            except UnknownKey:
                return read(token, await self._ask_keys(client, metadata, AGAIN_S))

    @asynccontextmanager
    async def _asking(self, address: str) -> AsyncIterator[AsyncOAuth2Client]:
        settings = self._settings
        outgoing: Outgoing | None = None
        try:
            async with asyncio.timeout(ANSWER_S), self._turns.turn(address):
                outgoing = Outgoing(self._route, keep_alive=False)
                async with AsyncOAuth2Client(
                    settings.oidc_client_id,
                    settings.oidc_client_secret.get_secret_value() or None,
                    code_challenge_method="S256",
                    transport=OutgoingTransport(outgoing, LIMITS, self._allow),
                    trust_env=False,
                    follow_redirects=False,
                ) as client:
                    yield client
        except TimeoutError:
            raise ProviderAway(f"The login provider did not answer within {ANSWER_S:g} s.") from None
        except UnreachableError:
            raise ProviderAway("Too many logins come from your address at once.") from None
        except OutgoingError as error:
            raise ProviderAway(f"The login provider can't be reached: {error}.") from None
        finally:
            if outgoing is not None:
                await outgoing.close()

    async def _describe(self, client: AsyncOAuth2Client) -> Metadata:
        if self._metadata is None or self._clock() - self._metadata[0] >= KEEP_S:
            document = await _document(client, self._settings.oidc_issuer.rstrip("/") + PATH)
            self._metadata = self._clock(), self._read(document)
        return self._metadata[1]

    async def _ask_keys(self, client: AsyncOAuth2Client, metadata: Metadata, keep_s: float) -> KeySet:
        if self._keys is None or self._clock() - self._keys[0] >= keep_s:
            self._keys = self._clock(), read_keys(await _document(client, metadata.keys))
        return self._keys[1]

    def _read(self, document: dict[str, object]) -> Metadata:
        if document.get("issuer") != self._settings.oidc_issuer:
            raise LoginFailed("The login provider calls itself by another name than console.oidc_issuer.")
        urls = [document.get(name) for name in ("authorization_endpoint", "token_endpoint", "jwks_uri")]
        authorize, token, keys = (
            url if isinstance(url, str) and secure_url(url, self.loopback, query=True) else "" for url in urls
        )
        if not (authorize and token and keys):
            raise LoginFailed("The login provider names no https addresses for its page, its tokens and its keys.")
        scopes, methods = _list(document, "scopes_supported"), _list(document, "token_endpoint_auth_methods_supported")
        asked = [scope for scope in SCOPES if scope in scopes or not scopes]
        asked += [self._settings.oidc_groups] if self._settings.oidc_groups in scopes else []
        method = "client_secret_post" if methods and "client_secret_basic" not in methods else "client_secret_basic"
        return Metadata(
            authorize,
            token,
            keys,
            " ".join(["openid", *asked]),
            method if self._settings.oidc_client_secret.get_secret_value() else "none",
            document.get("authorization_response_iss_parameter_supported") is True,
        )


def shown(text: object) -> str:
    """What a provider said, in some words that can be shown."""
    return "".join(letter for letter in str(text)[:100] if letter.isprintable())


async def _document(client: AsyncOAuth2Client, url: str) -> dict[str, object]:
    answer = await client.request("GET", url, withhold_token=True, headers={"Accept": "application/json"})
    if answer.status_code != 200:
        raise ProviderAway(_unwell(answer.status_code))
    try:
        value = orjson.loads(answer.content)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise ProviderAway("The login provider's answer can't be read.")
    return value


def _unwell(status: int) -> str:
    return f"The login provider answers {status}."


def _list(document: dict[str, object], name: str) -> list[object]:
    value = document.get(name)
    return value if isinstance(value, list) else []
