"""The customers once more, slowly: edge by edge over dictionaries, as the rules say it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from xxhash import xxh3_64_intdigest

from schemas.identity import TYPES, Command, Rules, TypeRule
from schemas.untyped import Row

Node = tuple[str, int]
FAR = (1 << 62, 0)


@dataclass
class Edge:
    key: int
    rows: list[Row]
    reason: str | None = None
    other: int | None = None
    since: tuple[int, int] = (0, 0)
    at: int = 0
    held: int = 0
    silent: bool = False
    ends: list[Node] = field(default_factory=list)

    def __post_init__(self) -> None:
        row = self.rows[0]
        self.kind, self.type = str(row["kind"]), str(row["type"])
        self.a, self.b, self.a_platform = int(row["a"]), int(row["b"]), str(row["a_platform"])

    @property
    def tie(self) -> int:
        return self.a if self.kind == "value" else self.key

    @property
    def claim(self) -> bool:
        return self.kind == "profile" and self.type == "handle"


class Reference:
    """`assignments` and `refusals` as dictionaries."""

    def __init__(self, rows: Iterable[Row], commands: Iterable[Command], rules: Rules, own: Iterable[int]) -> None:
        self.rules, self.own = rules, set(own)
        self.links: dict[frozenset[int], Command] = {}
        self.apart: list[tuple[int, Command]] = []
        self.consents: dict[tuple[int, str], tuple[int, bool]] = {}
        self.verdicts: dict[int, str] = {}
        self.released = 0
        for command in sorted({c.sequence: c for c in commands}.values(), key=lambda c: c.sequence):
            self.decide(command)
        self.bearers: defaultdict[int, set[int]] = defaultdict(set)
        self.borne_held: defaultdict[int, list[int]] = defaultdict(list)
        self.edges: dict[int, Edge] = {}
        for row in [*rows, *map(hand, self.links.values())]:
            if (row["kind"], row["type"]) == ("value", "handle"):
                self.bearers[row["b"]].add(row["a"])
                self.borne_held[row["b"]].append(row["held"])
                continue
            ends = [row["a"], row["b"]]
            if row["type"] in ("login", "hand"):
                ends.sort()
            key = xxh3_64_intdigest(f"{row['kind']}:{row['type']}:{ends[0]}:{ends[1]}".encode())
            if key in self.edges:
                self.edges[key].rows.append(row)
            else:
                self.edges[key] = Edge(key, [row])
        self.gates()
        self.refusals = {e.key: e.reason for e in self.edges.values() if e.reason}
        self.join()

    def decide(self, c: Command) -> None:
        pair = frozenset((c.a, c.b))
        if c.action == "link":
            self.links[pair] = c
        elif c.action == "unlink":
            self.links.pop(pair, None)
        elif c.action in ("never", "split"):
            self.apart = [(s, o) for s, o in self.apart if not (c.action == o.action == "never" and {o.a, o.b} == pair)]
            self.apart.append((c.sequence, c))
        elif c.action == "lift":
            for entry in reversed(self.apart):
                if {entry[1].a, entry[1].b} == pair:
                    self.apart.remove(entry)
                    return
        elif c.action in ("consent", "withdraw"):
            self.consents[c.a, c.type] = (c.sequence, c.action == "consent")
        elif c.action in ("accept", "reject"):
            self.verdicts[c.a] = c.action
        elif c.action == "release":
            self.released = c.sequence
        else:
            assert c.action == "apply", "rules are in force by themselves: the command only says so"

    def consent(self, profile: int | None, type_: str) -> bool | None:
        found = [self.consents[profile, t] for t in (type_, "") if profile is not None and (profile, t) in self.consents]
        return max(found)[1] if found else None

    def rule(self, edge: Edge) -> TypeRule:
        if edge.type == "hand":
            return TypeRule(priority=-1)
        return self.rules.types.get(edge.type, TypeRule(priority=6, automatic=False))

    def permitted(self, edge: Edge, row: Row) -> bool:
        ends: list[tuple[int | None, str]] = [(edge.a, row["a_platform"])]
        if edge.kind == "profile":
            ends.append((edge.other, row["b_platform"]))
        for profile, platform in ends:
            policy = self.rules.platforms.get(platform, self.rules.policy)
            by_consent = "consent" in policy.bases and self.consent(profile, edge.type)
            if not policy.evidence or not (row["basis"] in policy.bases or by_consent):
                return False
        return True

    def gates(self) -> None:
        for e in self.edges.values():
            bearers = self.bearers[e.b] if e.claim else set()
            e.other = None if len(bearers) > 1 else next(iter(bearers), e.b)
            e.held = min(row["held"] for row in e.rows)
            if len(bearers) == 1 and e.other != e.b:
                e.held = max(e.held, min(self.borne_held[e.b]))
            good = [row for row in e.rows if e.type == "hand" or self.permitted(e, row)]
            e.at = min(row["at"] for row in good or e.rows)
            e.since = (e.at, e.tie)
            e.silent = e.kind == "profile" and e.a == e.other
            profiles = {e.a, e.other} if e.kind == "profile" else {e.a}
            if profiles & self.own:
                e.reason = "own account"
            elif e.kind == "value" and e.b in self.rules.blocked:
                e.reason = "blocked"
            elif not good:
                e.reason = "basis"
            elif any(self.consent(profile, e.type) is False for profile in profiles):
                e.reason = "withdrawn"
            elif self.verdicts.get(e.key) == "reject":
                e.reason = "rejected"
            elif len(bearers) > 1:
                e.reason = "ambiguous handle"
        live = [e for e in self.edges.values() if not e.reason]
        for e in live:
            self.gate(e, live)

    def gate(self, e: Edge, live: list[Edge]) -> None:
        rule, accepted = self.rule(e), self.verdicts.get(e.key) == "accept"
        same = [x for x in live if (x.kind, x.type, x.b) == (e.kind, e.type, e.b)]
        platforms = [x.a_platform for x in same]
        over = len(same) > rule.limit or max(map(platforms.count, platforms)) > rule.platform_limit
        back = [x for x in live if e.claim and x.claim and x.a == e.other and x.other == e.a and x.a != x.other]
        held = e.held
        if back:
            e.since = max(e.since, min((x.at, x.key) for x in back))
            held = max(held, min(x.held for x in back))
        if e.claim and not back and not self.bearers[e.b]:
            e.silent = True
        if e.silent:
            return
        automatic = e.type == "hand" or accepted or (rule.automatic and (bool(back) or not e.claim))
        if over and (e.kind == "value" or (e.claim and not back)):
            e.reason = "over limit"
        elif not automatic:
            e.silent = e.kind == "value" and len(same) < 2
            e.reason = None if e.silent else "suggestion"
        elif held > self.released and not accepted and e.type != "hand":
            e.reason = "held"

    def node(self, e: Edge, profile: int) -> Node:
        for sequence, split in self.apart:
            if split.action == "split" and split.a == profile:
                row = e.rows[0]
                if row["sequence"] < sequence if e.type == "hand" else e.at <= split.at:
                    return "ghost", sequence
        return "profile", profile

    def join(self) -> None:
        edges = [e for e in self.edges.values() if not e.reason and not e.silent]
        sets: dict[Node, set[Node]] = {}
        records: set[Node] = set()
        for e in edges:
            assert e.other is not None
            e.ends = [self.node(e, e.a), self.node(e, e.other) if e.kind == "profile" else ("value", e.other)]
            for end, platform in zip(e.ends, ("a_platform", "b_platform"), strict=True):
                sets[end] = {end}
                records |= {end} if e.rows[0][platform] == "crm" and end[0] == "profile" else set()
        apart = [
            {("profile", c.a), ("profile", c.b)} if c.action == "never" else {("profile", c.a), ("ghost", sequence)}
            for sequence, c in self.apart
        ]
        for e in sorted(edges, key=lambda e: (self.rule(e).priority, e.at, e.tie, TYPES.index(e.type), e.key)):
            one, other = (sets[end] for end in e.ends)
            both = one | other
            if one is other:
                continue
            if one & records and other & records and not e.rows[0].get("confirmed"):
                e.reason = "two CRM records"
            elif any(len(pair) == 2 and pair <= both for pair in apart):
                e.reason = "never"
            elif sum(kind == "profile" for kind, _ in both) > self.rules.largest:
                e.reason = "too large"
            else:
                for node in both:
                    sets[node] = both
        self.refusals |= {e.key: e.reason for e in edges if e.reason}
        self.assignments = self.named([e for e in edges if not e.reason], sets)

    def named(self, edges: list[Edge], sets: dict[Node, set[Node]]) -> dict[int, int]:
        by_value: defaultdict[Node, list[Edge]] = defaultdict(list)
        for e in edges:
            if e.kind == "value":
                by_value[e.ends[1]].append(e)
        for of_value in by_value.values():
            of_value.sort(key=lambda e: (e.at, e.tie))
            of_value[0].since = (of_value[1].at, of_value[1].tie) if len(of_value) > 1 else FAR
        found: dict[int, int] = {}
        for members in {id(one): one for one in sets.values()}.values():
            profiles = sorted(key for kind, key in members if kind == "profile")
            if len(profiles) > 1:
                own = [(e, end[1]) for e in edges for end in e.ends if end in members and end[0] == "profile"]
                found |= dict.fromkeys(profiles, min((e.since, e.at, e.tie, profile) for e, profile in own)[-1])
        return found


def hand(c: Command) -> Row:
    """The edge of a link by hand."""
    return {
        "kind": "profile", "type": "hand", "a": c.a, "b": c.b, "a_platform": c.a_platform, "b_platform": c.b_platform,
        "basis": "given", "at": c.at, "held": 0, "sequence": c.sequence, "confirmed": c.confirmed,
    }  # fmt: skip
