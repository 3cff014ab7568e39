"""The cookies: of a session, and of a login that is at its provider."""

from __future__ import annotations

from starlette.responses import Response


class Cookie:
    """Where it is https, prefix `__Host-` makes a browser take it from this host alone and send it by TLS alone. No script
    reads it, no form of another site sends it, and it is gone when the browser closes: a session's end is the server's."""

    def __init__(self, https: bool, name: str = "earshot") -> None:
        self.name = f"__Host-{name}" if https else name
        self._https = https

    def give(self, answer: Response, token: str, valid_s: float | None = None) -> None:
        """Sets it, in place of any before; with `valid_s` the browser forgets it after that."""
        age = None if valid_s is None else round(valid_s)
        answer.set_cookie(self.name, token, max_age=age, path="/", secure=self._https, httponly=True, samesite="lax")

    def take(self, answer: Response) -> None:
        """Deletes it."""
        answer.delete_cookie(self.name, path="/", secure=self._https, httponly=True, samesite="lax")
