"""The people of a stream: 20,000, with accounts on one or several platforms, most of them rarely active (Zipf)."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from pipeline.generate.account import MASTODON_HOST, Account
from pipeline.generate.connections import Connections
from pipeline.generate.phrases import FIRST_NAMES, HANDLE_WORDS, LANGUAGES, LAST_NAMES

PEOPLE = 20_000
SLOTS = 1 << 16
"""Slots of a platform from which authors are drawn; an account has as many as its share."""
ZIPF_SHIFT = 5
"""The k-th account of a platform by activity writes in proportion to 1 / (k + this)."""
PLATFORMS = {
    "twitter": 30, "instagram": 16, "facebook": 16, "shop": 14, "google_play": 6, "mastodon": 5, "reddit": 5, "helpdesk": 5,
    "forum": 3,
}  # fmt: skip
HOW_MANY = (0.5, 0.75, 0.92, 1.0)
"""The share of people with at most one, two, three, four accounts."""
EMAIL = {"shop": 1.0, "helpdesk": 0.9, "forum": 0.5, "facebook": 0.3}
PHONE = {"shop": 0.4, "helpdesk": 0.6, "facebook": 0.2}
SAME_HANDLE, LINKS_PAGE, FAMILY_PHONE = 0.5, 0.15, 0.08
TALENT = 1.0
"""Two thirds of accounts have a talent within e to the power of minus and plus this."""


@dataclass(frozen=True, slots=True)
class Person:
    name: str
    email: str
    phone: str
    accounts: dict[str, Account]
    """By platform."""


class Population:
    """Equal seeds give equal people, even if the streams differ; another seed gives others."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._random, self._talents = Random(seed), Random(f"talents of {seed}")
        self.accounts: list[Account] = []
        self._languages = [code for code, language in LANGUAGES.items() for _ in range(language.weight)]
        self._menu = [platform for platform, weight in PLATFORMS.items() for _ in range(weight)]
        self._salts = {platform: self._random.getrandbits(39) for platform in PLATFORMS}
        self._phone = ""
        self._connections = Connections(seed)
        self.people = [self._person(number) for number in range(PEOPLE)]
        self.draws = {platform: self._slots(platform) for platform in PLATFORMS}

    def _person(self, number: int) -> Person:
        dice = self._random.random
        first, last = self._pick(FIRST_NAMES), self._pick(LAST_NAMES)
        code = self._digits(number, 0)
        email = f"{first}.{last}.{number}-{self._seed}@example.{self._pick(('org', 'com', 'net'))}"
        if dice() >= FAMILY_PHONE or not self._phone:
            self._phone = f"+999 {code // 10**9:03d} {code % 10**9:09d}"
        handle = f"{self._pick(HANDLE_WORDS)}_{self._pick(HANDLE_WORDS)}{number}"
        chance = dice()
        wanted = 1 + sum(chance >= share for share in HOW_MANY)
        page = f"https://{handle.replace('_', '-')}.example" if wanted > 1 and dice() < LINKS_PAGE else ""
        language = self._pick(self._languages)
        accounts: dict[str, Account] = {}
        while len(accounts) < wanted:
            platform = self._pick(self._menu)
            if platform not in accounts:
                own = handle if dice() < SAME_HANDLE else f"{self._pick(HANDLE_WORDS)}{code % 9973}{platform[0]}{number}"
                accounts[platform] = self._account(number, platform, own, f"{first} {last}", language, email, page)
        for account, members in list(self._connections.shown(accounts)):
            whole = account._replace(author=f"{account.author[:-1]}{members}}}")
            accounts[account.platform] = self.accounts[account.number] = whole
        return Person(f"{first} {last}", email, self._phone, accounts)

    def _account(self, person: int, platform: str, handle: str, name: str, language: str, email: str, page: str) -> Account:
        dice = self._random.random
        own = str(self._digits(person, self._salts[platform]))
        handle += f"@{MASTODON_HOST}" if platform == "mastodon" else ""
        # Platforms hand the same address out in other spellings.
        email = (email if dice() < 0.5 else email.lower()) if dice() < EMAIL.get(platform, 0) else ""
        phone = (self._phone if dice() < 0.5 else self._phone.replace(" ", "")) if dice() < PHONE.get(platform, 0) else ""
        members = f'"id":"{own}","handle":"{handle}","name":"{name}","kind":"person"'
        if platform in ("twitter", "instagram", "mastodon"):
            members += f',"followers":{min(int(40 / (1 - dice())), 4_000_000)}'
        for field, value in (("email", email), ("phone", phone), ("url", page)):
            members += f',"{field}":"{value}"' if value else ""
        account = Account(
            len(self.accounts), person, platform, f"{platform}:{own}", handle, language,
            email.lower(), phone.replace(" ", ""), f'"author":{{{members}}}', self._talents.lognormvariate(0, TALENT),
        )  # fmt: skip
        self.accounts.append(account)
        return account

    def _slots(self, platform: str) -> list[Account]:
        accounts = [account for account in self.accounts if account.platform == platform]
        shares = [1 / (rank + ZIPF_SHIFT) for rank in range(1, len(accounts) + 1)]
        scale = SLOTS / sum(shares)
        slots: list[Account] = []
        due = 0.0
        for account, share in zip(accounts, shares, strict=True):
            due += share * scale
            slots += [account] * (round(due) - len(slots))
        return slots + accounts[: SLOTS - len(slots)]

    def _digits(self, number: int, salt: int) -> int:
        """A number of 12 digits, different for each person; equal for equal seeds."""
        return ((number + 1) * 0xBF58476D1CE4E5B9 + salt + self._seed * 0xD1B54A32D192ED03) % 10**12

    def _pick(self, choices: tuple[str, ...] | list[str]) -> str:
        return choices[int(self._random.random() * len(choices))]
