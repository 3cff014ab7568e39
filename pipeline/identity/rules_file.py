"""identity.yaml: which evidence links accounts, and how far.

    types:
      email: {profiles: 10, per_platform: 2}    # an address that more accounts have links nobody
      phone: {link: automatic}                  # else a suggestion: families share numbers
    blocked:                                    # names nobody: blank in rows, links nobody
      local_parts: [info, noreply, "null", "0000*"]
      emails: [frontdesk@hotel.example]         # or the hash, as rows have it
      phones: ["+49 30 901820"]
      pages: [https://www.acme.example]
    platforms:
      twitter: {bases: [consent, given, public]}  # mutual claims link, too
      reddit: {evidence: false}
    sources:
      webshop: {given: [email, phone, login]}   # its customers gave it these themselves
    largest: 50                                 # profiles of a customer at most

All keys are optional; `earshot identity apply` puts a file in force, and nothing reloads it. The form that is kept and recorded
(`kept`) has the hashes of blocked addresses and numbers, never the values themselves.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Literal, Self

import orjson
import polars as pl
from pydantic import AfterValidator, Field, StringConstraints, model_validator
from xxhash import xxh3_64_hexdigest

from pipeline.config import document
from pipeline.config.document import StrictModel
from pipeline.identity.profile_urls import pages
from schemas import events
from schemas.contacts import LOCAL_PARTS, Blocked, blocked
from schemas.hashes import HASH, STORED
from schemas.identity import BASES, Policy, Rules, TypeRule, value_key

Hashes = Callable[[str, Sequence[str]], list[str]]
"""Step privacy's: the keyed hashes of addresses (`author_email`) or numbers (`author_phone`); of hashes as they are stored
(STORED) those of the newest key."""
Basis = Literal["consent", "given", "public", "unknown"]
Type = Literal["email", "phone", "login", "page", "handle"]
GIVEN: tuple[Type, ...] = ("email", "phone", "login", "page", "handle")
"""The types of evidence that a source may give."""


def _is(pattern: str, text: str, form: str) -> str:
    if re.fullmatch(pattern, text):
        return text
    raise ValueError(f"{text!r} is no {form}, nor its hash as rows have it")


def _page(text: str) -> str:
    page = pages(pl.Series([text])).item()
    if page is None:
        raise ValueError(f"{text!r} is no page of somebody's own: it should look like https://example.com")
    return str(page)


def _local_part(text: str) -> str:
    if not text.strip("* "):  # rows would keep no address and no number any more, for good
        raise ValueError(f"{text!r} would block each address and number")
    if "@" in text:
        raise ValueError(f"{text!r} is more than what stands before the @: a whole address goes to blocked.emails")
    return text


Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]
Email = Annotated[Text, AfterValidator(lambda text: _is(rf"[^@\s]+@[^@\s]+|{HASH}", text, "e-mail address"))]
Phone = Annotated[Text, AfterValidator(lambda text: _is(rf"\+?[\d\s.()/-]+|{HASH}", text, "phone number"))]
Page = Annotated[Text, AfterValidator(_page)]
LocalPart = Annotated[Text, AfterValidator(_local_part)]
Platform = Annotated[str, StringConstraints(pattern=events.PLATFORM_PATTERN)]


class OfType(StrictModel):
    """A type of evidence."""

    profiles: int = Field(10, ge=2, le=1_000)
    """A value that more profiles have links nobody."""
    per_platform: int = Field(2, ge=1, le=1_000)
    """The same, for the profiles of one platform."""
    priority: int = Field(50, ge=1, le=1_000)
    """Evidence of a lower number links first."""
    link: Literal["automatic", "suggestion"] = "automatic"
    """A suggestion links when a steward accepts it."""

    @model_validator(mode="after")
    def _bounds(self) -> Self:
        if self.per_platform > self.profiles:
            raise ValueError(f"per_platform is {self.per_platform}, more than profiles, {self.profiles}")
        return self

    def rule(self) -> TypeRule:
        return TypeRule(self.priority, self.profiles, self.per_platform, self.link == "automatic")


class Login(OfType):
    """Accounts that a source knows to be one person's."""

    priority: int = Field(10, ge=1, le=1_000)


class OfEmail(OfType):
    """E-mail addresses."""

    priority: int = Field(20, ge=1, le=1_000)


class Handle(OfType):
    """Profiles that name each other's handle. A claim of one side is a suggestion, whatever `link` says."""

    priority: int = Field(30, ge=1, le=1_000)


class OfPhone(OfType):
    """Phone numbers."""

    priority: int = Field(40, ge=1, le=1_000)
    link: Literal["automatic", "suggestion"] = "suggestion"


class OfPage(OfType):
    """Pages of people's own."""

    link: Literal["automatic", "suggestion"] = "suggestion"


class Types(StrictModel):
    """All types of evidence; one that the file leaves out has its defaults."""

    login: Login = Login()
    email: OfEmail = OfEmail()
    handle: Handle = Handle()
    phone: OfPhone = OfPhone()
    page: OfPage = OfPage()


