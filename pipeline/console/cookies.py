"""The cookie of a session."""

from __future__ import annotations

from starlette.responses import Response


class Cookie:
    """Where it is https, prefix `__Host-` makes a browser take it from this host alone and send it by TLS alone. No script
    reads it, no form of another site sends it, and it is gone when the browser closes: a session's end is the server's."""

    def __init__(self, https: bool) -> None:
        self.name = "__Host-earshot" if https else "earshot"
        self._https = https

    def give(self, answer: Response, token: str) -> None:
        """Sets it, in place of any before."""
        answer.set_cookie(self.name, token, path="/", secure=self._https, httponly=True, samesite="lax")

    def take(self, answer: Response) -> None:
        """Deletes it."""
        answer.delete_cookie(self.name, path="/", secure=self._https, httponly=True, samesite="lax")
