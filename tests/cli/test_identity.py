"""`earshot identity`: what stewards type, what the leader does with it, and what they read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pipeline.api.client import ask
from pipeline.clickhouse.client import clickhouse_client
from pipeline.config.settings import Settings
from pipeline.errors import ConflictError, SettingsError
from schemas.identity import value_key
from tests.support.commands import Run, set_variables
from tests.support.customers_api import LARS, Stewarded, edge, insert_events, insert_records, key_of, stewarded
from tests.support.oracle import connect

MAIL, PHONE = "ines@private.example", "+49 30 9018 2076"
SHOP, VK, CRM_1, CRM_2, FB = "shop:4711", "vk:17", "crm:C-1", "crm:C-2", "facebook:100"
INES = "twitter:55"
IN_CLEAR = ("ines@private", "9018", "2076")


@pytest.fixture
def house(emptied: Settings, stacked: Run, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stewarded]:
    insert_events(emptied, "twitter:55:@Ines", "shop:4711", "vk:17:@ines_k", "facebook:100", "mastodon:@ines@social.example")
    insert_events(emptied, "shop:4711", at=datetime(2026, 11, 3, tzinfo=UTC))
    insert_records(emptied, ["C-1", "C-2"])
    with stewarded(emptied) as found:
        set_variables(monkeypatch, found.settings)
        yield found


def hexed(name: str) -> str:
    return f"{key_of(name):016x}"


def recorded(settings: Settings) -> list[tuple[str, str, str, str]]:
    with connect(settings) as client:
        rows = client.query("SELECT action, by, why, refused FROM identity_commands FINAL ORDER BY sequence").result_rows
    return [tuple(row) for row in rows]


def test_profiles_are_linked_and_unlinked_and_each_step_is_on_record(house: Stewarded, stacked: Run) -> None:
    done = stacked("identity", "link", "twitter:@INES", "vk:17", "--why", "she called")
    first, second = sorted((INES, VK), key=lambda name: house.state.graph.customer_of(key_of(name)) != key_of(name))
    assert done.code == 0 and done.err == ""
    assert done.out.startswith("command 1: link, 1 profile moved\n")
    assert f"customer {hexed(second)} -> {hexed(first)}" in done.out
    assert stacked("identity", "link", VK, "twitter:@ines").err.endswith("command 1 by ines links them already\n")
    found = stacked("identity", "find", "@ines_k").out
    assert f"customer {hexed(first)}: 2 profiles" in found and "she called" in found and "linked by hand with" in found
    assert stacked("identity", "find", hexed(second)).out == found == stacked("identity", "find", "twitter:55").out
    shown = stacked("identity", "show", INES, VK).out
    assert "they are one customer" in shown and "for: this links them" in shown and "command 1 by ines" in shown
    assert (
        stacked("identity", "unlink", VK, INES).out
        == f"command 3: unlink, 1 profile moved\n  {second}: customer {hexed(first)} -> {hexed(second)}\n"
    )
    assert stacked("identity", "unlink", VK, INES).code == 1
    assert "they are different customers" in stacked("identity", "show", INES, VK).out
    assert [(action, by, why, bool(refused)) for action, by, why, refused in recorded(house.settings)] == [
        ("link", "ines", "she called", False),
        ("link", "ines", "", True),
        ("unlink", "ines", "", False),
        ("unlink", "ines", "", True),
    ]


def test_each_command_is_an_act_too_and_the_console_names_the_person(house: Stewarded) -> None:
    of = {"a": hexed(INES), "b": hexed(VK)}
    ask(house.settings, "customers", "POST", "/commands", {"action": "link", **of, "why": "she called"}, actor="Zoë")
    with pytest.raises(ConflictError, match="links them already"):
        ask(house.settings, "customers", "POST", "/commands", {"action": "link", **of})
    ask(house.settings, "customers", "POST", "/rules", {"rules": {}}, actor="Zoë")
    with clickhouse_client(house.settings.clickhouse) as client:
        acts = client.query("SELECT actor, toString(way), act, subject, outcome = 'done' FROM acts FINAL ORDER BY at, id")
        by = client.query("SELECT by FROM identity_commands FINAL WHERE refused = '' ORDER BY sequence").result_rows
    subject = f"{hexed(INES)} {hexed(VK)}"
    assert acts.result_rows == [
        ("Zoë", "console", "link", subject, 1),
        ("ines", "api", "link", subject, 0),
        ("Zoë", "console", "apply", "identity.yaml", 1),
    ]
    assert by[0] == ("Zoë",)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("link", SHOP, SHOP), "it names one profile twice"),
        (("link", SHOP, "vk:nobody"), "vk:nobody is unknown: no event, no evidence and no record of a CRM names it"),
        (("link", SHOP, "vk:@nobody"), "vk:@nobody is unknown"),
        (("link", CRM_1, CRM_2), "two records of a CRM would be one customer: confirm it (--confirm)"),
        (("unlink", SHOP, VK), "no link by hand of them stands"),
        (("link", SHOP, "vk:nobody"), "; a handle has an @ before it: vk:@nobody"),
        (("lift", SHOP, VK), "no never and no split of them stands: `earshot identity show A` lists"),
        (("release",), "nothing is held back"),
        (("accept", "00000000000000aa"), "there is no edge 00000000000000aa"),
        (("reject", "00000000000000aa"), "there is no edge 00000000000000aa"),
        (("split", SHOP, "--off", SHOP), "is its whole customer"),
        (("split", SHOP, "--off", VK), "is not in customer"),
        (("consent", "vk:nobody"), "vk:nobody is unknown"),
    ],
)
def test_what_can_not_be_done_is_refused_and_on_record(
    house: Stewarded, stacked: Run, arguments: tuple[str, ...], says: str
) -> None:
    done = stacked("identity", *arguments, "--why", "a try")
    assert (done.code, done.out) == (1, "") and says in done.err and done.err.count("\n") == 1
    ((action, by, why, refused),) = recorded(house.settings)
    assert (action, by, why) == (arguments[0], "ines", "a try") and refused
    assert house.state.graph.commands == {} and house.state.graph.linked == 0
    if SHOP in arguments:
        shown = stacked("identity", "show", SHOP).out
        assert f"  {arguments[0]} " in shown and "refused: " in shown and "a try" in shown


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("link", "ines", VK), "'ines' names no profile: write platform:id, platform:@handle, crm:ID"),
        (("link", "vk:", VK), "'vk:' names no profile"),
        (("show", "https://x.com/ines"), "names no profile"),
        (("accept", "12"), "'12' is no edge: it has 16 hexadecimal digits"),
        (("consent", VK, "--type", "emial"), "--type emial: it is one of .*, did you mean 'email'"),
        (("review", "--reason", "sugestion"), "--reason sugestion: it is one of .*, did you mean 'suggestion'"),
    ],
)
def test_what_is_no_command_is_wrong_usage(run: Run, arguments: tuple[str, ...], says: str) -> None:
    done = run("identity", *arguments)
    assert (done.code, done.out) == (2, "") and re.search(says, done.err)


def test_a_handle_of_several_is_asked_about(house: Stewarded, stacked: Run) -> None:
    insert_events(house.settings, "twitter:56:@INES", at=datetime(2026, 11, 4, tzinfo=UTC))
    done = stacked("identity", "link", "twitter:@ines", VK)
    assert (done.code, recorded(house.settings)) == (1, [])
    assert "twitter:@ines is several profiles: twitter:56 (last seen 2026-11-04), twitter:55 (last seen 2026-11-01)" in done.err
    assert stacked("identity", "link", "twitter:56", VK).code == 0


def test_who_has_no_token_commands_nothing(house: Stewarded, stacked: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EARSHOT_CUSTOMERS__TOKEN", "somebody else's token")
    done = stacked("identity", "link", SHOP, VK)
    assert done.code == 2 and "customers at http" in done.err and "EARSHOT_CUSTOMERS__TOKEN" in done.err
    monkeypatch.setenv("EARSHOT_CUSTOMERS__TOKEN", LARS)
    assert stacked("identity", "link", SHOP, VK).code == 0
    assert [by for _, by, _, _ in recorded(house.settings)] == ["lars"]


def test_evidence_is_found_by_what_people_type_and_never_shown_in_clear(house: Stewarded, stacked: Run) -> None:
    house.know(
        *house.shares("email", MAIL, SHOP, VK, CRM_1),
        *house.shares("phone", PHONE, SHOP, FB),
        edge("profile", "handle", FB, "vk:@ines_k", basis="public", rule="bio", claimed="ines_k"),
        edge("value", "handle", VK, key_of("vk:@ines_k"), basis="public", rule="bears"),
    )
    by_mail = stacked("identity", "find", f"  {MAIL.upper()} ")
    assert by_mail.code == 0 and ": 3 profiles" in by_mail.out
    for text in ("C-1", "crm:C-1", SHOP, "https://vk.com/ines_k", "ines_k", "@ines_k", hexed(VK)):
        assert stacked("identity", "find", text).out == by_mail.out, text
    assert stacked("identity", "find", PHONE).out.count("customer ") == 2  # a number is a suggestion: two customers
    lost = stacked("identity", "find", "nobody@private.example")
    assert lost.code == 1 and "nobody is known by this" in lost.err

    queue = stacked("identity", "review").out
    assert "suggestion: phone number " in queue and "suggestion: names @ines_k in its bio: " in queue
    edges = re.search(r"suggestion: phone number .*\n    earshot identity accept (\w+) (\w+)\n", queue)
    assert edges is not None and "edges that link nobody: suggestion 3" in queue
    against = stacked("identity", "show", SHOP, FB).out
    assert "they are different customers" in against and against.count("suggestion") == 2
    assert stacked("identity", "accept", *edges.groups()).code == 0
    together = stacked("identity", "show", FB, SHOP).out
    assert "they are one customer" in together and "for: this links them" in together
    assert "suggestion 1" in stacked("identity", "review").out
    path = stacked("identity", "show", FB, CRM_1).out
    assert path.count("  shop:4711: ") == 2  # by the number to the shop, by the address to the record

    split = stacked("identity", "split", CRM_1, "--off", SHOP)
    assert split.code == 0 and "profiles moved" in split.out
    apart = stacked("identity", "find", MAIL).out
    assert ": 3 profiles" in apart and ": 1 profile\n" in apart  # the rest stays together
    assert re.search(r"facebook:100 .*\n      phone number \w+, with shop:4711 \(split off\)", apart)  # by what stayed of it
    off = stacked("identity", "show", SHOP, FB).out
    assert "they are different customers\nagainst: this would" in off and f"split {hexed(SHOP)} " in off
    assert stacked("identity", "lift", SHOP, _customer_of(split.out)).code == 0
    assert stacked("identity", "never", FB, VK).code == 0
    kept = stacked("identity", "show", FB, VK).out
    assert "they are different customers" in kept and "never" in kept
    assert "keeps them apart: lift it first" in stacked("identity", "link", FB, VK).err
    assert "nothing to review" not in stacked("identity", "review", "--reason", "never").out
    assert stacked("identity", "withdraw", VK, "--type", "email").code == 0
    assert "withdrawn" in stacked("identity", "show", VK).out
    everything = by_mail.out + queue + against + together + path + kept
    assert not any(text in everything for text in IN_CLEAR)


def test_the_queue_names_who_shares_the_value_and_only_what_decides_it(house: Stewarded, stacked: Run) -> None:
    house.know(*house.shares("email", MAIL, SHOP, CRM_1), *house.shares("phone", PHONE, SHOP, FB))
    house.know(*house.shares("email", MAIL, CRM_2, at=1_790_000_001_000))
    queue = stacked("identity", "review").out
    double = re.search(r"two CRM records: e-mail address \w+: crm:C-2, shared with (.+) \(0 interactions\)\n( +.*)\n", queue)
    assert double is not None and set(double[1].split(", ")) == {SHOP, CRM_1}
    assert re.fullmatch(r"    earshot identity reject \w{16}", double[2])  # an accept would be refused
    assert queue.count("identity accept") == 1

    edges = re.search(r"earshot identity accept (\w+) (\w+)\n", queue)
    assert edges is not None
    first, second = edges.groups()
    assert stacked("identity", "accept", first).code == 0
    again = stacked("identity", "accept", first, second)  # pasted again: what was decided does not stop the rest
    assert again.code == 1 and ": accept, 1 profile moved\n" in again.out
    assert again.err.startswith(f"edge {first}: ") and again.err.endswith("is accepted already\n")
    house.know(*house.shares("phone", PHONE, VK))
    third = re.search(
        r"suggestion: phone number \w+: vk:@ines_k, shared with (.+) \(1 interactions\)", stacked("identity", "review").out
    )
    assert third is not None and set(third[1].split(", ")) == {SHOP, FB}


def test_what_people_type_is_found_or_a_line_says_why_not(
    house: Stewarded, stacked: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.know(*house.shares("phone", PHONE, SHOP), edge("value", "page", FB, value_key("page", "ines.example/blog")))
    house.know(*house.shares("email", MAIL, VK))
    for number in ("(+49) 30 / 9018-2076", "tel:+493090182076", "+49\u00a030\u20119018\u20132076"):
        assert "4711" in stacked("identity", "find", number).out, number
    for address in ("mailto:Ines@private.example", f"Ines K <{MAIL}>"):
        assert "vk" in stacked("identity", "find", address).out, address
    assert "facebook" in stacked("identity", "find", "https://www.ines.example/blog/").out
    insert_records(house.settings, ["0010000000000001", "SF:2"])  # as a key looks, and as a profile's name
    for record in ("0010000000000001", "SF:2"):
        assert f"crm:{record}" in stacked("identity", "find", record).out
    for blank in ("", " ", "@"):  # and not all profiles that have no handle
        done = stacked("identity", "find", blank)
        assert (done.code, done.out) == (2, "") and "names nobody: write an address" in done.err
    assert stacked("identity", "find", "vk:ines_k").err.endswith("record or key; a handle has an @ before it: vk:@ines_k\n")
    for command in (("identity", "show", "vk:ines_k"), ("identity", "show", SHOP, "vk:ines_k")):
        done = stacked(*command)
        assert (done.code, done.out) == (1, "")
        assert "vk:ines_k is unknown: no event" in done.err and done.err.endswith("has an @ before it: vk:@ines_k\n")
    done = stacked("query", "timeline", "--customer", "VK:ines_k")
    assert done.code == 1 and "VK:ines_k: no event of account " in done.err and "vk:@ines_k" in done.err

    def no_key(settings: Settings) -> None:
        raise SettingsError("setting privacy.hash_key is missing")

    monkeypatch.setattr("pipeline.cli.identity_read.privacy_of", no_key)  # a steward's own machine has none
    assert stacked("identity", "find", SHOP).code == 0
    assert "hash_key is missing" in stacked("identity", "find", MAIL).err


def _customer_of(moves: str) -> str:
    found = re.search(r"customer (\w{16}) ->", moves)
    assert found is not None
    return found[1]


def test_rules_are_tried_applied_and_refused(house: Stewarded, stacked: Run, tmp_path: Path) -> None:
    house.know(*house.shares("email", MAIL, SHOP, VK), *house.shares("phone", PHONE, SHOP, FB, at=1_790_000_001_000))
    file = tmp_path / "identity.yaml"
    file.write_text("types: {phone: {link: automatic}}\n")
    tried = stacked("identity", "dry-run", str(file))
    assert tried.code == 0 and tried.out.startswith("1 merges, 0 splits, 1 profiles with another customer\n")
    assert ": 3 profiles of 2 customers: " in tried.out and "facebook:100" in tried.out
    assert stacked("identity", "apply", str(file)).out == "version 1 is in force: 1 profiles have another customer\n"
    assert (
        "nothing changes: these rules say what version 1, which is in force, says"
        in stacked("identity", "apply", str(file)).out
    )
    assert "these rules say what version 1" in stacked("identity", "dry-run", str(file)).out
    file.write_text(f"blocked: {{emails: ['{MAIL}']}}\n")
    assert stacked("identity", "dry-run", str(file)).out.startswith("0 merges, 1 splits, 2 profiles")
    assert stacked("identity", "apply", str(file)).code == 0
    assert house.state.graph.linked == 0 and house.state.version == 2
    with connect(house.settings) as client:
        kept = client.query("SELECT rules FROM identity_rules WHERE version = 2").result_rows[0][0]
    assert MAIL not in kept and house.hashes("author_email", [MAIL])[0] in kept

    file.write_text("blocked: {emails: ['ines at private.example']}\n")
    for command in ("dry-run", "apply"):
        done = stacked("identity", command, str(file))
        assert done.code == 2 and f"{file}: blocked.emails" in done.err and "is no e-mail address" in done.err
    ((action, by, _, refused),) = recorded(house.settings)
    assert (action, by) == ("apply", "ines") and "blocked.emails" in refused and "private" not in refused
    assert house.state.version == 2