class BlockedValues(StrictModel):
    """Values that name nobody."""

    local_parts: tuple[LocalPart, ...] = Field(LOCAL_PARTS, max_length=10_000)
    """What stands before the @ of an address, or a whole number; with * at its end all that begin with it."""
    emails: tuple[Email, ...] = Field((), max_length=100_000)
    phones: tuple[Phone, ...] = Field((), max_length=100_000)
    pages: tuple[Page, ...] = Field((), max_length=100_000)


class OfPlatform(StrictModel):
    """The policy of a platform."""

    bases: tuple[Basis, ...] = Field(("consent", "given", "public", "unknown"), min_length=1)
    """Evidence of another basis links nobody."""
    evidence: bool = True
    """false: nothing about its accounts is evidence."""
    given: tuple[Type, ...] = ()
    """What its customers give themselves, where `sources` does not name the source."""


class OfSource(StrictModel):
    """A source, by the name in `source.name`."""

    given: tuple[Type, ...]


PLATFORMS = {"twitter": OfPlatform(bases=("consent", "given")), "email": OfPlatform(given=("email",))}
"""X permits links by consent, or by what the customer gave; who writes an e-mail gives the address."""


class RulesFile(StrictModel):
    """The file."""

    types: Types = Types()
    blocked: BlockedValues = BlockedValues()
    platforms: dict[Platform, OfPlatform] = {}
    sources: dict[Text, OfSource] = {}
    largest: int = Field(50, ge=2, le=1_000)

    def platform(self, name: str) -> OfPlatform:
        """The policy of a platform: the file's, else the default."""
        return self.platforms.get(name) or PLATFORMS.get(name) or OfPlatform()

    def given(self, platform: str, source: str | None) -> tuple[Type, ...]:
        """The types of evidence that the customers of this source give themselves."""
        named = self.sources.get(source or "")
        return named.given if named else self.platform(platform).given

    def kept(self, hashes: Hashes) -> RulesFile:
        """The rules without an address or number in clear: the form that tables keep."""
        values = self.blocked
        of = {"emails": ("author_email", values.emails), "phones": ("author_phone", values.phones)}
        hashed = {name: _hashed(hashes, column, given) for name, (column, given) in of.items()}
        return self.model_copy(update={"blocked": values.model_copy(update=hashed)})

    def contacts(self, hashes: Hashes) -> Blocked:
        """What step privacy blanks."""
        values = self.kept(hashes).blocked
        return blocked(values.local_parts, frozenset((*values.emails, *values.phones)))

    def compiled(self, version: int, hashes: Hashes) -> Rules:
        """The rules as the graph takes them."""
        values = self.kept(hashes).blocked
        of = {"email": values.emails, "phone": values.phones, "page": values.pages}
        names = {*PLATFORMS, *self.platforms}
        return Rules(
            version,
            {name: getattr(self.types, name).rule() for name in Types.model_fields},
            {name: Policy(frozenset(self.platform(name).bases), self.platform(name).evidence) for name in sorted(names)},
            Policy(frozenset(BASES)),
            frozenset(value_key(type_, value) for type_, given in of.items() for value in given),
            self.largest,
        )

    def fingerprint(self, hashes: Hashes) -> str:
        """Equal for files that say the same, in whatever order, and with values in clear or as hashes."""
        values = self.kept(hashes).model_dump(mode="json")
        values["blocked"] = {name: sorted(set(given)) for name, given in values["blocked"].items()}
        values["platforms"] = {name: self.platform(name).model_dump(mode="json") for name in {*PLATFORMS, *self.platforms}}
        for each in (*values["platforms"].values(), *values["sources"].values()):
            each.update({name: sorted(set(given)) for name, given in each.items() if isinstance(given, list)})
        return xxh3_64_hexdigest(orjson.dumps(values, option=orjson.OPT_SORT_KEYS))


def _hashed(hashes: Hashes, column: str, values: Sequence[str]) -> tuple[str, ...]:
    """The values as sorted hashes of the newest key; one may be a hash already."""
    clear = [value for value in values if not re.fullmatch(HASH, value)]
    return tuple(sorted({*hashes(column, clear), *hashes(STORED, [value for value in values if value not in clear])}))


def load_rules(path: Path) -> RulesFile:
    """Reads identity.yaml. Raises SettingsError with one line that names the file and the key."""
    return document.load(path, RulesFile)


def parse_rules(content: bytes, path: Path) -> RulesFile:
    """The rules in the content of `path`. Raises as `load_rules`."""
    return document.parse(content, path, RulesFile)


def without_values(problem: str) -> str:
    """The text of a problem with a file, for a record: a blocked address or number that it quotes is left out, also where the
    file is no YAML and a whole line is quoted. 2,000 characters at most."""
    text = problem[:2_000]
    if "blocked" in text:
        text = re.sub(r"""'.*'|".*\"""", "'...'", text)
    return re.sub(r"[\w.+-]+@[\w.-]+|\+?\d[\d ()./-]{4,}\d", "...", text)
