"""A proxy before ClickHouse that is a user's profile: what a request does not set, it sets, and it notes what was not set."""

from __future__ import annotations

from collections.abc import Mapping

from aiohttp import web

from tests.support.proxy import LossyProxy, statement


class ProfileProxy(LossyProxy):
    """Between `with` and its end `url` serves as `upstream` does under the profile `defaults`.

    `inherited` is what the inserts took from the profile: the names of the settings, by table. `with_token`: the tables
    whose inserts carry a token.
    """

    def __init__(self, upstream: str, defaults: Mapping[str, str]) -> None:
        super().__init__(upstream, 0.0, seed=0)
        self._defaults = defaults
        self.inherited: dict[str, set[str]] = {}
        self.with_token: set[str] = set()

    def _asked(self, request: web.Request, body: bytes) -> str:
        missing = {name: value for name, value in self._defaults.items() if name not in request.query}
        verb, *words = statement(request, body).split()
        if verb.upper() == "INSERT":
            table = words[1].strip("`")
            self.inherited.setdefault(table, set()).update(missing)
            if "insert_deduplication_token" in request.query:
                self.with_token.add(table)
        return str(request.rel_url.update_query(missing))
