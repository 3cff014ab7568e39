"""Who is logged in by OpenID Connect: as whom, with which roles, and until when."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from html import unescape
from pathlib import Path

import pytest

from pipeline.clickhouse.client import clickhouse_client
from pipeline.config.settings import Settings
from pipeline.console.oidc import names
from pipeline.console.session_table import hash_of
from tests.support.console import Browser, app_of, link, password, table, users_file
from tests.support.oidc_provider import EC_KEY, ROLES, RSA_KEY, OidcProvider, Sign, path_of, signed_by


@pytest.fixture
def provider() -> Iterator[OidcProvider]:
    server = OidcProvider()
    with server.running():
        yield server


@pytest.fixture
def settings_here(provider: OidcProvider, emptied: Settings) -> Settings:
    return provider.settings(emptied)


@pytest.fixture
def browser(settings_here: Settings) -> Browser:
    return Browser(app_of(settings_here))


def log_in(browser: Browser, provider: OidcProvider, path: str = "/login/oidc?next=/alerts"):  # type: ignore[no-untyped-def]
    begun = browser.get(path)
    return browser.get(path_of(provider.visit(begun.headers["location"])))


def acts(settings: Settings) -> list[tuple[str, ...]]:
    """What is on record, the newest first."""
    found = clickhouse_client(settings.clickhouse).query("SELECT actor, act, subject, outcome FROM acts ORDER BY at DESC")
    return [tuple(row) for row in found.result_rows]


@pytest.mark.parametrize("sign", [signed_by(RSA_KEY), signed_by(EC_KEY)])
def test_the_provider_says_who_somebody_is(browser: Browser, provider: OidcProvider, emptied: Settings, sign: Sign) -> None:
    provider.sign, provider.person["groups"] = sign, ["crm-ops", "platform", "others"]
    answer = log_in(browser, provider)
    assert (answer.status_code, answer.headers["location"]) == (303, "/alerts")
    assert [cookie.name for cookie in browser.client.cookies.jar] == ["earshot"]
    assert '<bdi>ines</bdi> <span class="quiet">analyst, ops, sre</span>' in browser.get("/").text
    row = table(emptied).read(hash_of(browser.cookie))
    assert acts(emptied) == [("ines", "log in", "oidc", "done")]
    assert row is not None and (row.actor, row.roles, row.way) == ("ines", ("ops", "analyst", "sre"), "oidc")
    assert browser.act("/logout").status_code == 303
    assert browser.get("/").status_code == 303


def test_a_login_has_a_session_of_its_own_and_ends_the_one_before(
    browser: Browser, provider: OidcProvider, emptied: Settings
) -> None:
    browser.log_in(emptied, "mallory")
    planted = browser.cookie
    assert log_in(browser, provider).status_code == 303
    assert browser.cookie not in ("", planted)
    thief = Browser(browser.client.app)  # type: ignore[arg-type]
    thief.carry(planted)
    assert thief.get("/").status_code == 303
    thief.carry("an-id-that-somebody-chose-for-me-0123456789")
    assert log_in(thief, provider).status_code == 303 and thief.cookie != "an-id-that-somebody-chose-for-me-0123456789"


def test_a_session_goes_on_after_a_restart_and_ends_with_the_rules_that_gave_it(
    browser: Browser, provider: OidcProvider, settings_here: Settings, emptied: Settings
) -> None:
    assert log_in(browser, provider).status_code == 303

    def status(settings: Settings) -> int:
        other = Browser(app_of(settings))
        other.carry(browser.cookie)
        return int(other.get("/").status_code)

    assert status(settings_here) == 200
    changed: dict[str, object] = {"oidc_roles": ROLES | {"others": ("viewer",)}}
    assert status(provider.settings(emptied, oidc_hours=1)) == 200
    for values in (changed, {"oidc_groups": "roles"}, {"oidc_client_id": "other"}, {"oidc_issuer": "https://login.example"}):
        browser.client.cookies.clear()
        assert log_in(browser, provider).status_code == 303
        assert status(provider.settings(emptied, **values)) == 303
        assert status(settings_here) == 303, "ended, not hidden"
    assert log_in(browser, provider).status_code == 303
    assert status(emptied) == 303


def test_after_some_hours_the_provider_is_asked_again(browser: Browser, provider: OidcProvider) -> None:
    assert log_in(browser, provider).status_code == 303
    oidc = browser.client.app.state.desk.oidc  # type: ignore[attr-defined]
    now = oidc._clock
    oidc._clock = lambda: now() + 12 * 3600 - 60
    assert browser.get("/").status_code == 200
    oidc._clock = lambda: now() + 12 * 3600 + 1
    assert browser.get("/").status_code == 303


def test_what_was_typed_when_the_session_ended_is_there_after_the_login(
    browser: Browser, provider: OidcProvider, emptied: Settings
) -> None:
    browser.log_in(emptied)
    token = browser.csrf()
    browser.client.cookies.clear()
    page = browser.post("/logout", {"csrf": token, "comment": "<b>known</b>"})
    assert page.status_code == 401 and 'action="/login/oidc"' in page.text
    kept = unescape(page.text.partition('name="kept" value="')[2].partition('"')[0])
    going = browser.post("/login/oidc", {"next": "/", "kept": kept})
    url = unescape(going.text.partition('content="0; url=')[2].partition('"')[0])
    answer = browser.get(path_of(provider.visit(url)))
    assert answer.status_code == 200 and "Nothing was done yet" in answer.text
    assert "<b>known" in unescape(answer.text) and "<b>known" not in answer.text
    assert browser.get("/").status_code == 200


def test_while_the_provider_is_away_other_ways_stay(provider: OidcProvider, emptied: Settings, tmp_path: Path) -> None:
    file = users_file(tmp_path / "users.yaml", otto="viewer")
    browser = Browser(app_of(provider.settings(emptied, users=file, oidc_issuer="http://127.0.0.1:9")))
    assert browser.get("/login/oidc").status_code == 503
    assert browser.post("/login", {"name": "otto", "password": password("otto")}).status_code == 303
    assert browser.post(link(emptied)).status_code == 303


def test_nobody_is_taken_for_somebody_of_the_users_file(provider: OidcProvider, emptied: Settings, tmp_path: Path) -> None:
    file = users_file(tmp_path / "users.yaml", Ines="admin")
    browser = Browser(app_of(provider.settings(emptied, users=file)))
    answer = log_in(browser, provider)
    assert answer.status_code == 403 and "ines is the name of somebody else here" in answer.text and not browser.cookie
    provider.person |= {"preferred_username": "eve", "groups": ["others"]}
    assert log_in(browser, provider).status_code == 403
    assert [(actor, act, subject, outcome != "done") for actor, act, subject, outcome in acts(emptied)] == [
        ("eve", "log in", "oidc", True),
        ("ines", "log in", "oidc", True),
    ]


def test_a_name_is_of_the_account_that_came_with_it_first(browser: Browser, provider: OidcProvider, emptied: Settings) -> None:
    assert log_in(browser, provider).status_code == 303
    provider.person |= {"sub": "u-2", "preferred_username": "INES"}
    other = Browser(browser.client.app)  # type: ignore[arg-type]
    answer = log_in(other, provider)
    assert answer.status_code == 403 and not other.cookie
    assert "INES is the name of somebody else here, who came from the provider first" in answer.text
    assert acts(emptied)[0][:3] == ("INES", "log in", "oidc") and "somebody else" in acts(emptied)[0][3]
    provider.person |= {"sub": "u-1", "preferred_username": "ines"}
    assert log_in(browser, provider).status_code == 303, "its own account has it still"

    store = table(emptied)
    with ThreadPoolExecutor(6) as pool:
        got = list(pool.map(lambda number: names.claim(table(emptied), "zoë", f"account {number}"), range(6)))
    assert got.count(True) == 1
    assert names.free(store, "Zoë") and not names.free(store, "zoë")
    assert names.claim(store, "zoë", "another") and not names.claim(store, "zoë", f"account {got.index(True)}")
    assert names.claim(store, "ann", "hers")
    with clickhouse_client(emptied.clickhouse) as client:  # a server that is killed may know a write and not have its row
        client.command("DELETE FROM console_names WHERE name = 'ann'")
    assert names.claim(store, "ann", "hers", sure_s=0) and not names.claim(store, "ann", "another")
