"""The standard load of the benchmarks: a function of its arguments, the same bytes on any machine and in any run."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from functools import lru_cache
from random import Random
from typing import Any, NamedTuple

import orjson


class Record(NamedTuple):
    """A Kafka record."""

    key: bytes
    value: bytes


STANDARD_BRANDS, STANDARD_KEYWORDS = 20, 200
MENTIONING, DUPLICATES = 0.2, 0.1
NEAR, FAR, FAR_EVERY = 1 << 10, 1 << 15, 8
TEXTS, AUTHORS = 4_000, 20_000
SYLLABLES = ("bak", "dov", "gim", "jul", "kez", "lorv", "mip", "nax", "puv", "rog", "suq", "tiv", "vex", "wob", "zyl")
VOCABULARY = """
about after again alone along always another around because before behind better between bring careful carry change clear
close common course cover decide different during early enough every example family finally follow friend garden general
great happen heavy however important inside interest kitchen large later learn letter listen little machine measure minute
moment morning mountain music never nothing number often office order paper people perhaps picture place point possible
present problem quick quiet reason remember report river school second simple since sometimes special station still strong
study summer support surface system table thing think though through together travel under until usual weather while window
winter without wonder world write yellow
"""
WORDS = VOCABULARY.split()


def standard_keywords() -> list[str]:
    """200 invented words, none inside another."""
    pairs = [first + second + "ane" for first in SYLLABLES for second in SYLLABLES if first != second]
    return pairs[:STANDARD_KEYWORDS]


def standard_brands() -> dict[str, list[dict[str, Any]]]:
    """The 20 brands of the standard load, ten keywords each, as brands.yaml has them."""
    words, each = standard_keywords(), STANDARD_KEYWORDS // STANDARD_BRANDS
    groups = [words[n : n + each] for n in range(0, STANDARD_KEYWORDS, each)]
    return {"brands": [{"name": group[0].title(), "handles": [f"@{group[0]}"], "keywords": group} for group in groups]}


def standard_load(
    count: int,
    seed: int,
    start: datetime,
    *,
    rate: int = 1000,
    duplicates: float = DUPLICATES,
    changes: float = 0.0,
    more: int = 0,
) -> Iterator[Record]:
    """`count` records of about 480 bytes, `rate` of them an event second: a fifth mention one of the standard brands, a tenth
    (`duplicates`) are redeliveries, half of them near (the last thousand), half far. `changes` of them are edits and deletes.
    Each text is longer by `more` pieces of some 74 bytes.
    """
    random = Random(seed)
    dice = random.random
    texts = [_words(random, 70) for _ in range(TEXTS)]
    mentions = [f"{_words(random, 40)} {random.choice(standard_keywords())}" for _ in range(TEXTS)]
    authors = [_author(random, number) for number in range(AUTHORS)]
    start_ms = int(start.timestamp() * 1000)
    near: list[Record] = []
    far: list[Record] = []
    for number in range(count):
        chance = dice()
        if chance < duplicates and near:
            pool = near if chance < duplicates / 2 else far
            yield pool[int(dice() * len(pool))]
            continue
        moment = _moment(start_ms + number * 1000 // rate)
        if chance > 1 - changes and near:
            record = _standard_change(far[int(dice() * len(far))], moment, dice())
        else:
            head = (mentions if dice() < MENTIONING else texts)[int(dice() * TEXTS)]
            text = " ".join((head, *(texts[int(dice() * TEXTS)] for _ in range(1 + more))))
            record = _standard_post(f"{seed}-{number:09d}", moment, text, authors[int(dice() * AUTHORS)], int(dice() * 50))
        _remember(near, NEAR, number, record)
        if number < FAR or not number % FAR_EVERY:
            _remember(far, FAR, number if number < FAR else number // FAR_EVERY, record)
        yield record


def _standard_post(identifier: str, moment: str, text: str, author: str, likes: int) -> Record:
    value = (
        f'{{"id":"{identifier}","platform":"twitter","kind":"post","operation":"create","direction":"inbound",'
        f'"created_at":"{moment}","text":"{text}","language":"en","author":{author},'
        f'"metrics":{{"likes":{likes},"shares":0}},"source":{{"name":"standard","version":"1"}}}}'
    )
    return Record(f"twitter:{identifier}".encode(), value.encode())


def _standard_change(base: Record, moment: str, dice: float) -> Record:
    """An edit of the text (a third), of the counts (a half) or a delete."""
    event = orjson.loads(base.value)
    change = {name: event[name] for name in ("id", "platform", "kind", "created_at")} | {"occurred_at": moment}
    if dice < 1 / 6:
        change |= {"operation": "delete"}
    elif dice < 1 / 2:
        change |= {"operation": "update", "text": f"edited at {moment}", "language": "en"}
    else:
        change |= {"operation": "update", "metrics": {"likes": int(dice * 1000), "shares": 1}}
    return Record(base.key, orjson.dumps(change))


def _remember(pool: list[Record], size: int, number: int, record: Record) -> None:
    if len(pool) < size:
        pool.append(record)
    else:
        pool[number % size] = record


def _words(random: Random, length: int) -> str:
    words: list[str] = []
    while sum(map(len, words)) + len(words) < length:
        words.append(random.choice(WORDS))
    return " ".join(words)


def _author(random: Random, number: int) -> str:
    name = f"{random.choice(WORDS)} {random.choice(WORDS)}".title()
    followers = int(random.paretovariate(0.9) * 40)
    return f'{{"id":"u{number}","handle":"user{number}","name":"{name}","kind":"person","followers":{followers}}}'


def _moment(milliseconds: int) -> str:
    return f"{_second(milliseconds // 1000)}.{milliseconds % 1000:03d}Z"


@lru_cache(maxsize=2)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
