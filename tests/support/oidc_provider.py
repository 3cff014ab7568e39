"""An OpenID Connect provider on loopback: real HTTP, real keys, codes that work once. A test says what it does wrong."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from secrets import token_urlsafe
from typing import cast
from urllib.parse import parse_qsl, urlencode

import httpx2
from aiohttp import web
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, RSAKey

from pipeline.config.console import ConsoleSettings
from pipeline.config.settings import Settings
from schemas.untyped import JsonObject
from tests.support.platform_server import PlatformServer

CLIENT, SECRET = "earshot-console", "secret-of-the-console"
INES: JsonObject = {"sub": "u-1", "preferred_username": "ines", "email": "ines@acme.example", "groups": ["crm-ops", "all"]}
ROLES = {"crm-ops": ("ops", "analyst"), "platform": ("sre",)}
RSA_KEY, NEXT_KEY, FOREIGN_KEY = (RSAKey.generate_key(2048, auto_kid=True) for _ in range(3))
EC_KEY = ECKey.generate_key("P-256", auto_kid=True)
Sign = Callable[[JsonObject], str]


class OidcProvider(PlatformServer):
    """`person` are the claims about who logs in; the others say what the provider does wrong."""

    def __init__(self) -> None:
        super().__init__()
        self.person: JsonObject = dict(INES)
        self.says: JsonObject = {}
        """What its document says otherwise; None: left out."""
        self.claims: JsonObject = {}
        """What the id token says otherwise; None: left out."""
        self.sign: Sign = signed_by(RSA_KEY)
        self.keys: list[RSAKey | ECKey] = [RSA_KEY, EC_KEY]
        self.answer: dict[str, str] = {}
        """What its answer in the browser says otherwise; blank: left out."""
        self.token: JsonObject = {}
        """What the answer to the code says otherwise."""
        self.asked: list[dict[str, str]] = []
        """The forms that its token endpoint got, with `secret` as it came."""
        self._codes: dict[str, dict[str, str]] = {}

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/realm/.well-known/openid-configuration", self._document),
            web.get("/authorize", self._authorize),
            web.post("/token", self._token),
            web.get("/keys", self._keys),
        ]

    @property
    def issuer(self) -> str:
        return f"{self.url}/realm"

    def console(self, console: ConsoleSettings | None = None, **values: object) -> ConsoleSettings:
        """Settings that log in by this provider."""
        known = {"oidc_issuer": self.issuer, "oidc_client_id": CLIENT, "oidc_client_secret": SECRET, "oidc_roles": ROLES}
        return ConsoleSettings.model_validate((console or ConsoleSettings()).model_dump() | known | values)

    def settings(self, settings: Settings | None = None, **values: object) -> Settings:
        settings = settings or Settings()
        return settings.model_copy(update={"console": self.console(settings.console, **values)})

    def visit(self, url: str) -> str:
        """What a browser does with the URL of its page: the person agrees. The URL that it is sent back to."""
        answer = httpx2.get(url, follow_redirects=False, trust_env=False)
        assert answer.status_code == 302, answer.text
        return str(answer.headers["location"])

    async def _document(self, request: web.Request) -> web.StreamResponse:
        document = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.url}/authorize?realm=us",
            "token_endpoint": f"{self.url}/token",
            "jwks_uri": f"{self.url}/keys",
            "scopes_supported": ["openid", "profile", "email", "groups", "offline_access"],
        }
        return web.json_response(_with(document, self.says))

    async def _authorize(self, request: web.Request) -> web.StreamResponse:
        asked = dict(request.query)
        assert asked["response_type"] == "code" and asked["client_id"] == CLIENT and asked["realm"] == "us"
        assert asked["code_challenge_method"] == "S256" and len(asked["code_challenge"]) == 43
        assert "openid" in asked["scope"].split()
        code = token_urlsafe(24)
        self._codes[code] = asked
        answer = _with({"code": code, "state": asked["state"]}, cast(JsonObject, self.answer))
        return web.Response(status=302, headers={"Location": f"{asked['redirect_uri']}?{urlencode(answer)}"})

    async def _token(self, request: web.Request) -> web.StreamResponse:
        form = dict(parse_qsl(await request.text()))
        form["secret"] = request.headers.get("Authorization", "")
        self.asked.append(form)
        begun = self._codes.pop(form.get("code", ""), None)
        if begun is None or begun["redirect_uri"] != form["redirect_uri"]:
            return web.json_response({"error": "invalid_grant", "error_description": "<b>no</b>"}, status=400)
        if _b64(hashlib.sha256(form["code_verifier"].encode()).digest()) != begun["code_challenge"]:
            return web.json_response({"error": "invalid_grant"}, status=400)
        basic = f"Basic {base64.b64encode(f'{CLIENT}:{SECRET}'.encode()).decode()}"
        if basic != form["secret"] and form.get("client_secret") != SECRET:
            return web.json_response({"error": "invalid_client"}, status=401)
        now = int(time.time())
        claims = {"iss": self.issuer, "aud": CLIENT, "iat": now, "exp": now + 300, "nonce": begun["nonce"], **self.person}
        token = self.sign(_with(claims, self.claims))
        tokens = {"access_token": token_urlsafe(16), "token_type": "Bearer", "expires_in": 300, "id_token": token}
        return web.json_response(_with(tokens, self.token))

    async def _keys(self, request: web.Request) -> web.StreamResponse:
        return web.json_response(KeySet(list(self.keys)).as_dict())


def signed_by(key: RSAKey | ECKey, **header: object) -> Sign:
    """Signs as a provider does; `header` replaces what stands in the token's."""
    algorithm = "RS256" if isinstance(key, RSAKey) else "ES256"
    key.ensure_kid()
    return lambda claims: jwt.encode({"alg": algorithm, "kid": key.kid, **header}, claims, key, ["RS256", "ES256"])


def unsigned(claims: JsonObject) -> str:
    """Algorithm `none`."""
    return f"{_json({'alg': 'none', 'typ': 'JWT'})}.{_json(claims)}."


def signed_by_a_public_key(claims: JsonObject) -> str:
    """HS256, with the provider's public key, which everybody has, for the secret."""
    text = f"{_json({'alg': 'HS256', 'typ': 'JWT', 'kid': RSA_KEY.kid})}.{_json(claims)}"
    return f"{text}.{_b64(hmac.digest(RSA_KEY.as_pem(private=False), text.encode(), 'sha256'))}"


def with_header(header: object) -> Sign:
    """A token of our key, whose header was changed after it was signed."""
    return lambda claims: ".".join([_json(header), *signed_by(RSA_KEY)(claims).split(".")[1:]])


def path_of(url: str) -> str:
    """The path and query of an URL, as a browser asks for them."""
    return httpx2.URL(url).raw_path.decode()


def _with(values: JsonObject, others: JsonObject) -> JsonObject:
    return {name: value for name, value in (values | others).items() if value is not None and value != ""}


def _json(value: object) -> str:
    return _b64(json.dumps(value).encode())


def _b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
