"""The rules of roles.yaml as SQL conditions on a row of `interactions`, once for each of its brands (column `brand`)."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from pipeline.clickhouse.row_versions import quoted
from pipeline.processors.mentions.brands import OwnAccount
from pipeline.rollups.roles import Conditions
from schemas.identity import HANDLE_SQL

LANGUAGE_SQL = "if(sentiment_language != '', toString(sentiment_language), toString(language))"
"""As in table quarters."""
UNSPACED = {"ja", "th", "zh"}
"""Languages that are written without spaces: a word counts wherever it stands."""
ASKS = r"[\pL\pN\pP][?？؟]+(?:[^\pL\pN/&=]|$)"
"""A question mark behind a word: not the one of an address."""
Own = Mapping[str, Collection[OwnAccount]]
"""Brand -> accounts."""


def first_rule(rules: Sequence[Conditions], own: Own, others: Own) -> str:
    """The number of the first rule that holds, from 1 on; 0: none does. `own`: the accounts of each brand, `others`: those of
    its competitors."""
    pairs = [f"{_all_of(rule, own, others)}, {number}" for number, rule in enumerate(rules, 1)]
    return f"toUInt16(multiIf({', '.join(pairs)}, 0))" if pairs else "toUInt16(0)"


def _all_of(rule: Conditions, own: Own, others: Own) -> str:
    sides = {"brand": own, "competitor": others}
    made: dict[str, Callable[[Any], str]] = {
        "kind": lambda kinds: _is_in("kind", kinds),
        "author": lambda kinds: _is_in("author_kind", kinds),
        "account_of": lambda side: _of_brands(sides[side]),
        "ours": lambda ours: _if(ours, "direction = 'outbound' AND has(if(empty(brands_given), brands, brands_given), brand)"),
        "accounts": lambda accounts: _accounts([("", OwnAccount.of(each)) for each in accounts], False),
        "bio": lambda words: _says("author_bio", words),
        "domains": _page_in,
        "verified": lambda verified: _if(verified, "ifNull(author_verified, false)"),
        "followers": lambda least: f"ifNull(author_followers, 0) >= {least}",
        "label": lambda labels: _is_in("sentiment_label", labels),
        "words": _speaks,
        "asks": lambda asks: _if(asks, f"match(text, {quoted(ASKS)})"),
    }
    return " AND ".join(f"({made[name](value)})" for name, value in rule.given().items())


def _is_in(column: str, values: Iterable[str]) -> str:
    return f"{column} IN ({', '.join(map(quoted, values))})"


def _if(wanted: bool, condition: str) -> str:
    return condition if wanted else f"NOT ({condition})"


def _any_of(conditions: Iterable[str]) -> str:
    return " OR ".join(conditions) or "false"


# --- accounts ---------------------------------------------------------------------------------------------------------
def _of_brands(own: Own) -> str:
    """The author is one of the accounts of the row's brand."""
    return _accounts([(brand, account) for brand, accounts in own.items() for account in accounts], True)


def _accounts(named: Iterable[tuple[str, OwnAccount]], of_brand: bool) -> str:
    """The author is one of these accounts; `of_brand`: and the row's brand is the first of the pair."""
    listed: dict[tuple[str, ...], set[tuple[str, ...]]] = defaultdict(set)
    for brand, account in named:
        parts = {"toString(brand)": brand} if of_brand else {}
        parts |= {"toString(platform)": account.platform} if account.platform else {}
        parts |= {"author_id": account.id} if account.id else {HANDLE_SQL: account.handle}
        listed[tuple(parts)].add(tuple(parts.values()))
    return _any_of(
        f"({', '.join(columns)}) IN ({', '.join(_literal(row) for row in sorted(rows))})"
        for columns, rows in sorted(listed.items())
    )


def _literal(row: Sequence[str]) -> str:
    return f"({', '.join(map(quoted, row))})"


def _page_in(domains: Iterable[str]) -> str:
    host = "domain(lower(author_url))"
    return _any_of(f"{host} = {quoted(each)} OR endsWith({host}, {quoted('.' + each)})" for each in sorted(domains))


# --- words ------------------------------------------------------------------------------------------------------------
def _speaks(words: Mapping[str, Sequence[str]]) -> str:
    by_language = {code: listed for code, listed in words.items() if code != "any"}
    conditions = [_says("text", words["any"])] if "any" in words else []
    if by_language:
        pairs = [f"{LANGUAGE_SQL} = {quoted(code)}, {_says('text', each, code)}" for code, each in sorted(by_language.items())]
        unknown = _any_of(_says("text", each, code) for code, each in sorted(by_language.items()))
        conditions.append(f"multiIf({', '.join(pairs)}, {LANGUAGE_SQL} = '', {unknown}, false)")
    return _any_of(conditions)


def _says(column: str, words: Sequence[str], language: str = "") -> str:
    return f"match({column}, {quoted(pattern(words, language))})"


def pattern(words: Sequence[str], language: str = "") -> str:
    """The regular expression (RE2) for any of the words, whole, in small or capital letters, with any white space inside."""
    listed = [r"\s+".join(re.escape(part).replace("'", "['’]") for part in word.split()) for word in words]
    if language in UNSPACED:
        return f"(?i)(?:{'|'.join(listed)})"
    groups: dict[tuple[str, str], list[str]] = defaultdict(list)
    for word, said in zip(words, listed, strict=True):
        groups[_edge(word[0], "^"), _edge(word[-1], "$")].append(said)
    # An edge is large: each stands once, or RE2 has no room for its automaton and is ten times as slow.
    parts = [first + "(?:" + "|".join(each) + ")" + last for (first, last), each in groups.items()]
    return f"(?i)(?:{'|'.join(parts)})"


def _edge(letter: str, end: str) -> str:
    """Nothing of a word stands beside a letter or digit; beside a sign anything may: `50 % off!`, `#ad`."""
    return rf"(?:{end}|[^\pL\pN])" if letter.isalnum() else ""
