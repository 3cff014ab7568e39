"""Login by OpenID Connect against a provider on loopback: whatever it, or somebody between, does wrong, nobody is logged in."""

from __future__ import annotations

import time
from collections.abc import Iterator
from html import unescape
from urllib.parse import parse_qs, urlsplit

import pytest
from joserfc.jwk import RSAKey

from pipeline.config.console import ConsoleSettings
from pipeline.config.settings import ClickHouseSettings, Settings
from pipeline.console.oidc import provider as oidc_provider
from schemas.untyped import JsonObject
from tests.support import oidc_provider as support
from tests.support.console import Browser, app_of
from tests.support.oidc_provider import FOREIGN_KEY, NEXT_KEY, RSA_KEY, OidcProvider, path_of, signed_by, with_header
from tests.support.platform_server import Fault

LOGIN_COOKIE = "earshot-login"
NO_SERVER = Settings(clickhouse=ClickHouseSettings(url="http://127.0.0.1:9"))
BEFORE = {"document": 0, "token": 2, "keys": 3}
"""How many requests come before this one."""


@pytest.fixture
def provider() -> Iterator[OidcProvider]:
    server = OidcProvider()
    with server.running():
        yield server


@pytest.fixture
def browser(provider: OidcProvider) -> Browser:
    return Browser(app_of(provider.settings(NO_SERVER)))


def begin(browser: Browser) -> str:
    """The provider's page."""
    answer = browser.get("/login/oidc?next=/alerts")
    assert answer.status_code == 303, answer.text
    return str(answer.headers["location"])


def come_back(browser: Browser, provider: OidcProvider) -> str:
    """The path with which the provider sends the browser back."""
    return path_of(provider.visit(begin(browser)))


def refused(answer, browser: Browser, reason: str, status: int = 403) -> None:  # type: ignore[no-untyped-def]  # httpx2's answer
    assert (answer.status_code, browser.cookie) == (status, ""), answer.text
    assert reason in unescape(answer.text) and "<b>" not in answer.text and "<script>" not in answer.text
    assert "Log in with 127.0.0.1" in answer.text


def test_the_login_page_leads_to_the_provider(browser: Browser, provider: OidcProvider) -> None:
    assert 'href="/login/oidc?next=/alerts"' in browser.get("/login?next=/alerts").text
    url = begin(browser)
    asked = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
    assert url.startswith(f"{provider.url}/authorize?realm=us&")
    assert asked["redirect_uri"] == f"{browser.base}/login/oidc/back"
    assert asked["scope"] == "openid profile email groups"
    assert min(len(asked[name]) for name in ("state", "nonce", "code_challenge")) >= 43
    cookie = next(cookie for cookie in browser.client.cookies.jar if cookie.name == LOGIN_COOKIE)
    assert cookie.has_nonstandard_attr("HttpOnly") and cookie.get_nonstandard_attr("SameSite") == "lax"
    assert 0 < (cookie.expires or 0) - time.time() <= 600
    again = parse_qs(urlsplit(begin(browser)).query)
    assert all(again[name][0] != asked[name] for name in ("state", "nonce", "code_challenge"))


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"iss": "https://evil.example"}, "another provider made it"),
        ({"iss": None}, "it lacks iss"),
        ({"iss": ["x"]}, "another provider made it"),
        ({"aud": "another-program"}, "it is for another program"),
        ({"aud": []}, "it is for another program"),
        ({"aud": ["another-program"]}, "it is for another program"),
        ({"aud": [support.CLIENT, "another-program"]}, "it is for another program"),
        ({"aud": [support.CLIENT, "another-program"], "azp": "another-program"}, "it is for another program"),
        ({"azp": "another-program"}, "it is for another program"),
        ({"aud": None}, "it lacks aud"),
        ({"nonce": "of another login"}, "it belongs to another login"),
        ({"nonce": ["x"]}, "it belongs to another login"),
        ({"nonce": None}, "it lacks nonce"),
        ({"exp": 1_700_000_000}, "it is over"),
        ({"exp": "tomorrow"}, "its end is no time"),
        ({"exp": True}, "its end is no time"),
        ({"exp": None}, "it lacks exp"),
        ({"iat": 4_000_000_000}, "it comes from the future"),
        ({"iat": 1_700_000_000}, "it belongs to another login"),
        ({"iat": None}, "it lacks iat"),
        ({"nbf": 4_000_000_000}, "it is not valid yet"),
        ({"sub": None}, "it lacks sub"),
        ({"sub": 7}, "it does not say who somebody is"),
        ({"sub": "x" * 300}, "it does not say who somebody is"),
        ({"groups": None}, "ines is in no group that has a role here"),
        ({"groups": []}, "ines is in no group that has a role here"),
        ({"groups": ["all", "CRM-OPS", ["crm-ops"], 7, None]}, "ines is in no group that has a role here"),
        ({"groups": {"crm-ops": True}}, "ines is in no group that has a role here"),
        ({"groups": None, "preferred_username": "<b>x"}, "<b>x is in no group"),
    ],
)
def test_what_an_id_token_must_not_say(browser: Browser, provider: OidcProvider, claims: JsonObject, reason: str) -> None:
    provider.claims = claims
    refused(browser.get(come_back(browser, provider)), browser, reason)


