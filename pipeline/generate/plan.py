"""The plan of a stream: its arguments, the rhythm of its brands, and its bursts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from random import Random
from typing import NamedTuple

import orjson
import xxhash

from pipeline.errors import SettingsError
from pipeline.generate.people import PLATFORMS
from pipeline.generate.phrases import CAUSES
from pipeline.processors.mentions.brands import Brand, Brands

DEFAULT_START = datetime(2026, 1, 1, tzinfo=UTC)
HOUR_MS, DAY_MS = 3_600_000, 86_400_000

# By hour of the day (UTC), and by day of the week from Monday on.
_OFFICE = (1, 1, 1, 1, 2, 4, 8, 14, 20, 22, 22, 20, 18, 20, 21, 20, 17, 13, 9, 7, 5, 4, 3, 2)
_EVENING = (6, 4, 2, 1, 1, 1, 2, 4, 6, 7, 8, 9, 11, 11, 10, 10, 12, 15, 18, 22, 24, 23, 18, 11)
_COMMUTE = (2, 1, 1, 1, 2, 8, 18, 24, 18, 9, 8, 8, 10, 9, 8, 10, 16, 22, 19, 12, 8, 6, 4, 3)
_ALL_DAY = (4, 3, 3, 3, 4, 5, 7, 9, 11, 12, 12, 12, 12, 12, 12, 12, 12, 13, 13, 13, 12, 10, 8, 6)
RHYTHMS = (
    (_COMMUTE, (1.05, 1.0, 1.0, 1.0, 1.05, 0.6, 0.6)),
    (_OFFICE, (1.0, 1.05, 1.05, 1.0, 0.95, 0.45, 0.35)),
    (_EVENING, (0.85, 0.85, 0.9, 0.95, 1.1, 1.3, 1.25)),
    (_ALL_DAY, (1.0, 1.0, 1.0, 1.0, 1.0, 0.9, 0.9)),
)
RESPONSE_MEDIANS_S = (240, 540, 900, 1_500, 2_400, 4_200, 7_200, 14_400, 25_200, 54_000)

BURSTS, RECORDS_A_BURST, BURST_SHARE = 5, 2_000, 0.12
"""The least number of bursts, one in two days; none in fewer records; their greatest share of the stream."""


@dataclass(frozen=True, slots=True)
class Voice:
    """A brand of the stream. `forms` are the names that Earshot matches; texts are escaped for JSON."""

    index: int
    name: str
    handle: str
    forms: tuple[str, ...]
    json: str
    """The name as a JSON list."""
    authors: dict[str, str]
    """Member `author` of the brand's own posts, by platform."""
    weight: float
    hours: tuple[float, ...]
    """Its volume by hour of the week, from Monday."""
    response_median_s: float


@dataclass(slots=True)
class Burst:
    voice: Voice
    start_ms: int
    end_ms: int
    cause: int
    planned: float
    """Records to make."""
    made: int = 0


class Stretch(NamedTuple):
    """A piece of the stream of at most an hour, with a constant rate."""

    start_ms: int
    end_ms: int
    records: int
    hour: int
    """The hour of the week."""
    burst: Burst | None
    share: float
    """The burst's share of the records."""


