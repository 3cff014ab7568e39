"""What reaches a page of the console, and what every answer carries."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import pytest
from starlette.applications import Starlette
from starlette.routing import Route

from pipeline import console
from pipeline.config.settings import Settings
from pipeline.console.guard import CSP, HEADERS
from tests.support.console import HERE, Browser, app_of

STALE = "c" * 86 + "=="


@pytest.mark.parametrize("path", ["/?brand=Acme", "/brands/Caf%C3%A9?span=7d", "/brands/%E4%B8%AD", "/brands/a%3Fb%23c%2Fd%25"])
def test_without_a_session_a_page_sends_to_the_login_and_back(browser: Browser, emptied: Settings, path: str) -> None:
    answer = browser.get(path)
    assert (answer.status_code, answer.headers["location"]) == (303, f"/login?next={quote(path, safe='')}")
    browser.log_in(emptied)
    assert browser.get(answer.headers["location"]).headers["location"] == path


def test_an_act_that_a_stale_token_broke_off_is_sent_to_its_whole_address(ines: Browser) -> None:
    answer = ines.post("/silence?from=alert&alert=0123456789abcdef", {"csrf": STALE, "brand": "Acme"})
    assert answer.status_code == 403 and 'action="/silence?from=alert&amp;alert=0123456789abcdef"' in answer.text


def test_a_page_says_who_is_logged_in(ines: Browser) -> None:
    assert '<bdi>ines</bdi> <span class="quiet">admin</span>' in ines.get("/").text


@pytest.mark.parametrize(
    "path",
    ["/", "/login", "/login/nothing", "/live", "/ready", "/metrics", "/nothing", "/static/0/no.css", "/login?next=//x"],
)
def test_every_answer_has_the_headers(browser: Browser, path: str) -> None:
    for answer in browser.get(path), browser.post(path, origin="https://evil.example"):
        assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS
        assert answer.headers["content-security-policy"] == CSP
        assert answer.headers["cache-control"] == "no-store"


@pytest.mark.logs_errors
def test_a_page_that_fails_has_them_too_and_says_nothing_of_the_error(app: Starlette, ines: Browser) -> None:
    async def broken(_: object) -> None:
        raise RuntimeError("the secret cause")

    app.router.routes.append(Route("/broken", broken))
    answer = ines.get("/broken")
    assert (answer.status_code, answer.headers["content-security-policy"]) == (500, CSP)
    assert "secret" not in answer.text and "The page failed." in answer.text


def test_only_a_page_of_the_console_acts(ines: Browser) -> None:
    token = ines.csrf()
    for wrong in (
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": ""},
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site"},
        {"sec_fetch_site": "none"},
        {"origin": HERE.replace("http:", "https:")},
    ):
        assert ines.post("/logout", {"csrf": token}, **wrong).status_code == 403
    answer = ines.client.post("/logout", data={"csrf": token})  # says nothing of where it comes from
    assert answer.status_code == 403
    assert ines.get("/").status_code == 200


@pytest.mark.parametrize("token", ["", "x", STALE, "ä"])
def test_an_act_wants_the_token_of_its_session(ines: Browser, token: str) -> None:
    answer = ines.post("/logout", {"csrf": token})
    assert answer.status_code == 403
    assert ines.get("/").status_code == 200


def test_the_token_of_another_session_does_not_do(ines: Browser, app: Starlette, emptied: Settings) -> None:
    other = Browser(app)
    other.log_in(emptied, "otto")
    assert ines.post("/logout", {"csrf": other.csrf()}).status_code == 403


def test_a_token_comes_in_a_header_too_and_is_never_written_twice_alike(ines: Browser) -> None:
    one, other = ines.csrf(), ines.csrf()
    assert one != other
    assert ines.post("/logout", X_CSRF_Token=one).status_code == 303


@pytest.mark.parametrize("host", ["evil.example", "evil.example:9405", "127.0.0.1.evil.example", "", "127.0.0.1@evil", "[::1"])
def test_another_host_is_refused(browser: Browser, host: str) -> None:
    for path in ("/", "/login", "/static/0/none.css"):
        assert browser.get(path, host=host).status_code == 403
    if host:
        assert browser.get("/metrics", host=host).status_code == 403


@pytest.mark.parametrize("host", ["x/live?", "x/metrics#", "x/static/?", "x/login?", "127.0.0.1:9405/login/x?", "x:1/ready?y="])
def test_a_host_that_looks_like_a_path_opens_nothing(emptied: Settings, ines: Browser, host: str) -> None:
    proxied = {"host": "0.0.0.0", "public_url": "https://earshot.example", "trusted_proxies": ("10.0.0.7",)}
    settings = emptied.model_copy(update={"console": emptied.console.model_copy(update=proxied)})
    behind = Browser(app_of(settings), "https://earshot.example", "10.0.0.7")
    assert behind.get("/").status_code == 303
    for browser in behind, ines:
        assert browser.get("/", host=host).status_code == 403
        assert browser.post("/logout", host=host).status_code == 403


@pytest.mark.parametrize(
    "path", ["/live%3F", "/static/%3F/../", "/login%23", "/%3F/login", "//login", "/login%2F..%2F", "/libraries/%00"]
)
def test_a_path_that_looks_like_an_open_one_shows_nothing(browser: Browser, path: str) -> None:
    answer = browser.get(path)
    assert answer.status_code in (303, 404) and "Log out" not in answer.text


@pytest.mark.parametrize("host", ["127.0.0.1:9405", "localhost:8000", "[::1]:9405", "LOCALHOST"])
def test_a_tunnel_to_loopback_has_any_port(browser: Browser, host: str) -> None:
    assert browser.get("/login", host=host).status_code == 200


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "FOO"])
def test_other_methods_do_nothing(ines: Browser, method: str) -> None:
    headers = {"sec-fetch-site": "same-origin", "x-csrf-token": ines.csrf()}
    assert ines.client.request(method, "/logout", headers=headers).status_code == 405
    assert ines.get("/").status_code == 200


def test_a_get_does_not_act(ines: Browser) -> None:
    assert ines.get(f"/logout?csrf={ines.csrf()}").status_code == 405
    assert ines.get("/").status_code == 200


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"a" * (1 << 21), "application/x-www-form-urlencoded", 413),
        (b"{}", "application/json", 415),
        (b"--x\r\n", "multipart/form-data; boundary=x", 415),
        (b"\xff\xfe=1", "application/x-www-form-urlencoded", 400),
        (b"csrf=%ff", "application/x-www-form-urlencoded", 400),
        (b"a=1&" * 2_000, "application/x-www-form-urlencoded", 400),
    ],
)
def test_a_body_that_is_no_form(ines: Browser, body: bytes, kind: str, status: int) -> None:
    headers = {"sec-fetch-site": "same-origin", "content-type": kind}
    assert ines.client.post("/logout", content=body, headers=headers).status_code == status


def test_what_was_typed_is_kept_when_the_session_ended(app: Starlette, ines: Browser, emptied: Settings) -> None:
    token = ines.csrf()
    ines.client.cookies.clear()
    answer = ines.post("/logout", {"csrf": token, "comment": "<b>known</b>"})
    assert answer.status_code == 401
    assert "&lt;b&gt;known&lt;/b&gt;" in answer.text and "<b>known" not in answer.text


def test_each_act_says_who_may_do_it(app: Starlette) -> None:
    open_to_all = {"/login", "/login/{token}", "/login/oidc", "/logout"}
    for route in app.router.routes:
        assert isinstance(route, Route)
        methods = set(route.methods or ()) - {"GET", "HEAD"}
        assert methods <= {"POST"}, route.path
        if methods and route.path not in open_to_all:
            assert getattr(route.endpoint, "wanted", ()), f"{route.path} is for everybody: @wants(Role...)"
            assert "GET" not in (route.methods or ()), f"{route.path} acts, and a GET reaches it"


def test_behind_a_proxy_the_public_name_is_the_origin(emptied: Settings) -> None:
    console = emptied.console.model_copy(update={"public_url": "https://earshot.example"})
    settings = emptied.model_copy(update={"console": console})
    browser = Browser(app_of(settings), "https://earshot.example")
    browser.log_in(settings)
    cookie = next(iter(browser.client.cookies.jar))
    assert (cookie.name, cookie.secure, cookie.path, cookie.domain_specified) == ("__Host-earshot", True, "/", False)
    answer = browser.get("/")
    assert answer.status_code == 200 and "strict-transport-security" in answer.headers
    assert browser.post("/logout", {"csrf": browser.csrf()}, origin="http://earshot.example").status_code == 403
    assert browser.get("/", host="other.example").status_code == 403


def test_our_own_script_is_short() -> None:
    lines = [
        line.strip()
        for script in (Path(console.__file__).parent / "static").glob("*.js")
        for line in script.read_text().splitlines()
    ]
    assert sum(bool(line) and not line.startswith("//") for line in lines) < 200
