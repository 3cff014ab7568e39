"""A generated day: which posts arrive in which minute, and which alerts they must raise. Made of a seed alone.

Several worlds live through one day beside one another. Each has a brand for each kind of rule, so that the incidents of a brand
raise alerts of one rule only. An event arrives with the first batch after it was created, unless it is late: a poller that has
its rounds, an edit, a label, a redelivery.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, NamedTuple

from schemas.alerts import Scope
from schemas.times import rfc3339
from tests.support.word_labels import BAD, FINE, labelled_later

BEGIN = datetime(2099, 9, 1, 22, tzinfo=UTC)
"""The day's first minute: midnight is within the day. In a past year ClickHouse would drop rows that are older than they may
be."""
WARM = 15
"""Control starts so many minutes after the first events."""
NO_DATA_AFTER = 30
LATE_EVERY = 5
"""Late events arrive in rounds: so many minutes apart."""
Event = dict[str, Any]


def at(minute: float) -> datetime:
    """That minute of the day."""
    return BEGIN + timedelta(minutes=minute)


class Incident(NamedTuple):
    """An alert that the day must raise: its condition begins between the minutes `first` and `last`."""

    rule: str
    scope: Scope
    first: int
    last: int
    lasts: int = 0
    """Its condition is still true in this minute; 0: this is not checked."""
    seen: int = 0
    """Control may find it from this minute on; 0: from `first` on."""
    gone: int = 0
    """In this minute it is not true any more, and never was; or the source is back. 0: it stays true of its time."""
    historical: bool = False


@dataclass
class Day:
    """`batches[m]` arrives in minute m, at second `seconds[m]`; labels that are late come in the minutes `labels`."""

    minutes: int
    seconds: Sequence[int]
    reload: tuple[int, int]
    """When a worker, and when control reads the new rules."""
    batches: list[list[Event]] = field(default_factory=list)
    labels: set[int] = field(default_factory=set)
    incidents: list[Incident] = field(default_factory=list)

    def post(self, brand: str, minute: int, second: int, late: int = 0, **more: Any) -> Event:
        """A post about the brand; `late`: it arrives in this minute."""
        number = sum(map(len, self.batches))
        created = BEGIN + timedelta(minutes=minute, seconds=second)
        event: Event = {
            "id": f"{brand}-{number}", "platform": "x", "kind": "post", "created_at": rfc3339(created), "language": "en",
            "text": f"{FINE} {number}", "brands": [brand], "author": {"id": f"a{number}"}, **more,
        }  # fmt: skip
        self.arrive(event, late or minute + (second > self.seconds[min(minute, self.minutes - 1)]))
        return event

    def change(self, event: Event, minute: int, operation: str = "update", **changed: Any) -> None:
        """A change of the event in this minute. The text and all that goes with it change together."""
        same = {name: event[name] for name in ("id", "platform", "created_at")}
        self.arrive({**same, "operation": operation, "occurred_at": rfc3339(at(minute)), **changed}, minute)

    def arrive(self, event: Event, minute: int) -> None:
        if minute < self.minutes:
            self.batches[minute].append(event)

    def round(self, minute: int) -> int:
        """The minute of the next round of those who come late."""
        return minute + -minute % LATE_EVERY

    def raises(self, rule: str, brand: str, first: int, last: int | None = None, platform: str = "", **more: Any) -> None:
        """An incident about a brand."""
        self.incidents.append(Incident(rule, Scope(brand, platform), first, first if last is None else last, **more))


def generate(seed: int, worlds: int, minutes: int) -> Day:
    """The same for the same arguments."""
    rng = Random(seed)
    worker = rng.randrange(60, minutes - 60)
    seconds = [rng.randrange(12, 58) for _ in range(minutes)]
    day = Day(minutes, seconds, (worker, worker + rng.randrange(1, 7)), [[] for _ in range(minutes)])
    for world in range(worlds):
        for kind in KINDS:
            kind(day, str(world), Random(f"{seed} {world} {kind.__name__}"))
    for batch in day.batches:
        rng.shuffle(batch)
    return day


# --- a brand for each rule --------------------------------------------------------------------------------------------
def _spike(day: Day, world: str, rng: Random) -> None:
    """Three a minute, and once six times as many: once, because a brand that bursts again has to burst higher."""
    begin = rng.randrange(40, day.minutes - 40)
    for minute in range(day.minutes):
        for _ in range(18 if begin <= minute < begin + 12 else 3):
            day.post(f"Spike{world}", minute, rng.randrange(60))
    day.raises("volume", f"Spike{world}", begin, begin + 12)


def _fewer(day: Day, world: str, rng: Random) -> None:
    """Three a minute, and for an hour and a half none."""
    begin = rng.randrange(30, day.minutes - 110)
    for minute in (*range(begin), *range(begin + 95, day.minutes)):
        for _ in range(3):
            day.post(f"Fewer{world}", minute, rng.randrange(60))
    day.raises("drop", f"Fewer{world}", begin + 5, begin + 95)


def _tone(day: Day, world: str, rng: Random) -> None:
    """Two a minute, one in ten negative, and for five minutes twelve, four in five negative."""
    begin = rng.randrange(30, day.minutes - 30)
    for minute in range(day.minutes):
        burst = begin <= minute < begin + 5
        for number in range(12 if burst else 2):
            bad = number % 5 != 0 if burst else (2 * minute + number) % 10 == 0
            day.post(f"Tone{world}", minute, rng.randrange(60), text=f"{BAD if bad else FINE} {minute} {number}")
    day.raises("tone", f"Tone{world}", begin, begin + 5)


def _loud(day: Day, world: str, rng: Random) -> None:
    """Thirty within a minute: in time, by a late poll, an hour late or more, or taken back a while after."""
    brand = f"Loud{world}"
    for minute in range(day.minutes):
        day.post(brand, minute, rng.randrange(60))
    begin = rng.randrange(25, 45)
    while begin < day.minutes - 40:
        kind = rng.choice(["in time", "in time", "late", "old", "taken back"])
        late = {"late": day.round(begin + rng.randrange(5, 25)), "old": day.round(begin + rng.randrange(70, 95))}.get(kind, 0)
        events = [day.post(brand, begin, rng.randrange(9), late) for _ in range(30)]
        gone = 0
        if kind == "taken back":
            gone = day.round(begin + rng.randrange(3, 16))
            for number, event in enumerate(events[:25]):
                if number % 2:
                    day.change(event, gone, "delete")
                else:
                    day.change(event, gone, text="about something else", language="en", brands=[])
        if late < day.minutes:
            day.raises("many", brand, begin, seen=late, gone=gone, historical=kind == "old")
        begin += rng.randrange(60, 110)


def _shop(day: Day, world: str, rng: Random) -> None:
    _stops(day, f"Shop{world}", "less", "shop", rng, whole=True)


def _each(day: Day, world: str, rng: Random) -> None:
    """Two platforms of a brand, of which one stops."""
    for minute in range(day.minutes):
        day.post(f"Each{world}", minute, rng.randrange(9))
    _stops(day, f"Each{world}", "each", "shop", rng, whole=False)


def _stops(day: Day, brand: str, rule: str, platform: str, rng: Random, whole: bool) -> None:
    """One a minute, and none for a while, which may be longer than control's memory of minutes."""
    length = rng.choice([rng.randrange(25, 50), rng.randrange(85, 120)])
    begin = rng.randrange(30, day.minutes - length - 20)
    for minute in (*range(begin), *range(begin + length, day.minutes)):
        day.post(brand, minute, rng.randrange(9), platform=platform)
    day.raises(rule, brand, begin + 9, platform="" if whole else platform, lasts=begin + length - 2)


