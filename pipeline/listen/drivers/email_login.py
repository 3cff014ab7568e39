"""Logins of a mailbox: by a password, or by an access token that a refresh token fetches (XOAUTH2); and errors in our words."""

from __future__ import annotations

import asyncio
import imaplib
import re
from base64 import b64encode
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from difflib import SequenceMatcher
from typing import NamedTuple
from urllib.parse import quote, urlencode

from pipeline.http import failures
from pipeline.http.answer import Answer
from pipeline.listen.api import Api, parsed
from pipeline.listen.credentials import variable
from pipeline.listen.drivers.email_folder import LogIn, is_passing
from pipeline.listen.drivers.email_wire import COMMAND_S, Broken, Client, said
from pipeline.listen.rest import REFUSED_S
from pipeline.listen.sources_file import OAuth
from pipeline.listen.states import Failed, NoCredentials, SourceError, Waiting
from pipeline.listen.timer import Timer

BUSY_S = 300.0
LONGEST_WORDS = 200
LONGEST_S = 100 * 365 * 86_400.0
SHARED = 6
"""So many characters that the server's words share with a secret are hidden."""
_BUSY = re.compile(r"\[(?:LIMIT|OVERQUOTA|THROTTLED)|too many|maximum number of connections|bandwidth", re.IGNORECASE)
_ANSWERS = (200, 400, 401, 403)
_PASSING = ("temporarily_unavailable", "server_error", "slow_down")


class Logins:
    """Of a mailbox, shared by its sources: one of them logs in at a time, and for REFUSED_S after a refusal none does.

    All of them are refused together, so they rest together, and then one of them tries again."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._refused, self._why, self._at = "", "", 0.0

    @asynccontextmanager
    async def turn(self, token: str, timer: Timer) -> AsyncIterator[None]:
        """For a login with this token. Raises NoCredentials before it, if it was refused just now."""
        async with self._turn:
            if token == self._refused and 0.0 <= timer.now() - self._at < REFUSED_S:
                raise NoCredentials(self._why)
            try:
                yield
            except NoCredentials as error:
                self._refused, self._why, self._at = token, str(error), timer.now()
                raise


class Refused(Exception):
    """The server does not take the login; the text: its words."""


class Access(NamedTuple):
    """What a refresh token gave."""

    token: str
    refresh_lasts_s: float | None
    """How long the refresh token lasts, as Google says of an app in testing; None: the endpoint does not say."""


async def access_token(api: Api, oauth: OAuth, refresh_token: str, environ: Mapping[str, str]) -> Access:
    """A fresh one. Raises SourceError: NoCredentials where the refresh token, or the app, is refused."""
    secret = variable(oauth.client_secret_env, "client_secret_env", environ) if oauth.client_secret_env else ""
    fields = {
        "grant_type": "refresh_token",
        "refresh_token": refresh_token,
        "client_id": oauth.client_id,
        "client_secret": secret,
        "scope": oauth.scope,
    }
    answer = await api.send(
        "POST",
        oauth.url,
        headers={"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"},
        body=urlencode({name: value for name, value in fields.items() if value}, quote_via=quote).encode(),
        expect=_ANSWERS,
    )
    found = parsed(answer)
    token = found.get("access_token") if isinstance(found, dict) else None
    if answer.status == 200 and isinstance(token, str) and token.isascii() and token.isprintable():
        lasts = found.get("refresh_token_expires_in") if isinstance(found, dict) else None
        return Access(token, lasts if isinstance(lasts, int | float) and 0 <= lasts < LONGEST_S else None)
    raise _refusal(answer, found if isinstance(found, dict) else {})


def _refusal(answer: Answer, found: Mapping[str, object]) -> SourceError:
    """Of the endpoint's words only names of errors: it may repeat the token."""
    name = str(found.get("error", ""))
    if not re.fullmatch(r"[a-z_]{1,40}", name):
        return Failed(f"the token endpoint gives no access token: status {answer.status}")
    if name in _PASSING:
        return Failed(f"the token endpoint gives no access token: {name}")
    words = str(found.get("error_description", ""))
    code = re.search(r"\bAADSTS\d{4,9}\b", words)
    reasons = ("expired", "revoked", "consent", "password", "disabled", "unauthorized", "mismatch")
    kind = code[0] if code else next((reason for reason in reasons if reason in words.lower()), "")
    what = "the refresh token" if name == "invalid_grant" else "this app"
    return NoCredentials(f"the token endpoint refuses {what}: {name}{f' ({kind})' if kind else ''}")


def by_password(user: str, password: str) -> LogIn:
    """AUTHENTICATE PLAIN, which takes any character, or LOGIN where the server has no other."""

    def log_in(client: Client) -> None:
        try:
            if client.has_capability("AUTH=PLAIN"):
                client.plain_login(user, password)
            elif client.has_capability("LOGINDISABLED"):
                raise Failed("the server takes no password on a connection without TLS")
            elif not (user + password).isascii():
                raise NoCredentials("the server takes no password with such characters")
            else:
                client.login(f'"{user}"' if re.search(r"[^\w.@+-]", user) else user, password)
        except imaplib.IMAP4.error as error:
            raise Refused(said(error)) from None

    return log_in


def by_token(user: str, token: str) -> LogIn:
    """XOAUTH2. The server says why it refuses in a challenge, which is answered by nothing."""
    answers = iter((_xoauth2(user, token),))

    def log_in(client: Client) -> None:
        if not client.has_capability("AUTH=XOAUTH2"):
            raise Failed("the server takes no access token: it has no XOAUTH2")
        try:
            client.sasl_login("XOAUTH2", lambda challenge: next(answers, ""))
        except imaplib.IMAP4.error as error:
            raise Refused(said(error)) from None

    return log_in


def written(user: str, secret: str) -> tuple[str, ...]:
    """The secret in each form in which a server gets it, and may repeat it."""
    quoted = secret.replace("\\", "\\\\").replace('"', '\\"')
    answers = (f"\0{user}\0{secret}", _xoauth2(user, secret))
    return (*(b64encode(answer.encode()).decode() for answer in answers), quoted, secret)


def _xoauth2(user: str, token: str) -> str:
    return f"user={user}\1auth=Bearer {token}\1\1"


def _without(words: str, secrets: tuple[str, ...]) -> str:
    """The words without what they share with a secret: a server may repeat a part of it, or cut it."""
    for secret in secrets:
        least = min(SHARED, len(secret))
        while (same := SequenceMatcher(None, words, secret, autojunk=False).find_longest_match()).size >= least:
            words = f"{words[: same.a]}\0{words[same.a + same.size :]}"  # no secret holds a NUL
    return words.replace("\0", "***")


def named(error: Exception, secrets: tuple[str, ...], now: float) -> SourceError:
    """The state that an error of a session stands for; `secrets` are not in its text."""
    if isinstance(error, SourceError):
        return error
    if isinstance(error, TimeoutError):
        return Failed(f"the server gave no answer within {COMMAND_S:g} s")
    if isinstance(error, OSError):
        return Failed(str(failures.named(error)))
    if not isinstance(error, imaplib.IMAP4.error | Broken | Refused):
        return Failed(f"the server's answer makes no sense: {type(error).__name__}")
    words = _without(said(error)[: 2 * LONGEST_WORDS], secrets)[:LONGEST_WORDS]
    if _BUSY.search(words):
        return Waiting(f"the server asks to wait: {words}", now + BUSY_S)
    if isinstance(error, Refused) and not is_passing(words) and "command error: BAD" not in words:
        return NoCredentials(f"the server refuses the login: {words}")
    return Failed(f"the server says: {words}")