@dataclass(frozen=True)
class Plan:
    """The arguments of a stream: equal ones give equal bytes. Raises SettingsError if they make no stream."""

    count: int
    brands: Brands
    seed: int = 1
    start: datetime = DEFAULT_START
    days: float = 30.0
    start_ms: int = field(init=False)
    end_ms: int = field(init=False)

    def __post_init__(self) -> None:
        start_ms = int(self.start.timestamp() * 1000)
        object.__setattr__(self, "start_ms", start_ms)
        object.__setattr__(self, "end_ms", start_ms + max(1, int(self.days * DAY_MS)))
        if not self.brands.brands:
            raise SettingsError("there is no brand to generate events about")

    @cached_property
    def id(self) -> str:
        """Prefixes the id of every event, so that streams of other arguments have other events."""
        brands = [(voice.name, voice.forms) for voice in self.voices]
        return xxhash.xxh3_64_hexdigest(orjson.dumps([self.count, self.seed, self.start_ms, self.end_ms, brands]))[:10]

    @property
    def span_ms(self) -> int:
        return self.end_ms - self.start_ms

    @cached_property
    def voices(self) -> tuple[Voice, ...]:
        return tuple(_voice(index, brand) for index, brand in enumerate(self.brands.brands))

    def bursts(self) -> list[Burst]:
        """The bursts of anger in order of time, without overlaps. The first is in the first tenth of the stream."""
        random = Random(self.seed + 1)
        count = min(max(BURSTS, round(self.span_ms / DAY_MS / 2)), self.count // RECORDS_A_BURST)
        bursts: list[Burst] = []
        for number in range(count):
            width = self.span_ms / count
            length = min((15 + 60 * random.random()) * 60_000, width / 2)
            start = self.start_ms + int(width * (number + (0.2 + 0.2 * random.random() if number else 0.15)))
            voice = self.voices[int(random.random() * len(self.voices) * 0.9 + len(self.voices) * 0.1)]
            usual = self.rate * self._share(voice, hour_of_week(start)) * length
            planned = min(max(usual * (8 + 12 * random.random()), 40.0), BURST_SHARE * self.count / count)
            bursts.append(Burst(voice, start, start + int(length), int(random.random() * len(CAUSES)), planned))
        return bursts

    @cached_property
    def rate(self) -> float:
        """Average records per millisecond."""
        return self.count / self.span_ms

    def _share(self, voice: Voice, hour: int) -> float:
        """A brand's volume in an hour of the week, as a share of the average hour of all brands."""
        return voice.weight * voice.hours[hour] / self._mean

    @cached_property
    def _mean(self) -> float:
        return sum(map(self.loudness, range(168))) / 168

    def loudness(self, hour: int) -> float:
        """The volume of all brands in an hour of the week."""
        return sum(voice.weight * voice.hours[hour] for voice in self.voices)

    def stretches(self, bursts: list[Burst]) -> Iterator[Stretch]:
        """The pieces of the stream from start to end; their records add up to `count`."""
        edges = {self.start_ms, self.end_ms, *range(self.start_ms // HOUR_MS * HOUR_MS + HOUR_MS, self.end_ms, HOUR_MS)}
        edges |= {moment for burst in bursts for moment in (burst.start_ms, burst.end_ms)}
        times = sorted(edges)
        pieces = list(zip(times, times[1:], strict=False))
        loud = [self.loudness(hour) for hour in range(168)]
        whole = sum(loud[hour_of_week(start)] * (end - start) for start, end in pieces)
        left = self.count - sum(burst.planned for burst in bursts)
        waiting = iter(bursts)
        burst = next(waiting, None)
        due, made = 0.0, 0
        for start, end in pieces:
            while burst and burst.end_ms <= start:
                burst = next(waiting, None)
            hour = hour_of_week(start)
            usual = left * loud[hour] * (end - start) / whole
            inside = burst if burst and burst.start_ms <= start else None
            extra = inside.planned * (end - start) / (inside.end_ms - inside.start_ms) if inside else 0.0
            due += usual + extra
            records = (self.count if end == self.end_ms else min(self.count, round(due))) - made
            made += records
            yield Stretch(start, end, records, hour, inside, extra / (usual + extra))


def hour_of_week(moment_ms: int) -> int:
    return (moment_ms // HOUR_MS + 72) % 168  # 1970 began on a Thursday


def inside_quotes(text: str) -> str:
    """The text escaped for a JSON string."""
    return orjson.dumps(text)[1:-1].decode()


def _voice(index: int, brand: Brand) -> Voice:
    day, week = RHYTHMS[index % len(RHYTHMS)]
    name = inside_quotes(brand.name)
    handle = inside_quotes((brand.handles or (brand.name.replace(" ", "").lower(),))[0])
    return Voice(
        index=index,
        name=name,
        handle=handle,
        forms=tuple(map(inside_quotes, _forms(brand))),
        json=f'["{name}"]',
        authors={platform: _author(index, brand, platform, handle) for platform in PLATFORMS},
        weight=1 / (index + 3),
        hours=tuple(hours * factor / sum(day) for factor in week for hours in day),
        response_median_s=RESPONSE_MEDIANS_S[index * 3 % len(RESPONSE_MEDIANS_S)],
    )


def _forms(brand: Brand) -> list[str]:
    handles = ["@" + handle for handle in brand.handles]
    if handles and brand.exclude:
        return handles  # the rest of a text could cancel a keyword, never a handle
    terms = [*brand.keywords, *brand.phrases]
    names = [brand.name for term in terms if term.lower() == brand.name.lower()]
    others = [term for term in terms if term.lower() != brand.name.lower()]
    forms = [*handles, *handles[:1], *names * 2, *others]
    if not forms:
        raise SettingsError(f"brand {brand.name} has neither a handle nor a keyword: nothing can mention it")
    return forms


def _author(index: int, brand: Brand, platform: str, handle: str) -> str:
    """The brand's support account on the platform, if brands.yaml names one."""
    ident, support = f"b{index}", next((account for account in brand.support if account.platform == platform), None)
    if support is not None:
        ident, handle = inside_quotes(support.id or ident), inside_quotes(support.handle or handle)
    return f'"author":{{"id":"{ident}","handle":"{handle}","name":"{inside_quotes(brand.name)}","kind":"organisation"}}'
