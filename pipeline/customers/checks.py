"""Whether a steward's command can be done: else why not, and nothing changes.

What a command means for others is tried on a copy of the graph: a link that takes evidence from somebody, or a never that
contradicts links by hand, shows there.
"""

from __future__ import annotations

from collections.abc import Container

import polars as pl

from pipeline.identity.commands import Decisions, Pair, hand_edges
from pipeline.identity.graph import Graph
from pipeline.identity.walk import NEVER, TOO_LARGE, TWO_RECORDS
from schemas.identity import CRM, Command

_NOTHING_TO_LIFT = "no never and no split of them stands: `earshot identity show A` lists what was decided about A"
_NEED_PROFILES = ("link", "never", "consent", "withdraw", "split")


def named_by(command: Command) -> set[int]:
    """The profiles that have to be known."""
    if command.action not in _NEED_PROFILES:
        return set()
    return {command.a, command.b} if command.action in ("link", "never") else {command.a}


def refusal(graph: Graph, command: Command, known: Container[int], holds: bool) -> str:
    """Why the command can't be done; blank: it can. `known`: those of `named_by` that exist; `holds`: the breaker does."""
    if command.action in ("link", "unlink", "never") and command.a == command.b:
        return "it names one profile twice: a link, or what undoes it, is of two"
    for profile in sorted(named_by(command)):
        if profile not in known:
            return f"profile {profile:016x} is unknown: no event, no evidence and no record of a CRM names it"
    decisions, pair = graph.decisions, (min(command.a, command.b), max(command.a, command.b))
    match command.action:
        case "link":
            return _standing(decisions, pair) or _tried(graph, command)
        case "unlink":
            return "" if pair in decisions.links else "no link by hand of them stands; evidence is parted by never or split"
        case "never":
            if pair in decisions.nevers:
                return f"command {decisions.nevers[pair]} keeps them apart already"
            return _contradicted(decisions, pair) or _tried(graph, command)
        case "lift":
            splits = any(tuple(sorted((split.a, split.b))) == pair for split in decisions.splits.values())
            return "" if splits or pair in decisions.nevers else _NOTHING_TO_LIFT
        case "split":
            return _no_member(graph, command)
        case "accept" | "reject":
            return _no_edge(graph, command) or (_tried(graph, command) if command.action == "accept" else "")
        case "release":
            return "" if holds or graph.holds() else "nothing is held back"
    return ""


def _standing(decisions: Decisions, pair: Pair) -> str:
    link = decisions.links.get(pair)
    return f"command {link.sequence} by {link.by or 'somebody'} links them already" if link else ""


def _contradicted(decisions: Decisions, pair: Pair) -> str:
    link = decisions.links.get(pair)
    return f"command {link.sequence} by {link.by or 'somebody'} links them by hand: unlink them first" if link else ""


def _no_member(graph: Graph, command: Command) -> str:
    customer = graph.customer_of(command.a)
    if customer != command.b:
        return f"profile {command.a:016x} is not in customer {command.b:016x}: its customer is {customer:016x}"
    if len(graph.members_of(customer)) < 2:
        return f"profile {command.a:016x} is its whole customer: there is nothing to split it from"
    return ""


def _no_edge(graph: Graph, command: Command) -> str:
    edge = graph.edge(command.a)
    if edge is None:
        return f"there is no edge {command.a:016x}: `earshot identity review` lists them"
    if edge["type"] == "hand":
        return "it is a link by hand: unlink undoes it"
    accepted = graph.decisions.verdicts.get(command.a)
    return f"edge {command.a:016x} is {command.action}ed already" if accepted is (command.action == "accept") else ""


# --- tried ------------------------------------------------------------------------------------------------------------
def _tried(graph: Graph, command: Command) -> str:
    """What would stand against it, or whom it would take a link from."""
    trial = graph.trial()
    refused = trial.take(commands=[command]).refusals.filter(pl.col("after").is_not_null())
    own = command.a if command.action == "accept" else int(hand_edges(Decisions({(0, 0): command})).get_column("edge")[0])
    lost = refused.filter(pl.col("edge") != own)
    if command.action == "never":
        by_hand = any(found["type"] == "hand" for edge in lost.get_column("edge") if (found := trial.edge(edge)))
        return "links by hand join them through others: unlink these first" if by_hand else ""
    if (mine := trial.edge(own)) and mine["reason"] is not None:
        return _text(graph, command, mine["reason"], "it would link nobody")
    joining = lost.filter(pl.col("after").cast(pl.String).is_in([TWO_RECORDS, NEVER, TOO_LARGE]))
    return _text(graph, command, joining.get_column("after")[0], "it would part others") if len(joining) else ""


def _text(graph: Graph, command: Command, reason: str, what: str) -> str:
    if reason == TWO_RECORDS:
        records = command.a_platform == command.b_platform == CRM
        how = "confirm it (--confirm)" if records else "link the two records themselves, with --confirm,"
        return f"two records of a CRM would be one customer: {how} if they are one person's"
    if reason == NEVER:
        apart = _keeps_apart(graph, command)
        return (
            f"command {apart} keeps them apart: lift it first"
            if apart
            else "a never or a split keeps them apart: lift it first"
        )
    if reason == TOO_LARGE:
        return f"the customer would have more than {graph.rules.largest} profiles"
    return f"{what}: {reason}"


def _keeps_apart(graph: Graph, command: Command) -> int:
    """The command that keeps the customers of both apart; 0: none does by itself."""
    one, other = (set(graph.members_of(graph.customer_of(profile))) for profile in (command.a, command.b))
    for (x, y), sequence in graph.decisions.nevers.items():
        if (x in one and y in other) or (y in one and x in other):
            return sequence
    return 0
