"""identity.yaml: its defaults, its errors, its form in tables, and the rules that the graph takes."""

from __future__ import annotations

import hmac
import re
from pathlib import Path

import pytest

from pipeline.errors import SettingsError
from pipeline.identity.rules_file import Hashes, RulesFile, load_rules, parse_rules
from schemas.contacts import DEFAULT, e164
from schemas.hashes import STORED
from schemas.identity import BASES, Policy, TypeRule, value_key


def keyed(key: bytes) -> Hashes:
    """As step privacy hashes, in Germany."""

    def hashed(column: str, value: str) -> str:
        if column == STORED:
            return value
        text = value.strip().lower() if column == "author_email" else e164(re.sub(r"[\s.()/-]", "", value), "DE")
        return hmac.digest(key, text.encode(), "sha256").hex()

    return lambda column, values: [hashed(column, value) for value in values]


HASHES = keyed(b"key")
CLEAR = """
blocked:
  emails: [" Front.Desk@hotel.example"]
  phones: ["030 901820"]
  pages: ["https://www.Acme.example/"]
"""


def rules(text: str) -> RulesFile:
    return parse_rules(text.encode(), Path("identity.yaml"))


def test_the_defaults() -> None:
    compiled = rules("{}").compiled(3, HASHES)
    assert compiled.types == {
        "login": TypeRule(10, 10, 2, True), "email": TypeRule(20, 10, 2, True), "handle": TypeRule(30, 10, 2, True),
        "phone": TypeRule(40, 10, 2, False), "page": TypeRule(50, 10, 2, False),
    }  # fmt: skip
    assert compiled.platforms["twitter"] == Policy(frozenset({"consent", "given"}))
    assert compiled.policy == Policy(frozenset(BASES))
    assert (compiled.version, compiled.blocked, compiled.largest) == (3, frozenset(), 50)
    assert rules("{}").contacts(HASHES) == DEFAULT


def test_a_file_changes_what_it_names_and_nothing_else() -> None:
    file = rules(
        "types: {email: {profiles: 5}, phone: {link: automatic}}\n"
        "platforms: {reddit: {evidence: false}}\n"
        "sources: {webshop: {given: [phone]}}"
    )
    compiled = file.compiled(1, HASHES)
    assert compiled.types["email"] == TypeRule(20, 5, 2, True)
    assert compiled.types["phone"] == TypeRule(40, 10, 2, True)
    assert compiled.platforms["reddit"] == Policy(frozenset(BASES), evidence=False)
    assert compiled.platforms["twitter"] == Policy(frozenset({"consent", "given"}))
    assert file.given("email", None) == ("email",)
    assert file.given("email", "webshop") == ("phone",), "the source says it"
    assert file.given("forum", "another") == ()


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("types: {emial: {}}", "types.emial: unknown key, did you mean 'email'?"),
        ("types: {email: {profile: 3}}", "types.email.profile: unknown key, did you mean 'profiles'?"),
        ("types: {email: {per_platform: 11}}", "types.email: per_platform is 11, more than profiles, 10"),
        ("types: {email: {profiles: 1}}", "types.email.profiles: it is a whole number from 2 to 1000"),
        ("types: {email: {link: maybe}}", "types.email.link: "),
        ("blocked: {emails: [nobody]}", "blocked.emails.0: 'nobody' is no e-mail address, nor its hash as rows have it"),
        ("blocked: {phones: [+49 30 x]}", "blocked.phones.0: '+49 30 x' is no phone number"),
        ("blocked: {pages: [https://x.com/ann]}", "blocked.pages.0: 'https://x.com/ann' is no page of somebody's own"),
        ("blocked: {local_parts: [null]}", "blocked.local_parts.0: it is a text: quote a text that looks like another type"),
        ("blocked: {local_parts: ['*']}", "blocked.local_parts.0: '*' would block each address and number"),
        ("blocked: {local_parts: [info@acme.example]}", "blocked.local_parts.0: 'info@acme.example' is more than what stands"),
        ("platforms: {twitter: {bases: [consnet]}}", "platforms.twitter.bases.0: "),
        ("platforms: {twitter: {bases: []}}", "platforms.twitter.bases: name at least one"),
        ("platforms: {Twitter: {}}", "platforms.Twitter"),
        ("sources: {shop: {}}", "sources.shop.given: it is missing"),
        ("types: [", "line 1"),
    ],
)
def test_an_error_names_the_key_and_the_reason(text: str, error: str) -> None:
    with pytest.raises(SettingsError) as raised:
        rules(text)
    assert str(raised.value).startswith("identity.yaml: ")
    assert error in str(raised.value) and "\n" not in str(raised.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="No such file"):
        load_rules(tmp_path / "identity.yaml")


def test_the_form_in_tables_holds_hashes_only() -> None:
    kept = rules(CLEAR).kept(HASHES)
    [email], [phone] = kept.blocked.emails, kept.blocked.phones
    assert [email] == HASHES("author_email", ["front.desk@hotel.example"])
    assert [phone] == HASHES("author_phone", ["+4930901820"])
    text = kept.model_dump_json()
    assert "hotel" not in text and "901820" not in text
    assert RulesFile.model_validate_json(text) == kept, "it can be read again"
    assert kept.kept(HASHES) == kept
    assert rules(CLEAR).kept(keyed(b"other")).blocked.emails != (email,)


def test_blocked_values_reach_the_step_and_the_graph() -> None:
    file = rules(CLEAR)
    [email], [phone] = HASHES("author_email", ["front.desk@hotel.example"]), HASHES("author_phone", ["030901820"])
    assert file.contacts(HASHES).hashes == {email, phone}
    assert file.compiled(1, HASHES).blocked == {
        value_key("email", email), value_key("phone", phone), value_key("page", "acme.example"),
    }  # fmt: skip


def test_files_that_say_the_same_have_one_fingerprint() -> None:
    first = rules(CLEAR).fingerprint(HASHES)
    assert rules(CLEAR).kept(HASHES).fingerprint(HASHES) == first
    assert rules(CLEAR + "largest: 50\nplatforms: {twitter: {bases: [given, consent]}}").fingerprint(HASHES) == first
    for other in ("largest: 49", "platforms: {twitter: {bases: [consent]}}", "types: {email: {profiles: 9}}"):
        assert rules(f"{CLEAR}{other}").fingerprint(HASHES) != first
