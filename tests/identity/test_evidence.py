"""Evidence: which edges the authors of rows give."""

from __future__ import annotations

from typing import Any

import polars as pl

from pipeline.config.keys import HashKeys
from pipeline.identity.evidence import MOST_NAMED, OF_AUTHORS, evidence
from pipeline.identity.graph import customers
from pipeline.identity.raised import raised
from pipeline.identity.rules_file import RulesFile
from pipeline.processors.privacy import Pseudonymise
from schemas.contacts import DEFAULT
from schemas.evidence import EVIDENCE_COLUMNS
from schemas.identity import account_key, edge_keys, value_key
from tests.identity.rows import PRIVACY, Event, rows_of

ANN = account_key("forum", "7")
AT = 1_788_220_800_000


def edges_of(*events: Event, rules: RulesFile | None = None) -> pl.DataFrame:
    return evidence(rows_of(*events), rules or RulesFile(), 4)


def facts(edges: pl.DataFrame, *columns: str) -> set[tuple[Any, ...]]:
    return set(edges.select(columns).rows())


def author(**fields: Any) -> Event:
    return {"author": {"id": "7", "handle": "Ann7", **fields}}


def test_an_address_and_a_number_are_values() -> None:
    edges = edges_of(author(email=" Ann@Example.org", phone="030 901820"))
    [email], [phone] = PRIVACY.hashes("author_email", ["ann@example.org"]), PRIVACY.hashes("author_phone", ["+4930901820"])
    assert facts(edges, "kind", "type", "a", "b", "a_platform", "b_platform", "rule", "basis") == {
        ("value", "email", ANN, value_key("email", email), "forum", "", "email", "unknown"),
        ("value", "phone", ANN, value_key("phone", phone), "forum", "", "phone", "unknown"),
    }
    assert facts(edges, "at", "rule_version", "held") == {(AT, 4, 0)}
    assert edges.schema == EVIDENCE_COLUMNS
    assert edges.get_column("edge").to_list() == edge_keys(edges).to_list()


def test_what_names_nobody_is_no_evidence() -> None:
    assert edges_of(author(email="noreply@example.org", phone="000000000")).is_empty()
    assert edges_of(author(), {"author": None}, {"author": {"email": "ann@example.org"}}).is_empty()


def test_pages_of_profiles_are_claims_and_the_claimant_bears_its_handle() -> None:
    edges = edges_of(author(url="https://x.com/AnnB", bio="also vk.com/id15 and https://ann.example"))
    assert facts(edges, "kind", "type", "a", "b", "b_platform", "rule", "basis") == {
        ("profile", "handle", ANN, account_key("twitter", None, "annb"), "twitter", "url", "public"),
        ("profile", "handle", ANN, account_key("vk", "15"), "vk", "bio", "public"),
        ("value", "handle", ANN, account_key("forum", None, "ann7"), "", "bears", "public"),
    }


def test_two_claims_meet() -> None:
    on_vk = {"platform": "vk", "author": {"id": "15", "handle": "annvk", "bio": "https://x.com/annb"}}
    on_x = {"platform": "twitter", "author": {"id": "22", "handle": "AnnB", "url": "https://x.com/AnnB", "bio": "vk.com/id15"}}
    edges = edges_of(on_vk, on_x)
    bears = {b: a for a, b in edges.filter(kind="value", type="handle").select("a", "b").rows()}
    claims = {(a, bears.get(b, b)) for a, b in edges.filter(kind="profile").select("a", "b").rows()}
    vk, x = account_key("vk", "15"), account_key("twitter", "22")
    assert claims == {(vk, x), (x, vk)}, "by handle one way, by id the other; its own page is no claim"


def test_other_accounts_that_a_source_knows_are_logins_by_id_and_claims_by_handle() -> None:
    edges = edges_of(
        author(accounts=["facebook:15", "bluesky:did:plc:1x", "crm:C-9", "twitter:@AnnB", "mastodon:@Ann@Toot.example"])
    )
    assert facts(edges, "kind", "type", "a", "b", "a_platform", "b_platform", "rule", "basis", "claimed") == {
        ("profile", "login", ANN, account_key("facebook", "15"), "forum", "facebook", "login", "unknown", ""),
        ("profile", "login", ANN, account_key("bluesky", "did:plc:1x"), "forum", "bluesky", "login", "unknown", ""),
        ("profile", "login", ANN, account_key("crm", "C-9"), "forum", "crm", "login", "unknown", ""),
        ("profile", "handle", ANN, account_key("twitter", None, "annb"), "forum", "twitter", "accounts", "public", "annb"),
        ("profile", "handle", ANN, account_key("mastodon", None, "ann@toot.example"), "forum", "mastodon", "accounts", "public",
         "ann@toot.example"),
        ("value", "handle", ANN, account_key("forum", None, "ann7"), "forum", "", "bears", "public", ""),
    }  # fmt: skip


