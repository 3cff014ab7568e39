"""Access tokens: fetched by a refresh token, taken by a real Dovecot, refused in every way; and secrets nowhere."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
from aiohttp import web

from pipeline.listen.states import Failed, NoCredentials, SourceError, Waiting
from tests.support.bad_imap import BadImap
from tests.support.imap import PASSWORD, Dovecot
from tests.support.mailbox import driving, taken
from tests.support.tokens import ACCESS, CLIENT, REFRESH, SECRET, TokenServer, refused

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


@pytest.fixture
def tokens() -> Iterator[TokenServer]:
    server = TokenServer()
    with server.running():
        yield server


def oauth(tokens: TokenServer) -> dict[str, str]:
    return {"url": f"{tokens.url}/token", "client_id": CLIENT, "client_secret_env": "APP_SECRET"}


@pytest.mark.stack
async def test_a_real_server_takes_an_access_token(tokens: TokenServer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with Dovecot(tokens=f"{tokens.url}/who") as server:
        async with driving(server.port, token=REFRESH, oauth=oauth(tokens)) as driver:
            assert "logged in as ada" in (line := await driver.check()) and "refresh token" not in line
        tokens.refresh_lasts_s = 86_400.0
        async with driving(server.port, token=REFRESH, oauth=oauth(tokens)) as driver:
            assert "; the refresh token ends 20" in await driver.check()
        async with driving(server.port, token=REFRESH, oauth=oauth(tokens), user="eve") as driver:
            with pytest.raises(NoCredentials, match="refuses the login") as error:
                await driver.check()
    assert tokens.granted == 3
    for secret in (REFRESH, SECRET, "ya29.access"):
        assert secret not in caplog.text and secret not in str(error.value)


@pytest.mark.stack
async def test_a_password_that_was_refused_is_not_tried_by_the_next_folder() -> None:
    shared = dict[str, object]()
    with Dovecot() as server:
        async with driving(server.port, token="wr0ng-kettle", shared=shared) as driver:
            with pytest.raises(NoCredentials, match="AUTHENTICATIONFAILED"):
                await driver.check()
    async with driving(server.port, token="wr0ng-kettle", shared=shared, folder="Sent") as driver:
        with pytest.raises(NoCredentials, match="AUTHENTICATIONFAILED"):  # though the server is gone
            await driver.check()
    async with driving(server.port, token=PASSWORD, shared=shared) as driver:
        with pytest.raises(Failed):
            await driver.check()


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (refused("invalid_grant", f"Token {REFRESH} has been expired or revoked."), NoCredentials, "invalid_grant (expired)"),
        (refused("invalid_grant", f"AADSTS70008: The token {REFRESH} is gone."), NoCredentials, "invalid_grant (AADSTS70008)"),
        (refused("invalid_grant", f"Bad Request {REFRESH}"), NoCredentials, "the refresh token: invalid_grant"),
        (refused("invalid_client", f"{SECRET} is wrong", 401), NoCredentials, "this app: invalid_client"),
        (refused("unauthorized_client", "no", 401), NoCredentials, "this app: unauthorized_client"),
        (refused("temporarily_unavailable", "later"), Failed, "temporarily_unavailable"),
        (refused(REFRESH, REFRESH), Failed, "status 400"),
        (web.json_response({"access_token": 5}), Failed, "status 200"),
        (web.json_response({"access_token": "a\nb"}), Failed, "status 200"),
        (web.json_response([REFRESH]), Failed, "status 200"),
        (web.Response(text=f"<html>{REFRESH}"), Failed, "HTML"),
        (web.Response(text="", status=400), Failed, "nothing"),
        (web.Response(text="no", status=500), Failed, "status 500"),
        (web.Response(text="no", status=429, headers={"Retry-After": "600"}), Waiting, "asks to wait"),
    ],
)
async def test_a_refresh_that_is_refused(
    tokens: TokenServer, answer: web.Response, kind: type[SourceError], words: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    tokens.refusal = answer
    server = BadImap()
    async with server.serving() as served, driving(served.port, token=REFRESH, oauth=oauth(tokens)) as driver:
        with pytest.raises(SourceError) as error:
            await driver.check()
    assert type(error.value) is kind and words in str(error.value)
    assert REFRESH not in str(error.value) and SECRET not in str(error.value) and REFRESH not in caplog.text
    assert not server.commands, "nothing is asked without a token"


async def test_the_server_says_why_in_a_challenge_and_gets_nothing_more(tokens: TokenServer) -> None:
    server = BadImap(answers={"CAPABILITY": b"* CAPABILITY IMAP4rev1 AUTH=XOAUTH2\r\nTAG OK done\r\n"})
    said = b"TAG NO [AUTHENTICATIONFAILED] " + (ACCESS % 1).encode() + b"\r\n"
    server.answers["AUTHENTICATE"] = b"+ \r\n+ eyJzdGF0dXMiOiI0MDAifQ==\r\n" + said
    async with server.serving() as served, driving(served.port, token=REFRESH, oauth=oauth(tokens)) as driver:
        with pytest.raises(NoCredentials, match=r"\[AUTHENTICATIONFAILED\] \*\*\*"):
            await driver.check()
    assert server.commands[-1] == "" and server.commands[-2] != "", "an empty answer to the challenge"


async def test_what_is_not_there(tokens: TokenServer) -> None:
    async with BadImap().serving() as served:
        async with driving(served.port, token=REFRESH, oauth=oauth(tokens)) as driver:
            with pytest.raises(Failed, match="no XOAUTH2"):
                await driver.check()
        lacking = {**oauth(tokens), "client_secret_env": "OTHER_SECRET"}
        async with driving(served.port, token=REFRESH, oauth=lacking) as driver:
            with pytest.raises(NoCredentials, match="variable OTHER_SECRET is not set"):
                await driver.check()
        with pytest.raises(NoCredentials, match="token_env or token_file"):
            async with driving(served.port, token=""):
                pass


@pytest.mark.parametrize("password", ["pässwörd €", 'with "quotes" and \\', "a b"])
async def test_a_password_of_any_characters(password: str) -> None:
    server = BadImap()
    async with server.serving() as served, driving(served.port, token=password) as driver:
        await driver.check()
        assert (await taken(driver.backfill({}, 0.0)))[0]