@pytest.mark.parametrize(
    ("sign", "reason"),
    [
        (support.unsigned, "it is not signed by RS256 or ES256"),
        (support.signed_by_a_public_key, "it is not signed by RS256 or ES256"),
        (signed_by(FOREIGN_KEY), "its key is none that the provider publishes"),
        (signed_by(FOREIGN_KEY, kid=RSA_KEY.kid), "its signature is wrong"),
        (signed_by(RSA_KEY, kid=""), "its key is none that the provider publishes"),
        (with_header({"alg": "ES256", "kid": RSA_KEY.kid}), "it can't be read"),
        (with_header({"alg": "RS256", "kid": RSA_KEY.kid, "x": 1}), "its signature is wrong"),
        (with_header({"alg": "RS256", "kid": RSA_KEY.kid, "crit": ["exp"]}), "it can't be read"),
        (with_header({"alg": "RS256", "kid": RSA_KEY.kid, "crit": True}), "it can't be read"),
        (with_header({"alg": "RS256", "kid": RSA_KEY.kid, "crit": [[]]}), "it can't be read"),
        (with_header({"alg": ["RS256"]}), "it can't be read"),
        (with_header({"alg": "RS256", "kid": {}}), "it can't be read"),
        (with_header([]), "it can't be read"),
        (with_header(None), "it can't be read"),
        (with_header({}), "it can't be read"),
        (lambda claims: "a.b", "it can't be read"),
        (lambda claims: "é.é.é", "it can't be read"),
        (lambda claims: "." * 5, "it can't be read"),
        (lambda claims: "x" * 300_000, "it can't be read"),
        (lambda claims: signed_by(RSA_KEY)(claims)[:-9], "its signature is wrong"),
        (lambda claims: signed_by(RSA_KEY)({**claims, "x": "y" * 200_000}), "it can't be read"),
    ],
)
def test_an_id_token_of_somebody_else(browser: Browser, provider: OidcProvider, sign: support.Sign, reason: str) -> None:
    provider.sign = sign
    refused(browser.get(come_back(browser, provider)), browser, reason)


def test_a_weak_key_is_none(browser: Browser, provider: OidcProvider) -> None:
    with pytest.warns(match="2048"):
        weak = RSAKey.generate_key(1024)
    provider.sign, provider.keys = signed_by(weak), [weak]
    refused(browser.get(come_back(browser, provider)), browser, "publishes no key", 503)


def test_a_code_is_taken_once(browser: Browser, provider: OidcProvider) -> None:
    provider.person["groups"] = []
    back = come_back(browser, provider)
    refused(browser.get(back), browser, "is in no group")
    refused(browser.get(back), browser, "This login is over")
    assert len(provider.asked) == 1

    code = parse_qs(urlsplit(back).query)["code"][0]
    begun = parse_qs(urlsplit(begin(browser)).query)
    refused(
        browser.get(f"/login/oidc/back?code={code}&state={begun['state'][0]}"), browser, "does not take the code: invalid_grant"
    )


def test_what_somebody_else_began_is_not_ended_here(browser: Browser, provider: OidcProvider) -> None:
    thief = Browser(browser.client.app)  # type: ignore[arg-type]
    back = come_back(thief, provider)
    begin(browser)
    refused(browser.get(back), browser, "another browser began it")
    browser.client.cookies.clear()
    refused(browser.get(back), browser, "another browser began it")
    assert not provider.asked


