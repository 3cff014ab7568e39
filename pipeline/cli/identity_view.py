"""Customers, the review queue and what is between profiles, as text for a terminal.

Handles, ids and claims are strangers' texts: none begins a line of its own, which could look like a command to type.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from pipeline.cli.terminal import moment, one_line
from pipeline.queries.identity.between import About, Between
from pipeline.queries.identity.customers import Customer
from pipeline.queries.identity.dry_run import DryRun, Regrouped
from pipeline.queries.identity.edges import Recorded
from pipeline.queries.identity.profiles import Profile
from pipeline.queries.identity.review import Entry

_DECIDES = {
    "suggestion": ("accept", "reject"),
    "held": ("accept", "reject"),
    "rejected": ("accept",),
    **dict.fromkeys(("two CRM records", "never", "too large", "ambiguous handle"), ("reject",)),
}
"""What a steward can do with an edge, by its reason; of the others only rules, or the person, decide."""


def customer(shown: Customer) -> Iterator[str]:
    """A customer: a line a profile, and below it why it belongs. A key stays in one piece, however narrow the terminal."""
    count = len(shown.members)
    yield f"customer {shown.key:016x}: {count:,} profile{'s' if count != 1 else ''}"
    for profile, since, evidence in shown.members:
        facts = [f"id {profile.id}"] if profile.handle and profile.id else []
        if profile.last_seen:
            facts.append(f"{profile.interactions:,} interactions, the last {moment(profile.last_seen)}")
        if since:
            facts.append(f"here since {moment(since)}")
        # A profile that only evidence names is shown by its key, with what is known of its platform.
        name = profile.name if profile.handle or profile.id else f"{profile.platform or '?'}:?"
        yield one_line(f"  {name}  {profile.key:016x}{'  ' if facts else ''}{', '.join(facts)}")
        yield from (one_line(f"      {line}") for line in evidence)


def entries(shown: Sequence[Entry], counts: Mapping[str, int]) -> Iterator[str]:
    """The review queue: what, of whom, and what to type."""
    for entry in shown:
        more = f" and {entry.size - len(entry.profiles):,} more" if entry.size > len(entry.profiles) else ""
        beside = f", shared with {_names(entry.others)}" if entry.others else ""
        one = ", one customer already" if entry.together else ""
        who = f"{_names(entry.profiles)}{more}{beside}"
        yield one_line(f"{entry.reason}: {entry.says}: {who} ({entry.interactions:,} interactions{one})")
        edges = " ".join(f"{edge:016x}" for edge in entry.edges)
        yield from (f"    earshot identity {action} {edges}" for action in _DECIDES.get(entry.reason, ()))
    if not shown:
        yield "nothing to review"
    if counts:
        yield "edges that link nobody: " + ", ".join(f"{reason} {count:,}" for reason, count in counts.items())


def about(shown: About) -> Iterator[str]:
    """A profile by itself."""
    profile = shown.profile
    yield one_line(f"{profile.name}  {profile.key:016x}")
    yield f"customer      {shown.customer:016x}{'' if shown.customer != profile.key else ' (its own)'}"
    if profile.last_seen:
        yield f"interactions  {profile.interactions:,}, the last {moment(profile.last_seen)}"
    for edge in shown.edges:
        yield one_line(f"  {edge.key:016x}  {edge.line('')}")
    yield from _commands(shown.commands)


def between(shown: Between) -> Iterator[str]:
    """Two profiles."""
    one, other = shown.one, shown.other
    for each in (one, other):
        yield one_line(f"{each.profile.name}  {each.profile.key:016x}, customer {each.customer:016x}")
    yield "they are one customer" if one.customer == other.customer else "they are different customers"
    yield from _path("for: this links them", shown.linking)
    yield from _path("against: this would link them, but for the reasons in it, or what was decided", shown.refused)
    if not (shown.linking or shown.refused):
        yield "no evidence is between them"
    yield from _commands(shown.commands)


def _path(title: str, lines: Sequence[str]) -> Iterator[str]:
    if lines:
        yield title
        yield from (one_line(f"  {line}") for line in lines)


def _commands(commands: Sequence[Recorded]) -> Iterator[str]:
    for each in commands:
        command = each.command
        b = f" {command.b:016x}" if command.b else ""
        type_ = f" --type {command.type}" if command.type else ""
        refused = f"; refused: {each.refused}" if each.refused else ""
        yield one_line(f"  {command.action} {command.a:016x}{b}{type_}  {each.who}{refused}")


def dry_run(shown: DryRun) -> Iterator[str]:
    """What rules would merge and split."""
    if shown.same:
        yield f"these rules say what version {shown.version}, which is in force, says"
    yield f"{shown.merged:,} merges, {shown.split:,} splits, {shown.moved:,} profiles with another customer"
    yield from _regrouped("merges", shown.merges, shown.merged, "of {parts} customers")
    yield from _regrouped("splits", shown.splits, shown.split, "into {parts} customers")


def _regrouped(title: str, groups: Sequence[Regrouped], count: int, how: str) -> Iterator[str]:
    if groups:
        yield f"{title}, the largest first:" if count <= len(groups) else f"{title}, the {len(groups)} largest of {count:,}:"
    for group in groups:
        more = f" and {group.size - len(group.profiles):,} more" if group.size > len(group.profiles) else ""
        parts = how.format(parts=group.parts)
        yield one_line(f"  {group.customer:016x}: {group.size:,} profiles {parts}: {_names(group.profiles)}{more}")


def _names(profiles: Sequence[Profile]) -> str:
    return ", ".join(profile.name for profile in profiles)