def test_who_names_a_multitude_names_nobody() -> None:
    def named(count: int) -> int:
        bio, logins = " ".join(f"x.com/a{n}" for n in range(count)), [f"vk:{n}" for n in range(count)]
        some = {"platform": "gab", "author": {"id": "1", "bio": "vk.com/id15"}}
        return edges_of(author(bio=bio, accounts=logins), some).filter(kind="profile").height

    assert (named(MOST_NAMED), named(MOST_NAMED + 1)) == (2 * MOST_NAMED + 1, 1)
    assert edges_of(author(bio="x.com/a " * 2 * MOST_NAMED)).filter(kind="profile").height == 1


def test_a_login_alone_says_nothing_about_handles() -> None:
    assert facts(edges_of(author(accounts=["vk:15"])), "type", "rule") == {("login", "login")}


def test_the_source_decides_what_its_logins_rest_on() -> None:
    rules = RulesFile.model_validate({"sources": {"webshop": {"given": ["login", "handle"]}}})
    edges = edges_of({"source": {"name": "webshop"}, **author(accounts=["vk:15", "vk:@annvk"])}, rules=rules)
    assert facts(edges, "rule", "basis") == {("login", "given"), ("accounts", "given"), ("bears", "given")}


def test_an_account_that_names_itself_says_nothing() -> None:
    assert edges_of(author(accounts=["forum:7", "forum:@ANN7"], url="https://ann.example")).get_column("type").to_list() == [
        "page"
    ]
    by_handle = {"platform": "twitter", "author": {"handle": "@Ann", "url": "x.com/ANN", "accounts": ["twitter:@ann"]}}
    assert edges_of(by_handle).is_empty()


def test_handles_have_one_form_where_they_are_borne_and_claimed() -> None:
    """Of letters, ASCII alone has small ones here, as in ClickHouse."""
    bearer = {"platform": "youtube", "author": {"id": "1", "handle": "@ÄNN", "accounts": ["vk:@x"]}}
    claimant = author(bio="youtube.com/@ÄnN youtube.com/@änn", accounts=["youtube:@Änn"])
    edges = edges_of(bearer, claimant)
    [borne] = edges.filter(rule="bears", a_platform="youtube").get_column("b")
    assert facts(edges.filter(b_platform="youtube"), "b", "claimed") == {
        (borne, "Änn"), (account_key("youtube", None, "änn"), "änn"),
    }  # fmt: skip


def test_a_page_of_ones_own_is_a_value() -> None:
    edges = edges_of(author(url="https://www.Ann.example/"), {"platform": "shop", "author": {"id": "8", "url": "ann.example"}})
    assert facts(edges, "kind", "type", "a", "b", "basis") == {
        ("value", "page", ANN, value_key("page", "ann.example"), "public"),
        ("value", "page", account_key("shop", "8"), value_key("page", "ann.example"), "public"),
    }


def test_own_accounts_give_no_evidence() -> None:
    contact = {"email": "ann@example.org", "bio": "x.com/ann"}
    assert edges_of(
        {"direction": "outbound", **author(**contact)}, author(kind="staff", **contact), author(kind="bot", **contact)
    ).is_empty()
    assert edges_of(author(kind="organisation", **contact)).height == 3


def test_a_deleted_event_gives_none() -> None:
    posted = author(email="ann@example.org")
    deleted = {"id": "0", "operation": "delete", "occurred_at": "2026-09-02T00:00:00Z"}
    assert edges_of(posted, deleted).is_empty()


def test_an_edge_is_there_once_and_as_old_as_its_first_event() -> None:
    later = {"created_at": "2026-09-03T00:00:00Z", **author(email="ann@example.org")}
    first = author(email="ann@example.org")
    rows = rows_of(later, first, later)
    edges = evidence(rows, RulesFile(), 4)
    assert edges.select("at", "event").rows() == [(AT, rows.get_column("event_key")[1])]


def test_an_edge_that_is_known_and_given_later_is_there_with_both_bases() -> None:
    given = {"created_at": "2026-09-03T00:00:00Z", "source": {"name": "webshop"}, **author(email="ann@example.org")}
    rules = RulesFile.model_validate({"sources": {"webshop": {"given": ["email"]}}})
    edges = edges_of(author(email="ann@example.org"), given, rules=rules)
    assert edges.get_column("edge").n_unique() == 1
    assert edges.get_column("basis").to_list() == ["unknown", "given"]


def test_its_time_is_that_of_the_author_s_data() -> None:
    posted = author(email="ann@example.org")
    liked = {"id": "0", "operation": "update", "occurred_at": "2026-09-05T00:00:00Z", "metrics": {"likes": 3}}
    assert edges_of(posted, liked).get_column("at").to_list() == [AT]


