"""brands.yaml: the tracked brands, and how each is recognised.

    brands:
      - name: Northwind Air
        handles: ["@northwindair"]          # its accounts, as people address them
        keywords: [northwind, nwair]        # words that mean it
        phrases: ["north wind air"]         # the same, in several words; any white space between them
        exclude: ["northwind trading"]      # texts in which a keyword does not mean it
        competitors: [Halvorsen Rail]       # other brands of this file, for share_of_voice
        domains: [northwind.example]        # its web sites: a link there is a mention
        plurals: true                       # northwinds, too
        hashtags: false                     # not inside joined hashtags, such as #LoveNorthwind
        support:                            # its own accounts: their posts are outbound
          - {platform: twitter, handle: "@northwindhelp"}
          - {platform: facebook, id: "20531316728"}
        zone: Europe/Berlin                 # whose hours its volume follows, for spike rules; else UTC
        hours: {mon-fri: "09:00-18:00", holidays: DE}   # when it answers, in its zone (mentions/business_hours.py)

Only `name` is required. Terms are folded first (mentions/folding.py: case, accents, spacing) and match whole words
(mentions/matching.py: boundaries by script), in texts as a reader sees them (mentions/markup.py). One term may belong to
several brands. An exclusion that contains a keyword ("northwind trading") cancels the keyword inside it and no other; any other
exclusion ("recipe") cancels all keywords of its brand in that text. Handles, links, and brands that the source gave, always
count.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, NamedTuple

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from pipeline.config import document
from pipeline.config.document import StrictModel, hint
from pipeline.config.zone import UTC, Zone, Zones
from pipeline.processors.mentions.business_hours import MOST_CALENDARS, BusinessHours, Calendar
from pipeline.processors.mentions.terms import term_text
from schemas import events

SAMPLE_BRANDS = Path(__file__).parents[2] / "brands.yaml"
"""The brands of the sample stream."""


def _term(text: str) -> str:
    if not term_text(text):
        raise ValueError("it is empty, or nothing but white space and accents")
    return text


def _phrase(text: str) -> str:
    if len(text.split()) < 2:
        raise ValueError(f"{text!r} is one word: it belongs under keywords")
    return text


def _handle(text: str) -> str:
    bare = text.strip().removeprefix("@")
    if not bare or len(bare.split()) != 1:
        raise ValueError(f"{text!r} is no handle: it should look like @name")
    return bare


def _domain(text: str) -> str:
    bare = text.strip().lower().rstrip(".")
    labels = bare.split(".")
    if len(labels) < 2 or not all(re.fullmatch(r"[\w-]{1,63}", label) for label in labels):
        raise ValueError(f"{text!r} is no domain: it should look like example.com, without https:// and path")
    return bare


Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
Term = Annotated[str, AfterValidator(_term)]
Phrase = Annotated[str, AfterValidator(_term), AfterValidator(_phrase)]
Handle = Annotated[str, AfterValidator(_handle)]
Domain = Annotated[str, AfterValidator(_domain)]
Platform = Annotated[str, StringConstraints(pattern=events.PLATFORM_PATTERN)]


class Account(StrictModel):
    """An account of the brand itself, by its handle (in any case) or by its id on the platform."""

    platform: Platform
    handle: Handle | None = None
    id: Name | None = None

    @model_validator(mode="after")
    def _has_one_name(self) -> Account:
        if (self.handle is None) == (self.id is None):
            raise ValueError("an account has either a handle or an id")
        return self


class Brand(StrictModel):
    """A tracked brand and its terms."""

    name: Name
    handles: tuple[Handle, ...] = ()
    """Without their @."""
    keywords: tuple[Term, ...] = ()
    phrases: tuple[Phrase, ...] = ()
    exclude: tuple[Term, ...] = ()
    competitors: tuple[Name, ...] = ()
    domains: tuple[Domain, ...] = ()
    """Its web sites: a link to one of them, or to a part of it (shop.example.com), is a mention."""
    plurals: bool = False
    """Whether Latin-script keywords and phrases count with s or es behind them."""
    hashtags: bool = True
    """Whether keywords and phrases count inside joined hashtags."""
    support: tuple[Account, ...] = ()
    zone: Zone | None = None
    """Whose hours of the week the brand's volume follows (spike rules), and whose wall clock `hours` are by."""
    hours: BusinessHours | None = None
    """When it answers; none given: always."""


