"""The rules of roles.yaml as SQL conditions on a row of `interactions`, once for each of its brands (column `brand`)."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

import orjson

from pipeline.clickhouse.row_versions import quoted
from pipeline.processors.mentions.brands import OwnAccount
from pipeline.rollups.roles import Conditions
from schemas.identity import HANDLE_SQL

LANGUAGE_SQL = "if(sentiment_language != '', toString(sentiment_language), toString(language))"
"""As in table quarters."""
UNSPACED = {"ja", "th", "zh"}
"""Languages that are written without spaces: a word counts wherever it stands."""
_BRAND = "toString(brand)"
ASKS = r"[\pL\pN\pP][?？؟]+(?:[^\pL\pN/&=]|$)"
"""A question mark behind a word: not the one of an address."""
Own = Mapping[str, Collection[OwnAccount]]
"""Brand -> accounts."""
Rivals = Mapping[str, Sequence[str]]
"""Brand -> its competitors."""


def first_rule(rules: Sequence[Conditions], own: Own, competitors: Rivals) -> str:
    """The number of the first rule that holds, from 1 on; 0: none does. `own`: the accounts of each brand."""
    pairs = [f"{_all_of(rule, own, competitors)}, {number}" for number, rule in enumerate(rules, 1)]
    return f"toUInt16(multiIf({', '.join(pairs)}, 0))" if pairs else "toUInt16(0)"


def _all_of(rule: Conditions, own: Own, competitors: Rivals) -> str:
    made: dict[str, Callable[[Any], str]] = {
        "kind": lambda kinds: _is_in("kind", kinds),
        "author": lambda kinds: _is_in("author_kind", kinds),
        "account_of": lambda side: _of_brand(own) if side == "brand" else _of_competitor(own, competitors),
        "ours": lambda ours: _if(ours, "direction = 'outbound' AND has(if(empty(brands_given), brands, brands_given), brand)"),
        "accounts": lambda accounts: _accounts(OwnAccount.of(each) for each in accounts),
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
def _of_brand(own: Own) -> str:
    """The author is one of the accounts of the row's brand."""
    return _any_of(
        f"({_BRAND}, {', '.join(columns)}) IN (SELECT {_places(1, len(columns) + 1)} FROM ({_lines(lines)}))"
        for columns, lines in _by_columns(own)
    )


def _of_competitor(own: Own, competitors: Rivals) -> str:
    """The author is an account of one of the brand's competitors, and none of its own. The server puts brands, competitors and
    accounts together: 10,000 brands with a hundred competitors each made a statement of 114 MB."""
    rivals = sorted((brand, name) for brand, names in competitors.items() for name in set(names) if name in own)
    owned = f"SELECT line[1] AS about, line[2] AS owner FROM ({_lines(rivals)})"
    found = _any_of(
        f"sipHash64({_BRAND}, {', '.join(columns)}) IN (SELECT sipHash64(about, {_places(2, len(columns))}) "
        f"FROM ({owned}) AS rivals INNER JOIN (SELECT line[1] AS owner, line FROM ({_lines(lines)})) AS accounts USING (owner))"
        for columns, lines in _by_columns(own)
    )
    return f"({found}) AND NOT ({_of_brand(own)})" if rivals else "false"


def _accounts(named: Iterable[OwnAccount]) -> str:
    """The author is one of these accounts."""
    return _any_of(
        f"({', '.join(columns)}) IN (SELECT {_places(2, len(columns))} FROM ({_lines(lines)}))"
        for columns, lines in _by_columns({"": named})
    )


def _by_columns(own: Mapping[str, Iterable[OwnAccount]]) -> list[tuple[tuple[str, ...], list[tuple[str, ...]]]]:
    """By the columns that tell an account: lines of brand and what these columns hold."""
    listed: dict[tuple[str, ...], set[tuple[str, ...]]] = defaultdict(set)
    for brand, accounts in own.items():
        for account in accounts:
            parts = {"toString(platform)": account.platform} if account.platform else {}
            parts |= {"author_id": account.id} if account.id else {HANDLE_SQL: account.handle}
            listed[tuple(parts)].add((brand, *parts.values()))
    return [(columns, sorted(lines)) for columns, lines in sorted(listed.items())]


def _lines(lines: Sequence[Sequence[str]]) -> str:
    """SELECT line (Array(String)). One literal, however many there are: of each a statement has a tree of its own, and 60,000
    took a gigabyte."""
    return f"SELECT arrayJoin(JSONExtract(materialize({quoted(orjson.dumps(lines).decode())}), 'Array(Array(String))')) AS line"


def _places(first: int, count: int) -> str:
    return ", ".join(f"line[{first + place}]" for place in range(count))


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