def test_rules_say_who_gave_it_and_what_is_taken() -> None:
    rules = RulesFile.model_validate(
        {"platforms": {"reddit": {"evidence": False}}, "sources": {"webshop": {"given": ["email", "handle"]}}}
    )
    contact = author(email="ann@example.org", bio="x.com/ann")
    shop = {"source": {"name": "webshop"}}
    edges = edges_of({"platform": "reddit", **contact}, {"platform": "email", **contact}, contact | shop, rules=rules)
    assert facts(edges, "a_platform", "type", "basis") == {
        ("email", "email", "given"), ("email", "handle", "public"), ("forum", "email", "given"), ("forum", "handle", "given"),
    }  # fmt: skip


def test_a_batch_without_authors_data_costs_nothing() -> None:
    rows = rows_of({}, {"author": {"id": "1", "handle": "x"}})
    assert evidence(rows, RulesFile(), 1).schema == EVIDENCE_COLUMNS
    assert evidence(rows.clear(), RulesFile(), 1).is_empty()


def test_what_rows_say_links_as_the_rules_allow() -> None:
    """From records to customers: an address and mutual claims link, a number waits for a steward, X permits no public basis."""
    contact = {"email": "ann@example.org", "phone": "030 901820"}
    forum, shop = author(bio="vk.com/id15", **contact), {"platform": "shop", "author": {"id": "s", "email": "ANN@example.org"}}
    on_vk = {"platform": "vk", "author": {"id": "15", "handle": "annvk", "bio": "x.com/annb https://vk.com/annvk"}}
    on_x = {"platform": "twitter", "author": {"id": "22", "handle": "AnnB", "bio": "vk.com/id15"}}
    family = {"platform": "helpdesk", "author": {"id": "h", "phone": "+49 30 901820"}}
    login = {"platform": "shop", "author": {"id": "s", "accounts": ["facebook:f"]}}
    edges = edges_of(forum, shop, on_vk, on_x, family, login)

    def linked(rules: RulesFile) -> set[frozenset[int]]:
        found = customers(edges, [], rules.compiled(4, PRIVACY.hashes)).assignments
        members = found.group_by("customer").agg("profile").get_column("profile")
        return {frozenset(each) for each in members.to_list()}

    same_address = {ANN, account_key("shop", "s"), account_key("facebook", "f")}
    on_both = {account_key("vk", "15"), account_key("twitter", "22")}
    assert linked(RulesFile()) == {frozenset(same_address)}
    public = {"platforms": {"twitter": {"bases": ["consent", "given", "public"]}}}
    assert linked(RulesFile.model_validate(public)) == {frozenset(same_address), frozenset(on_both)}
    phones = {"types": {"phone": {"link": "automatic"}}}
    assert linked(RulesFile.model_validate(phones)) == {frozenset(same_address | {account_key("helpdesk", "h")})}


def test_a_handle_that_is_longer_than_any_is_no_claim() -> None:
    names = "n" * 400, "n" * 600
    claims = edges_of(*(author(id=str(n), accounts=[f"forum:@{name}"]) for n, name in enumerate(names)))
    assert {len(claimed) for claimed in claims.filter(kind="profile").get_column("claimed")} == {400}


def test_a_slash_in_a_bio_is_no_page() -> None:
    assert edges_of(author(bio="tea and/or coffee, 24/7. either / or")).is_empty()
    assert not edges_of(author(bio="see vk.com/id15.")).is_empty()


def test_a_blank_text_is_none() -> None:
    """As a row has it that was completed from ClickHouse's."""
    rows = rows_of(author(email="ann@example.org"), author(id="8", bio="tea"))
    blank = {column: pl.col(column).fill_null("") for column in OF_AUTHORS if column != "author_accounts"}
    blank |= {"author_accounts": pl.col("author_accounts").fill_null([]), "source_name": pl.col("source_name").fill_null("")}
    assert evidence(rows.with_columns(**blank), RulesFile(), 4).equals(evidence(rows, RulesFile(), 4))


def test_evidence_of_a_worker_with_the_keys_of_before_is_raised() -> None:
    events = (
        author(email="ann@example.org", phone="030 901820", url="https://ann.example"),
        author(id="8", email="bob@example.org"),
    )
    old, newest = edges_of(*events), Pseudonymise(HashKeys(("key", "later")), "DE", DEFAULT)
    new = raised(old, newest.hashes)
    for type_, value in ("email", "ann@example.org"), ("email", "bob@example.org"), ("phone", "+4930901820"):
        [hashed] = newest.hashes(f"author_{type_}", [value])
        assert new.filter(type=type_, hash=hashed).get_column("b").to_list() == [value_key(type_, hashed)]
    assert new.get_column("edge").to_list() == edge_keys(new).to_list()
    assert new.drop("edge", "b", "hash").equals(old.drop("edge", "b", "hash")) and new.schema == EVIDENCE_COLUMNS
    same = pl.col("type").is_in(["email", "phone"]).not_()
    assert new.filter(same).equals(old.filter(same)) and new.filter(same).height > 0
    assert raised(new, newest.hashes).equals(new) and raised(old, PRIVACY.hashes).equals(old)
