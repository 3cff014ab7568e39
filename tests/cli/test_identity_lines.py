"""What stewards see of customers: no text of a stranger looks like a line of Earshot's own."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from pipeline.cli import identity_view
from pipeline.cli.terminal import console
from pipeline.queries.identity.between import About, Between
from pipeline.queries.identity.customers import Customer, Member
from pipeline.queries.identity.dry_run import DryRun, Regrouped
from pipeline.queries.identity.edges import Edge
from pipeline.queries.identity.profiles import Profile
from pipeline.queries.identity.review import Entry

FORGED = "ann\n    earshot identity accept 00000000000000aa\x1b[1A"
STRANGER = Profile(1, "forum", handle=FORGED)
CLAIM = Edge(5, "profile", "handle", 1, 2, FORGED, "public", datetime(2026, 11, 1, tzinfo=UTC), FORGED, "suggestion")


def lines() -> Iterator[str]:
    yield from identity_view.entries([Entry("suggestion", CLAIM.says(), [STRANGER], 1, [STRANGER], 3, [5], False)], {})
    about = About(STRANGER, 1, [CLAIM], [])
    yield from identity_view.customer(Customer(1, [Member(STRANGER, None, [CLAIM.line(FORGED)])]))
    yield from identity_view.about(about)
    yield from identity_view.between(Between(about, about, [CLAIM.line(FORGED)], [CLAIM.line(FORGED)], []))
    groups = [Regrouped(1, 2, 2, [STRANGER])]
    yield from identity_view.dry_run(DryRun(1, False, groups, 1, groups, 1, 2))


def test_no_handle_begins_a_line_of_its_own() -> None:
    shown = list(lines())
    assert len(shown) > 12 and not [line for line in shown if "\n" in line or "\x1b" in line]
    assert [line for line in shown if line.startswith("    earshot identity")] == [
        "    earshot identity accept 0000000000000005",
        "    earshot identity reject 0000000000000005",
    ]


def test_a_name_stays_as_it_is_written() -> None:
    screen = console()
    with screen.capture() as captured:
        screen.print("forum:heart: [b]ann[/b]", markup=False)
    assert captured.get() == "forum:heart: [b]ann[/b]\n"


def test_an_edge_to_a_profile_says_whether_one_names_the_other_or_both_are_known_to_be_one_persons() -> None:
    claim = CLAIM._replace(rule="url", claimed="ann")
    assert claim.says() == "names @ann in its url"
    assert claim._replace(claimed="").says() == "names an account by its id in its url"
    assert claim._replace(type="login", rule="login", claimed="").says() == "login: both are one person's"
