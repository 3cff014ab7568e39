"""What accounts show of who is who: logins by another account, links to other accounts, addresses of roles.

Apart from the links of fans, all of it is true. It has dice of its own: the people and the stream are the same without it.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from pipeline.generate.account import Account

LOGINS = {"shop": ("facebook", 0.5), "forum": ("facebook", 0.5), "helpdesk": ("twitter", 0.6)}
"""Where people log in, or are known, by which other account, and the share of those who have both."""
BY_HANDLE = 0.3
"""The share of them of whom the source knows the handle alone."""
LINKED, MUTUAL = 0.6, 0.7
"""Of people with two accounts that have pages the share that link one to the other; of these the share that link back."""
FANS, ROLES = 0.02, 0.02
"""The shares of accounts with a page that link to a stranger's, and of people who give the address of a role."""
ROLE = "info@example.org"


class Connections:
    """What each account shows besides what its platform says of it. Ask once a person, in order: a fan's star is one before."""

    def __init__(self, seed: int) -> None:
        self._dice = Random(f"connections {seed}").random
        self._star = ""

    def shown(self, accounts: dict[str, Account]) -> Iterator[tuple[Account, str]]:
        """Accounts of one person, each with further members of its `author`, as JSON after a comma."""
        links = dict(self._links([account for account in accounts.values() if account.page]))
        role = self._dice() < ROLES
        for platform, account in accounts.items():
            members = ""
            if link := links.get(platform):
                members += f',"bio":"{link}"' if '"url":' in account.author else f',"url":"{link}"'
            if login := self._login(platform, accounts):
                members += f',"accounts":["{login}"]'
            if role and not account.email:
                members += f',"email":"{ROLE}"'
            if members:
                yield account, members

    def _links(self, paged: list[Account]) -> Iterator[tuple[str, str]]:
        """Platforms, and the page to which the account there links."""
        if len(paged) > 1 and self._dice() < LINKED:
            first, second, *_ = paged
            yield first.platform, second.page
            if self._dice() < MUTUAL:
                yield second.platform, first.page
        elif paged and self._dice() < FANS and self._star:
            yield paged[0].platform, self._star
        if paged:
            self._star = paged[-1].page

    def _login(self, platform: str, accounts: dict[str, Account]) -> str:
        by, share = LOGINS.get(platform, ("", 0.0))
        other = accounts.get(by)
        if other is None or self._dice() >= share:
            return ""
        return f"{by}:@{other.handle}" if self._dice() < BY_HANDLE else other.key