def _moved(day: Day, world: str, rng: Random) -> None:
    """Three a minute about one brand. An edit of each of the newest ones makes them be about another brand."""
    moves, begin = list[int](), rng.randrange(40, 90)
    while begin < day.minutes - 30:
        moves.append(begin)
        begin += rng.randrange(60, 120)
    calm = {minute for move in moves for minute in (move, move + 1)}  # no other news of the brand comes with the edits
    posts = [
        [day.post(f"From{world}", minute, rng.randrange(9)) for _ in range(0 if minute in calm else 3)]
        for minute in range(day.minutes)
    ]
    for move in moves:
        for event in (event for minute in range(move - 6, move + 1) for event in posts[minute]):
            day.change(event, move, text="about another brand", language="en", brands=[f"To{world}"])
        day.raises("away", f"From{world}", move - 2, seen=move)
        day.raises("gained", f"To{world}", move - 2, seen=move)


def _angry(day: Day, world: str, rng: Random) -> None:
    """Ten a minute, nearly all negative. Most labels are late: from the beginning, or while it goes on."""
    for minute in range(day.minutes):
        day.post(f"Angry{world}", minute, rng.randrange(9))
    begin = rng.randrange(25, 60)
    while begin < day.minutes - 50:
        unlabelled = rng.choice([99, 4, 0])  # from which minute on
        coming = day.round(begin + rng.randrange(15, 22))
        for number in range(140):
            minute = begin + number // 10
            waits = minute - begin >= unlabelled and number % 10 < 6
            text = f"{BAD if number % 10 else FINE} {begin} {number}"
            day.post(f"Angry{world}", minute, rng.randrange(9), text=labelled_later(text, at(coming)) if waits else text)
        if unlabelled < 99:
            day.labels.add(coming)
        day.raises("anger", f"Angry{world}", begin, begin + 2, lasts=begin + 12)
        begin += rng.randrange(70, 120)


