"""E-mail addresses and phone numbers: the form that is hashed, and those that name nobody.

One form for all: step privacy, imports, and people who type one. Who writes `info@example.org`, or the 0000000 of a form that
wants some number, shares it with strangers.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import phonenumbers
import polars as pl
from phonenumbers import PhoneNumberFormat, ValidationResult

EMAIL = pl.all().str.strip_chars().str.to_lowercase()
"""An address: without space around it, in lower case."""
PHONE = pl.all().str.replace_all(r"[\s.()/-]", "")
"""A number without spaces, dots, dashes, slashes and brackets; `e164` is its last form."""
LOCAL_PARTS = (
    "null", "none", "nil", "nan", "undefined", "unknown", "anonymous", "guest", "false", "true", "test", "tester", "testing",
    "example", "noreply", "no-reply", "no_reply", "donotreply", "do-not-reply", "mailer-daemon", "postmaster", "hostmaster",
    "webmaster", "abuse", "noc", "security", "info", "support", "sales",
    "marketing", "contact", "office", "admin", "0000*",
)  # fmt: skip
"""Blocked unless identity.yaml has others: words for no value, tests, machines, and the roles of RFC 2142."""

REGIONS: frozenset[str] = frozenset(phonenumbers.SUPPORTED_REGIONS)
"""ISO 3166."""


class Blocked(NamedTuple):
    """Contacts that name nobody: rows do not keep them, and they link nobody."""

    local_parts: frozenset[str]
    """What stands before @ and before +, in lower case; for a number all of it, without +."""
    beginnings: tuple[str, ...]
    """The same, of which the value is the beginning."""
    hashes: frozenset[str]
    """Keyed hashes, as rows have them."""

    def blocks(self, value: str, hashed: str) -> bool:
        """Whether the value, in the form that is hashed, or its hash is blocked."""
        name = value.removeprefix("+").partition("@")[0].partition("+")[0]
        return name in self.local_parts or name.startswith(self.beginnings) or hashed in self.hashes


def blocked(local_parts: tuple[str, ...], hashes: frozenset[str] = frozenset()) -> Blocked:
    """Blocked contacts; a local part that ends in * stands for all that begin with it."""
    names = [part.strip().lower() for part in local_parts]
    whole = frozenset(name for name in names if not name.endswith("*"))
    return Blocked(whole, tuple(sorted(name.removesuffix("*") for name in names if name.endswith("*"))), hashes)


DEFAULT = blocked(LOCAL_PARTS)
"""Blocked while no identity.yaml is in force."""


def e164(number: str, region: str) -> str:
    """The number as `+15550147`, its extension as `+15550147;ext=5`; as it came if it can't be read.

    `region` (ISO 3166, as DE) says what numbers without + are; blank: they stay as they came. About 20 µs.
    """
    try:
        parsed = phonenumbers.parse(number, region or None)
    except phonenumbers.NumberParseException:
        return number
    if phonenumbers.is_possible_number_with_reason(parsed) != ValidationResult.IS_POSSIBLE:
        return number  # also one without its area: strangers in other areas have the same
    written: str = phonenumbers.format_number(parsed, PhoneNumberFormat.E164)
    # Behind one number of a company many people have an extension of their own.
    return f"{written};ext={parsed.extension}" if parsed.extension else written


def is_number(number: str, region: str) -> bool:
    """Whether the number (in the form of PHONE) may be somebody's: it has an E.164 form, which one without its area has not;
    or, where no region says what a number without + is, 5 to 15 digits. About 20 µs."""
    try:
        found = phonenumbers.is_possible_number_with_reason(phonenumbers.parse(number, region or None))
        return bool(found == ValidationResult.IS_POSSIBLE)
    except phonenumbers.NumberParseException:
        return not region and re.fullmatch("[0-9]{5,15}", number) is not None
