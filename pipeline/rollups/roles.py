"""roles.yaml: what an account is to a brand, and what it wants, each by the first rule that holds.

    roles:                                            # of its rows about the brand, any
      - {name: press, role: media, bio: [reporter], followers: 1000}
      - {name: our-shops, role: partner, accounts: [{platform: x, handle: "@shop"}]}
      - {name: order, role: customer, kind: [order]}
    motives:                                          # of each row that somebody else wrote
      - {name: unhappy, motive: complaint, label: [negative]}
      - {name: asks, motive: question, asks: true}
      - {name: wish, motive: idea, words: {en: ["please add"], any: [feature request]}}

Of a rule all conditions must hold, of the same row; of a list any entry. The file replaces the rules of pipeline/roles.yaml. No
rule looks at an e-mail address: rows have its hash. docs/roles.md says what each condition is for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, model_validator

from pipeline.config import document
from pipeline.config.document import StrictModel, hint
from pipeline.processors.alerts.rule_fields import by_language
from pipeline.processors.mentions.brands import Account, Domain
from schemas.events import AUTHOR_KINDS, KINDS

DEFAULT_ROLES = Path(__file__).parents[1] / "roles.yaml"
"""The rules that are in force where there is no other roles.yaml."""
Role = Literal["customer", "prospect", "employee", "competitor", "media", "partner", "bot"]
Motive = Literal["complaint", "praise", "question", "idea", "promotion", "news"]


def _word(text: str) -> str:
    if not any(map(str.isalnum, text)):
        raise ValueError(f"{text!r} holds nothing to look for")
    return text


def _one_of(known: Sequence[str]) -> AfterValidator:
    def check(text: str) -> str:
        if text not in known:
            raise ValueError(f"it is one of {', '.join(known)}, not {text!r}{hint(text, known)}")
        return text

    return AfterValidator(check)


Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]
Word = Annotated[str, StringConstraints(strip_whitespace=True, max_length=200), AfterValidator(_word)]
Listed = Annotated[tuple[Word, ...], Field(min_length=1)]
Words = Annotated[dict[str, Listed], BeforeValidator(by_language)]


class Conditions(StrictModel):
    """What a rule asks of a row; a condition that is not named holds."""

    name: Name
    kind: tuple[Annotated[str, _one_of(KINDS)], ...] = ()
    """Of the event."""
    author: tuple[Annotated[str, _one_of(AUTHOR_KINDS)], ...] = ()
    """Of its author, as the source says."""
    account_of: Literal["brand", "competitor"] | None = None
    """The author is an account that brands.yaml names (support, handles) of the brand, or of one of its competitors."""
    ours: bool | None = None
    """Whether it was written for the brand: outbound."""
    accounts: tuple[Account, ...] = ()
    bio: tuple[Word, ...] = ()
    """Words of the author's profile, in any language."""
    domains: tuple[Domain, ...] = ()
    """The author's page is there, or in a part of it."""
    verified: bool | None = None
    followers: int | None = Field(None, ge=1)
    """So many at least."""
    label: tuple[Literal["negative", "neutral", "positive"], ...] = ()
    """Of sentiment."""
    words: Words = {}
    """By language, `any` for all; a text of unknown language may have those of any."""
    asks: bool | None = None
    """Whether it has a question mark behind a word."""

    @model_validator(mode="after")
    def _some(self) -> Conditions:
        if not self.given():
            raise ValueError(f"rule {self.name} has no condition: it would hold of all")
        return self

    def given(self) -> dict[str, object]:
        """The conditions that the rule has."""
        values = {name: getattr(self, name) for name in Conditions.model_fields if name != "name"}
        return {name: value for name, value in values.items() if value not in (None, (), {})}


class RoleRule(Conditions):
    """What gives a role."""

    role: Role


class MotiveRule(Conditions):
    """What gives a motive."""

    motive: Motive


class Roles(StrictModel):
    """The file."""

    roles: tuple[RoleRule, ...] = Field((), max_length=1_000)
    motives: tuple[MotiveRule, ...] = Field((), max_length=1_000)

    @model_validator(mode="after")
    def _named_once(self) -> Roles:
        lists: tuple[tuple[str, Sequence[Conditions]], ...] = (("roles", self.roles), ("motives", self.motives))
        for key, rules in lists:
            for name, count in Counter(rule.name for rule in rules).items():
                if count > 1:
                    raise ValueError(f"{key}: {count} are named {name}")
        return self


def load_roles(path: Path) -> Roles:
    """Reads roles.yaml. Raises SettingsError, one line that names the file, the rule and the key."""
    return document.load(path, Roles)


def parse_roles(content: bytes, path: Path) -> Roles:
    """Parses the content of `path`. Raises as `load_roles`."""
    return document.parse(content, path, Roles)