class Brands(StrictModel):
    """The file."""

    brands: tuple[Brand, ...] = Field(max_length=10_000)

    @model_validator(mode="after")
    def _consistent(self) -> Brands:
        names: dict[str, int] = {}
        for number, brand in enumerate(self.brands):
            if (first := names.setdefault(term_text(brand.name), number)) != number:
                raise ValueError(f"brands.{first} and brands.{number} are both named {brand.name}")
        known = {brand.name for brand in self.brands}
        for number, brand in enumerate(self.brands):
            where = f"brands.{number} ({brand.name})"
            for index, name in enumerate(brand.competitors):
                if name not in known or name == brand.name:
                    raise ValueError(f"{where}: competitors.{index}: {name!r} is {_no_competitor(name, brand.name, known)}")
            wanted = {term_text(term) for term in (*brand.keywords, *brand.phrases)}
            if brand.exclude and not wanted:
                raise ValueError(f"{where}: exclude: it cancels keywords and phrases, and this brand has none")
            for index, term in enumerate(brand.exclude):
                if term_text(term) in wanted:
                    raise ValueError(f"{where}: exclude.{index}: {term!r} is a keyword of the same brand")
        return self

    @model_validator(mode="after")
    def _few_calendars(self) -> Brands:
        calendars = {Calendar.of(brand.hours, brand.zone or UTC, 0) for brand in self.brands if brand.hours}
        if len(calendars) > MOST_CALENDARS:
            raise ValueError(
                f"brands: {len(calendars)} different business hours: {MOST_CALENDARS} at most, zones and holidays among them"
            )
        return self

    @property
    def zones(self) -> dict[str, str]:
        """By name, of the brands that have a zone."""
        return {brand.name: brand.zone for brand in self.brands if brand.zone is not None}

    def named(self, name: str) -> Brand | None:
        """The brand of this name; None if there is none."""
        return next((brand for brand in self.brands if brand.name == name), None)


def _no_competitor(name: str, own: str, known: set[str]) -> str:
    return "the brand itself" if name == own else f"no brand of this file{hint(name, known)}"


class OwnAccount(NamedTuple):
    """An account of a brand's own. Only one of `handle`, in small letters (of ASCII) without @, and `id` is there."""

    platform: str
    """Blank: any."""
    handle: str
    id: str

    @classmethod
    def of(cls, account: Account) -> OwnAccount:
        return cls(account.platform, lower(account.handle or ""), account.id or "")


class BrandNames(NamedTuple):
    """The part of the file that control needs: the names; zones, business hours, own accounts and competitors of those that
    have them."""

    brands: list[str]
    zones: Zones
    hours: Mapping[str, BusinessHours]
    accounts: Mapping[str, frozenset[OwnAccount]] = {}
    competitors: Mapping[str, tuple[str, ...]] = {}


def load_brands(path: Path) -> Brands:
    """Reads brands.yaml. Raises SettingsError with one line that names the file, the brand and the key."""
    return document.load(path, Brands)


def parse_brands(content: bytes, path: Path) -> Brands:
    """The brands in the content of `path`. Raises as `load_brands`."""
    return document.parse(content, path, Brands)


def parse_names(content: bytes, path: Path) -> BrandNames:
    """The names in the content of `path`. Raises as `load_brands`."""
    return names_of(parse_brands(content, path))


def names_of(file: Brands) -> BrandNames:
    """What control needs of the file."""
    hours = {brand.name: brand.hours for brand in file.brands if brand.hours is not None}
    accounts = {
        brand.name: frozenset(
            (*map(OwnAccount.of, brand.support), *(OwnAccount("", lower(handle), "") for handle in brand.handles))
        )
        for brand in file.brands
        if brand.support or brand.handles
    }
    competitors = {brand.name: brand.competitors for brand in file.brands if brand.competitors}
    return BrandNames([brand.name for brand in file.brands], file.zones, hours, accounts, competitors)


def lower(handle: str) -> str:
    """In small letters of ASCII alone, as ClickHouse's `lower` makes them."""
    return handle.encode().lower().decode()
