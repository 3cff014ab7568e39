"""roles.yaml: what is wrong is named; conditions become SQL."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pipeline.errors import SettingsError
from pipeline.processors.mentions.brands import names_of, parse_brands
from pipeline.rollups.accounts import COUNTS, Accounts
from pipeline.rollups.role_sql import pattern
from pipeline.rollups.roles import DEFAULT_ROLES, Roles, load_roles, parse_roles

BRANDS = names_of(
    parse_brands(
        b"brands: [{name: Acme, handles: ['@ACME'], competitors: [Bolt]}, "
        b"{name: Bolt, support: [{platform: x, handle: '@bolt'}, {platform: y, id: \"7'\"}]}]",
        Path("brands.yaml"),
    )
)


def parsed(text: str) -> Roles:
    return parse_roles(text.encode(), Path("roles.yaml"))


def as_python(words: str) -> str:
    """Python's expressions know no \\pL."""
    return words.replace(r"[^\pL\pN]", r"[\W_]")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("rules: []", "rules: unknown key, did you mean 'roles'?"),
        ("roles: [{name: r, role: media, bios: [a]}]", "roles.0 (r): bios: unknown key, did you mean 'bio'?"),
        (
            "roles: [{name: r, role: medai, bio: [a]}]",
            "roles.0 (r): role: it is customer, prospect, employee, competitor, media, ",
        ),
        ("roles: [{name: r, role: media, kind: [reviw]}]", "not 'reviw', did you mean 'review'?"),
        ("roles: [{name: r, role: media, author: [boot]}]", "not 'boot', did you mean 'bot'?"),
        ("roles: [{name: r, role: media}]", "roles.0 (r): rule r has no condition: it would hold of all"),
        ("motives: [{name: r, motive: idea, words: {english: [a], en: [b]}}]", "'en' is en, which has words already"),
        ("motives: [{name: r, motive: idea, words: {en: ['!']}}]", "'!' holds nothing to look for"),
        ("motives: [{name: r, motive: idea, asks: true}, {name: r, motive: idea, asks: true}]", "motives: 2 are named r"),
        ("roles: [{name: r, role: partner, accounts: [{platform: x}]}]", "an account has either a handle or an id"),
        ("roles: [{name: r, role: partner, domains: [https://a.b/c]}]", "is no domain"),
        ("roles: [{name: r, role: media, followers: 0}]", "followers"),
    ],
)
def test_what_is_wrong_is_one_line_that_names_it(text: str, says: str) -> None:
    with pytest.raises(SettingsError) as caught:
        parsed(text)
    assert str(caught.value).startswith("roles.yaml: ") and says in str(caught.value) and "\n" not in str(caught.value)


def test_the_rules_that_ship_give_each_role_and_motive() -> None:
    shipped = load_roles(DEFAULT_ROLES)
    roles = {"bot", "employee", "competitor", "partner", "media", "customer", "prospect"}
    assert {rule.role for rule in shipped.roles} == roles
    assert {rule.motive for rule in shipped.motives} == set(COUNTS)


def test_a_whole_word_is_found_in_any_case() -> None:
    words = as_python(pattern(["I've  bought", "#ad", "straße", "50 %"], "en"))
    for text in ("I’VE bought it", "nice #ad", "(#AD)", "die Straße!", "now 50 %off", "i've\nbought"):
        assert re.search(words, text), text
    for text in ("I've boughten", "#adventure", "Hauptstraße", "ive bought"):
        assert not re.search(words, text), text
    assert re.search(pattern(["返品"], "ja"), "すぐ返品したい") and not re.search(as_python(pattern(["rat"])), "rate")


def test_other_rules_or_accounts_are_another_table() -> None:
    text = "roles: [{name: r, role: competitor, account_of: competitor}]"
    first = Accounts(parsed(text), BRANDS)
    assert first.rules == Accounts(parsed(text), BRANDS).rules
    others = [
        Accounts(parsed(text.replace("name: r", "name: s")), BRANDS),
        Accounts(parsed(text.replace("role: competitor", "role: media")), BRANDS),
        Accounts(parsed(text), BRANDS._replace(accounts={})),
        Accounts(Roles(), BRANDS),
    ]
    assert len({first.rules, *(each.rules for each in others)}) == 5


def test_many_words_share_their_edges() -> None:
    """An edge of each word's own was ten times the time: RE2 had no room for its automaton."""
    assert pattern([f"word{n}" for n in range(99)]).count(r"\pL") == 2