def _word(day: Day, world: str, rng: Random) -> None:
    """One post each: in time, and once two hours late; and a word of a rule that workers know before control does."""
    minute, brand = rng.randrange(20, 40), f"Word{world}"
    while minute < day.minutes - 5:
        day.post(brand, minute, rng.randrange(9), text=f"a recall, they say in minute {minute}")
        day.raises("crisis", brand, minute)
        minute += rng.randrange(12, 60)
    old = rng.randrange(5, day.minutes - 130)
    arrives = day.round(old + rng.randrange(75, 120))
    day.post(f"Old{world}", old, 5, arrives, text=f"a recall in minute {old}")
    day.raises("crisis", f"Old{world}", old, seen=arrives, historical=True)
    new = rng.randrange(*day.reload)
    day.post(brand, new, 59, text=f"a boycott in minute {new}")
    day.raises("fresh", brand, new, seen=new + 1)


def _voice(day: Day, world: str, rng: Random) -> None:
    """A post collects its reactions later, which an update or a second create brings. Other posts come a second time, too."""
    brand = f"Voice{world}"
    for minute in range(0, day.minutes, 3):
        event = day.post(brand, minute, rng.randrange(9), metrics={"likes": 1})
        if minute % 12 == 0:
            day.arrive({**event, "metrics": {"likes": 2}}, minute + 7)
    for begin in range(rng.randrange(20, 40), day.minutes - 160, 120):
        event = day.post(brand, begin, 5, metrics={"likes": 3})
        then = begin + rng.choice([rng.randrange(5, 40), rng.randrange(70, 150)])
        if rng.random() < 0.5:
            day.change(event, then, metrics={"likes": 5_500})
        else:
            day.arrive({**event, "metrics": {"likes": 5_600}}, then)
        day.raises("voice", brand, begin, then + 1, seen=then)


