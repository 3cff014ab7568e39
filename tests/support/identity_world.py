"""Persons with accounts on several platforms, what they post, and what stewards do: all that identity has to tell apart.

The same seed gives the same bytes. Quiet persons post before all others and never again, and share nothing with these: stewards
decide about them, so what a command meets does not hang on how far the rest has got.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random

import polars as pl

from pipeline.identity.evidence import evidence
from pipeline.identity.graph import customers
from pipeline.identity.rules_file import RulesFile
from schemas.identity import EDGE_COLUMNS, Command, account_key, account_keys
from schemas.untyped import JsonObject
from tests.identity.rows import PRIVACY, rows_of
from tests.support.customers_process import State

PLATFORMS = ("forum", "shop", "vk", "twitter", "helpdesk", "telegram")
PAGES = {"vk": "https://vk.com/{}", "twitter": "https://x.com/{}", "telegram": "https://t.me/{}"}
"""Where a profile has a page that others can name."""
FAMILY, ORGANISATION = 2, 15
"""So many persons share an address: the first links them, the second is over the limit."""
QUIET = 60
"""Persons who are quiet."""
SPREAD = 60.0
"""Over so many persons the posts of one are spread."""
BEGIN = datetime(2026, 9, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Account:
    platform: str
    id: str
    handle: str

    @property
    def key(self) -> int:
        return account_key(self.platform, self.id)


@dataclass(frozen=True)
class Person:
    number: int
    accounts: tuple[Account, ...]
    email: str
    phone: str


@dataclass(frozen=True)
class Step:
    """What a steward does."""

    number: int
    asked: JsonObject

    @property
    def why(self) -> str:
        """No other command has the same."""
        return f"step {self.number}: {self.asked['action']}"

    @property
    def body(self) -> JsonObject:
        """Of POST /commands."""
        return self.asked | {"why": self.why}


@dataclass
class World:
    """`quiet` and `busy` are the events of these persons, in the order in which they are sent; `steps` the commands.

    An author changes once an event at most, and never its handle; what is deleted gave no evidence and had no handle: else the
    edges would hang on which changes meet in one batch, or on what a look-up still finds: it reads the newest version alone.
    """

    seed: int
    persons: int
    """Busy ones; a multiple of 30, as are the quiet ones."""
    events: int
    commands: int
    quiet: list[JsonObject] = field(init=False)
    busy: list[JsonObject] = field(init=False)
    steps: list[Step] = field(init=False)

    def __post_init__(self) -> None:
        self._random, self._posts = Random(self.seed), 0
        quiet, busy = (
            [self._person(number) for number in range(*ends)] for ends in ((0, QUIET), (QUIET, QUIET + self.persons))
        )
        self.quiet = [post for person in quiet for account in person.accounts for post in self._life(account, person)]
        self._random.shuffle(self.quiet)
        came: list[tuple[float, JsonObject]] = []
        while len(came) < self.events:
            person = self._random.choice(busy)
            came += [(self._when(person), post) for post in self._life(self._random.choice(person.accounts), person)]
        came += [(when + self._random.uniform(0, SPREAD), post) for when, post in self._random.sample(came, len(came) // 10)]
        self.busy = [post for _, post in sorted(came, key=lambda each: each[0])]
        self.steps = list(self._decisions(quiet))

    def _person(self, number: int) -> Person:
        chosen = self._random.sample(PLATFORMS, self._random.randint(2, 4))
        accounts = tuple(Account(platform, f"{platform}-{number}", f"user_{platform}{number}") for platform in chosen)
        shared = self._random.choices((1, FAMILY, ORGANISATION), (6, 2, 2))[0]
        return Person(number, accounts, f"box{number // shared}of{shared}@example.org", f"+4930{5_550_000 + number // 2}")

    def _life(self, account: Account, person: Person) -> Iterator[JsonObject]:
        """A post of the account; now and then it is changed, or deleted, later."""
        random = self._random
        self._posts += 1
        at, name = self._posts * 60, f"{self.seed}-{self._posts}"
        event = {"id": name, "platform": account.platform, "kind": "post", "created_at": stamp(at), "text": f"post {name}"}
        said = dict(self._said(account, person))
        later = {**event, "occurred_at": stamp(at + 30)}
        author = {"id": account.id, "handle": said.get("handle", account.handle)}
        yield {**event, "brands": ["Lumen"], "author": author | said if said else {"id": account.id}}
        if said and random.random() < 0.1:
            yield {**later, "operation": "update", "author": author | {"email": f"new{person.number}@example.org"}}
        if not said and random.random() < 0.3:
            yield {**later, "operation": "delete"}

    def _when(self, person: Person) -> float:
        """Persons come one after the other, more or less: so evidence flows until the end."""
        return person.number + self._random.uniform(0, SPREAD)

    def _said(self, account: Account, person: Person) -> Iterator[tuple[str, str]]:
        """What this post says of its author; often nothing."""
        random = self._random
        if random.random() < 0.5:
            yield "email", person.email
        if random.random() < 0.3:
            yield "phone", person.phone
        if random.random() < 0.5:
            yield "bio", " ".join(["elsewhere:", *self._claims(account, person)])
        if person.number >= QUIET and random.random() < 0.02:
            yield "kind", "staff"
        if person.number >= QUIET and random.random() < 0.02:
            yield "handle", f"user_{account.platform}{self._stranger(person)}"

    def _claims(self, account: Account, person: Person) -> Iterator[str]:
        """Pages of the person's other accounts; sometimes that of a stranger."""
        for other in person.accounts:
            if other != account and other.platform in PAGES:
                yield PAGES[other.platform].format(other.handle)
        if self._random.random() < 0.2:
            yield PAGES["vk"].format(f"user_vk{self._stranger(person)}")

    def _stranger(self, person: Person) -> int:
        """Nothing leads from quiet persons to busy ones."""
        first, end = (0, QUIET) if person.number < QUIET else (QUIET, QUIET + self.persons)
        return self._random.randrange(first, end)

    # --- stewards -----------------------------------------------------------------------------------------------------
    def _decisions(self, quiet: list[Person]) -> Iterator[Step]:
        """Half of them are undone by the next one."""
        for number in range(self.commands):
            one, other = self._random.sample(quiet, 2)
            a, b = self._random.choice(one.accounts), self._random.choice(other.accounts)
            second = next(account for account in one.accounts if account != a)
            type_ = {"type": self._random.choice(("", "email"))}
            match ("link", "never", "split", "withdraw", "consent")[number % 5]:
                case "link":
                    pair, back = (a, b), "unlink"
                case "split":
                    yield self._step(number, "link", a, second)
                    pair, back = (a, second), "lift"
                case "never":
                    pair, back = (a, second), "lift"
                case one_sided:
                    yield Step(number, {"action": one_sided, "a": _hex(a), **type_})
                    continue
            yield self._step(number, ("link", "never", "split")[number % 5], *pair)
            if number % 2:
                yield self._step(number, back, *pair[::-1])

    @staticmethod
    def _step(number: int, action: str, a: Account, b: Account) -> Step:
        return Step(number, {"action": action, "a": _hex(a), "b": _hex(b)})


