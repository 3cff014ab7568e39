"""Roles of the console: what each may do, and who somebody is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from enum import StrEnum
from functools import wraps
from typing import NamedTuple

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

Page = Callable[[Request], Awaitable[Response]]


class Role(StrEnum):
    """A person may have several. Everybody who is logged in may read the pages."""

    VIEWER = "viewer"
    OPS = "ops"
    ANALYST = "analyst"
    STEWARD = "steward"
    SRE = "sre"
    ADMIN = "admin"


MAY = {
    Role.VIEWER: "read every page",
    Role.OPS: "acknowledge, silence, test alerts; take, hand over and end conversations",
    Role.ANALYST: "read every page; what analysts do more comes with free queries",
    Role.STEWARD: "see personal data in clear, each look on record",
    Role.SRE: "pause and resume sources; look at dead letters and send them again",
    Role.ADMIN: "all of it",
}
"""What each may do; the table in docs/console.md."""


class Person(NamedTuple):
    """Who is logged in."""

    name: str
    roles: frozenset[Role]

    def may(self, *wanted: Role) -> bool:
        """Whether one of the roles is among theirs. An admin may all."""
        return Role.ADMIN in self.roles or not self.roles.isdisjoint(wanted)


def known_roles(names: list[str] | tuple[str, ...]) -> frozenset[Role]:
    """The roles of these names; a name that no version knows any more gives none."""
    return frozenset(role for role in Role if role in names)


def wants(*roles: Role) -> Callable[[Page], Page]:
    """A page, or an act, for people with one of these roles: others get 403. Each act has it; the guard checks all else."""

    def decorate(page: Page) -> Page:
        @wraps(page)
        async def guarded(request: Request) -> Response:
            person: Person = request.state.person
            if not person.may(*roles):
                names = " or ".join(sorted({*roles, Role.ADMIN}))
                raise HTTPException(403, f"This is for the role {names}; you have {', '.join(sorted(person.roles))}.")
            return await page(request)

        guarded.wanted = roles  # type: ignore[attr-defined]  # the tests look whether each act has it
        return guarded

    return decorate