def _copied(day: Day, world: str, rng: Random) -> None:
    """Eight accounts post one text within six minutes."""
    brand, letters = f"Copied{world}", "abcdefghijklmnopqrstuvwxyz "
    for minute in range(0, day.minutes, 6):
        day.post(brand, minute, rng.randrange(9), text="".join(rng.choices(letters, k=90)))
    begin, text = rng.randrange(30, day.minutes - 40), "".join(rng.choices(letters, k=90))
    for number in range(8):
        day.post(brand, begin + number * 5 // 7, rng.randrange(9), text=f"{text} {number}")
    day.raises("copies", brand, begin)


def _feeds(day: Day, world: str, rng: Random) -> None:
    """A source that stops for a while, and a poller that brings all of ten minutes, some minutes late, and stops as well."""
    feed, poll = ({"name": f"{kind}{world}"} for kind in ("feed", "poll"))
    length = rng.randrange(NO_DATA_AFTER + 8, NO_DATA_AFTER + 50)
    begin = rng.randrange(30, day.minutes - length - 10)
    for minute in range(0, day.minutes, 2):
        if not begin <= minute < begin + length:
            day.post(f"Feed{world}", minute, rng.randrange(9), source=feed)
    back = begin + length + length % 2
    day.incidents.append(Incident("quiet", Scope(source=feed["name"]), begin - 3, begin + 1, gone=back))
    lag, away = rng.randrange(4, 9), rng.randrange(50, day.minutes - 90) // 10 * 10
    rounds = [m for m in range(10, day.minutes, 10) if not away < m < away + 60]
    for before, minute in zip([0, *rounds], rounds, strict=False):
        for created in range(max(0, before - lag), minute - lag, 3):
            day.post(f"Poll{world}", created, rng.randrange(9), minute, source=poll)
    day.incidents.append(Incident("quiet", Scope(source=poll["name"]), away, away + 1, gone=away + 60))


KINDS = (_spike, _fewer, _tone, _loud, _shop, _each, _moved, _angry, _word, _voice, _copied, _feeds)


def rules(worlds: int) -> list[dict[str, Any]]:
    """The rules of a day; the last one comes with the reload."""

    def of(*kinds: str) -> list[str]:
        return [f"{kind}{world}" for kind in kinds for world in range(worlds)]

    threshold = {"type": "threshold", "measure": "count"}
    return [
        {"name": "volume", "type": "spike", "brands": of("Spike"), "resolve": "20m"},
        {"name": "drop", "type": "spike", "direction": "below", "brands": of("Fewer"), "resolve": "20m"},
        {"name": "tone", "type": "spike", "measure": "negative_share", "brands": of("Tone"), "min_mentions": 20},
        {**threshold, "name": "many", "above": 20, "window": "5m", "brands": of("Loud")},
        {**threshold, "name": "less", "below": 1, "window": "10m", "brands": of("Shop"), "platforms": ["shop"]},
        {**threshold, "name": "each", "below": 1, "window": "10m", "brands": of("Each"), "by": ["platform"]},
        {**threshold, "name": "away", "below": 3, "window": "5m", "brands": of("From")},
        {**threshold, "name": "gained", "above": 12, "window": "5m", "brands": of("To")},
        {
            "name": "anger", "type": "threshold", "measure": "negative_share", "above": 0.6, "window": "5m", "min_mentions": 20,
            "resolve": "2m", "brands": of("Angry"),
        },
        {"name": "crisis", "type": "keyword", "words": {"en": ["recall"]}, "brands": of("Word", "Old")},
        {"name": "voice", "type": "reach", "engagement": 5_000, "negative": False, "brands": of("Voice")},
        {"name": "copies", "type": "campaign", "accounts": 6, "window": "10m", "brands": of("Copied")},
        {"name": "quiet", "type": "no_data", "of": "source", "names": of("feed", "poll"), "after": f"{NO_DATA_AFTER}m"},
        {"name": "fresh", "type": "keyword", "words": {"en": ["boycott"]}, "brands": of("Word")},
    ]  # fmt: skip


HISTORY = {"Spike": 15, "Fewer": 15, "Tone": 10}
"""Of these brands: mentions in five minutes, for hours before the day."""