def test_the_code_of_another_login_is_refused(browser: Browser, provider: OidcProvider) -> None:
    """Whoever has read a code can't use it in a login of their own: it is bound to the verifier of the one that it is for."""
    victim = Browser(browser.client.app)  # type: ignore[arg-type]
    code = parse_qs(urlsplit(come_back(victim, provider)).query)["code"][0]
    state = parse_qs(urlsplit(begin(browser)).query)["state"][0]
    refused(browser.get(f"/login/oidc/back?code={code}&state={state}"), browser, "does not take the code: invalid_grant")


@pytest.mark.parametrize("query", ["", "?code=x", "?state=x&code=y", "?state=" + "x" * 5_000, "?state=%00&code=%ff"])
def test_an_answer_to_no_login(browser: Browser, provider: OidcProvider, query: str) -> None:
    begin(browser)
    refused(browser.get(f"/login/oidc/back{query}"), browser, "This login is over")


@pytest.mark.parametrize(
    ("answer", "says", "reason"),
    [
        ({"iss": "https://evil.example"}, {}, "comes from another login provider"),
        ({}, {"authorization_response_iss_parameter_supported": True}, "comes from another login provider"),
        ({"code": "", "error": "access_denied<script>"}, {}, "The login provider says: access_denied<script>."),
        ({"code": ""}, {}, "holds no code"),
        ({"code": "\n"}, {}, "holds no code"),
        ({"code": "x" * 5_000}, {}, "holds no code"),
        ({"code": "x y&z=%"}, {}, "does not take the code: invalid_grant"),
    ],
)
def test_an_answer_that_is_wrong(
    browser: Browser, provider: OidcProvider, answer: dict[str, str], says: JsonObject, reason: str
) -> None:
    provider.answer, provider.says = answer, says
    refused(browser.get(come_back(browser, provider)), browser, reason)


@pytest.mark.parametrize(
    ("says", "status", "reason"),
    [
        ({"issuer": "https://evil.example"}, 403, "calls itself by another name"),
        ({"issuer": None}, 403, "calls itself by another name"),
        ({"authorization_endpoint": "http://evil.example/"}, 403, "names no https addresses"),
        ({"authorization_endpoint": "javascript:alert(1)"}, 403, "names no https addresses"),
        ({"token_endpoint": "https://user:word@evil.example/"}, 403, "names no https addresses"),
        ({"jwks_uri": None}, 403, "names no https addresses"),
        ({"jwks_uri": ["x"]}, 403, "names no https addresses"),
    ],
)
def test_a_provider_that_is_not_the_one(
    browser: Browser, provider: OidcProvider, says: JsonObject, status: int, reason: str
) -> None:
    provider.says = says
    refused(browser.get("/login/oidc"), browser, reason, status)


def test_no_request_goes_where_none_must(browser: Browser, provider: OidcProvider) -> None:
    provider.says = {"token_endpoint": "https://169.254.169.254/token"}
    refused(browser.get(come_back(browser, provider)), browser, "169.254.169.254 is link-local", 503)


@pytest.mark.parametrize("fault", ["500", "reset", "stall", "half", "html", "empty", "429", "401"])
@pytest.mark.parametrize("at", ["document", "token", "keys"])
def test_a_provider_away_or_slow(
    browser: Browser, provider: OidcProvider, at: str, fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(oidc_provider, "ANSWER_S", 1.0 if fault == "stall" else 5.0)
    none: Fault = ""
    provider.faults.plan = [none] * BEFORE[at] + [fault] * (
        2 if fault == "reset" and at != "token" else 1
    )  # a GET is sent again
    answer = browser.get("/login/oidc" if at == "document" else come_back(browser, provider))
    refused(answer, browser, "The login provider", 503)
    provider.person["groups"] = []  # it is back, and comes as far as that
    refused(browser.get(come_back(browser, provider)), browser, "is in no group")


def test_a_provider_that_is_gone(provider: OidcProvider) -> None:
    settings = provider.settings(oidc_issuer="http://127.0.0.1:9")
    browser = Browser(app_of(settings))
    refused(browser.get("/login/oidc"), browser, "can't be reached: Connection refused", 503)


@pytest.mark.parametrize(
    "token", [{"id_token": None}, {"id_token": 7}, {"id_token": ["x"]}, {"id_token": "", "access_token": "x"}]
)
def test_no_id_token(browser: Browser, provider: OidcProvider, token: JsonObject) -> None:
    provider.token = token
    refused(browser.get(come_back(browser, provider)), browser, "gave no id token")


def test_who_gives_its_secret_in_the_form_and_not_in_the_header(browser: Browser, provider: OidcProvider) -> None:
    provider.says = {"token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt"]}
    provider.person["groups"] = []
    refused(browser.get(come_back(browser, provider)), browser, "is in no group")
    assert provider.asked[0]["client_secret"] == support.SECRET and provider.asked[0]["secret"] == ""


