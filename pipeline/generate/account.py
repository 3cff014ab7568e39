"""An account of a person of the stream, and the page that its platform gives it."""

from __future__ import annotations

from typing import NamedTuple

MASTODON_HOST = "toot.example"
_LONGEST_ON_X = 15


class Account(NamedTuple):
    number: int
    person: int
    platform: str
    key: str
    """`platform:author.id`."""
    handle: str
    language: str
    email: str
    phone: str
    author: str
    """Member `author` of an event, as JSON."""
    talent: float
    """How many more likes its posts get than those of others in the median; whatever its followers."""

    @property
    def page(self) -> str:
        """The account's page; blank on platforms where nobody has one."""
        ident = self.key.partition(":")[2]
        name, _, host = self.handle.partition("@")
        return {
            "twitter": f"https://x.com/{name}" if len(name) <= _LONGEST_ON_X else f"https://x.com/i/user/{ident}",
            "instagram": f"https://www.instagram.com/{name}/",
            "facebook": f"https://www.facebook.com/profile.php?id={ident}",
            "mastodon": f"https://{host}/@{name}",
            "reddit": f"https://www.reddit.com/user/{name}",
        }.get(self.platform, "")