def _hex(account: Account) -> str:
    return f"{account.key:016x}"


def stamp(seconds: int) -> str:
    return (BEGIN + timedelta(seconds=seconds)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


# --- what has to come of it -------------------------------------------------------------------------------------------
def expected(world: World, commands: list[Command]) -> State:
    """The tables in the end, under the default rules: the evidence of all rows at once, and who bears the claimed handles."""
    rows = rows_of(*world.quiet, *world.busy)
    names = (rows.get_column(name) for name in ("platform", "author_id", "author_handle"))
    rows = rows.with_columns(account_keys(*names).alias("key"))
    edges = evidence(rows, RulesFile(), 0).select(list(EDGE_COLUMNS))
    own = rows.filter(pl.col("author_kind") == "staff").get_column("key").unique().to_list()
    found = customers(pl.concat([edges, _bearers(rows, edges)]), commands, RulesFile().compiled(0, PRIVACY.hashes), own)
    live = rows.sort("version").unique("event_key", keep="last").filter(pl.col("is_deleted") == 0)
    events = live.select("key", pl.col("created_at").dt.epoch("ms"), "event_key")
    return {
        "assignments": set(found.assignments.iter_rows()),
        "queue": set(found.refusals.iter_rows()),
        "account_events": set(events.iter_rows()),
    }


def _bearers(rows: pl.DataFrame, edges: pl.DataFrame) -> pl.DataFrame:
    """EDGE_COLUMNS: whoever bore a handle that somebody claims."""
    no_id = pl.Series([None], dtype=pl.String).new_from_index(0, len(rows))
    handles = account_keys(rows.get_column("platform"), no_id, rows.get_column("author_handle"))
    claimed = edges.filter((pl.col("kind") == "profile") & (pl.col("type") == "handle")).get_column("b").implode()
    bore = rows.select(a="key", b=handles, a_platform="platform").filter(pl.col("b").is_in(claimed))
    fixed = {"kind": "value", "type": "handle", "b_platform": "", "rule": "bears", "rule_version": 0, "basis": "public"}
    bore = bore.with_columns(pl.lit(value).alias(name) for name, value in {**fixed, "at": 0, "event": 0, "held": 0}.items())
    return bore.select(pl.col(name).cast(type_) for name, type_ in EDGE_COLUMNS.items())