def test_a_new_key_is_asked_for_once_it_signs(provider: OidcProvider) -> None:
    now = [0.0]
    app = app_of(provider.settings(NO_SERVER))
    browser = Browser(app)
    app.state.desk.oidc.provider._clock = lambda: now[0]
    provider.person["groups"] = []
    refused(browser.get(come_back(browser, provider)), browser, "is in no group")
    provider.sign, provider.keys = signed_by(NEXT_KEY), [NEXT_KEY]
    refused(browser.get(come_back(browser, provider)), browser, "its key is none that the provider publishes")
    now[0] = 10.0
    refused(browser.get(come_back(browser, provider)), browser, "is in no group")
    provider.sign = signed_by(RSA_KEY)
    refused(browser.get(come_back(browser, provider)), browser, "its key is none that the provider publishes")
    assert provider.requests["/keys"] == 2 and provider.requests["/realm/.well-known/openid-configuration"] == 1


def test_what_was_typed_goes_along(browser: Browser, provider: OidcProvider) -> None:
    kept = '{"action": "/alerts/ack", "form": {"comment": "<b>known</b>"}}'
    answer = browser.post("/login/oidc", {"next": "/alerts", "kept": kept})
    assert answer.status_code == 200 and "location" not in answer.headers
    url = answer.text.partition('content="0; url=')[2].partition('"')[0].replace("&amp;", "&")
    provider.person["groups"] = []
    answer = browser.get(path_of(provider.visit(url)))
    refused(answer, browser, "is in no group")
    assert "<b>known" in unescape(answer.text)


def test_only_a_page_of_the_console_begins_with_a_form(browser: Browser) -> None:
    assert browser.post("/login/oidc", origin="https://evil.example").status_code == 403


def test_where_to_go_is_never_another_host(browser: Browser, provider: OidcProvider) -> None:
    answer = browser.post("/login/oidc", {"next": "//evil.example"})
    assert "evil.example" not in answer.text
    provider.faults.plan, browser.client.app.state.desk.oidc.provider._metadata = ["500"], None  # type: ignore[attr-defined]
    answer = browser.get("/login/oidc?next=//evil.example")
    assert "evil.example" not in answer.text


def test_without_a_provider_there_is_no_such_login(provider: OidcProvider) -> None:
    browser = Browser(app_of(provider.settings().model_copy(update={"console": ConsoleSettings()})))
    assert "Log in with" not in browser.get("/login").text
    for path in ("/login/oidc", "/login/oidc/back?state=x&code=y"):
        assert browser.get(path).status_code == 404
    assert browser.post("/login/oidc").status_code == 404


def test_begun_at_another_name_it_begins_again_at_the_public_one(provider: OidcProvider) -> None:
    browser = Browser(app_of(provider.settings(public_url="https://earshot.example")))
    answer = browser.get("/login/oidc?next=/alerts")
    assert answer.headers["location"] == "https://earshot.example/login/oidc?moved=1&next=/alerts"
    assert browser.get(path_of(answer.headers["location"])).headers["location"].startswith(provider.url), "and no further"
    there = Browser(browser.client.app, "https://earshot.example")  # type: ignore[arg-type]
    asked = parse_qs(urlsplit(begin(there)).query)
    assert asked["redirect_uri"] == ["https://earshot.example/login/oidc/back"]
    cookie = next(iter(there.client.cookies.jar))
    assert (cookie.name, cookie.secure, cookie.domain_specified) == ("__Host-earshot-login", True, False)


def test_who_is_let_in_while_sessions_cannot_be_kept_is_told_so(browser: Browser, provider: OidcProvider) -> None:
    refused(browser.get(come_back(browser, provider)), browser, "Nobody can be logged in now: ClickHouse", 503)
