"""Events of persons who were erased are dropped, by author, address or event; nobody else's are."""

from __future__ import annotations

import random
from typing import Any

import polars as pl
import pytest

from pipeline.batch import EventBatch
from pipeline.processors.privacy import Pseudonymise
from pipeline.processors.suppressed import Suppressed
from pipeline.sources.decode import Decode, event_keys
from pipeline.sources.memory import batch_of
from schemas.contacts import DEFAULT
from schemas.erasures import ERASED, Keys
from schemas.identity import account_key
from tests.support.bad_records import event

ANN = account_key("x", "1")
ANN_BY_HANDLE = account_key("x", None, "Ann")


def step(*suppressed: Keys) -> Pseudonymise:
    step = Pseudonymise(b"key", "", DEFAULT)
    for keys in suppressed:
        step.suppressed.put(keys)
    return step


def key_of(name: str) -> int:
    return int(event_keys(pl.DataFrame({"platform": ["x"], "id": [name]}))[0])


def after(step: Pseudonymise, *records: bytes) -> EventBatch:
    return step.process(Decode().process(batch_of(list(records))))


def left(batch: EventBatch) -> list[str]:
    return batch.events.get_column("id").to_list()


def post(name: str, **author: Any) -> bytes:
    return event(id=name, platform="x", author=author)


def update(name: str) -> bytes:
    return event(id=name, platform="x", operation="update", occurred_at="2026-09-03T00:00:00Z", author=None)


@pytest.mark.parametrize(
    ("keys", "theirs", "others"),
    [
        (Keys([ANN]), {"id": "1", "handle": "another"}, {"id": "2", "handle": "ann"}),
        (Keys([ANN_BY_HANDLE]), {"handle": "@ANN"}, {"id": "1", "handle": "anna"}),
        (Keys([ANN_BY_HANDLE]), {"id": "9", "handle": "ann"}, {"id": "9"}),
        (Keys([ANN, ANN_BY_HANDLE], handles=frozenset([ANN_BY_HANDLE])), {"handle": "ann"}, {"id": "9", "handle": "ann"}),
        (
            Keys(values=step().hashes("author_email", ["ann@example.org"])),
            {"email": " Ann@example.org"},
            {"email": "b@example.org"},
        ),
        (Keys(values=step().hashes("author_phone", ["+15550147"])), {"phone": "+1 555 0147"}, {"phone": "+1 555 0148"}),
        (Keys(events=[key_of("theirs")]), {"id": "7"}, {"id": "7"}),
        (Keys([0, ANN]), {"id": "1"}, {}),
    ],
    ids=["id", "handle", "handle beside an id", "next owner", "address", "number", "event", "no author"],
)
def test_what_is_theirs_is_dropped(keys: Keys, theirs: dict[str, str], others: dict[str, str]) -> None:
    batch = after(step(keys), post("theirs", **theirs), post("others", **others))
    assert left(batch) == ["others"] and batch.dropped == {ERASED: 1}


def test_another_account_with_an_address_that_was_erased_lands_without_it() -> None:
    """Whoever has the address erased that somebody else comes to use, silences nobody."""
    known = step(Keys(values=step().hashes("author_email", ["ann@example.org"])))
    mine = {"email": "ann@example.org", "phone": "+15550147"}
    batch = after(known, post("1", id="9", **mine), post("2", handle="bob", email="b@example.org"), post("3", **mine))
    assert left(batch) == ["1", "2"] and batch.dropped == {ERASED: 1}
    assert batch.events.get_column("author_email").is_not_null().to_list() == [False, True]
    assert batch.events.get_column("author_phone").is_not_null().to_list() == [True, False]
    [hashed] = step().hashes("author_email", ["ann@example.org"])
    assert known.suppressed.names([], [hashed], 0) and not known.suppressed.names([9], [hashed], 0)


def test_an_event_that_was_dropped_for_its_author_is_known_from_then_on() -> None:
    known = step(Keys([ANN]))
    first = after(known, update("1"), post("1", id="1"), post("2", id="2"), update("2"))
    assert left(first) == ["2", "2"] and first.erased is not None
    assert first.erased.tolist() == [key_of("1")], "the landing suppresses it for all workers"
    again = after(known, update("1"), update("2"), post("1", id="1"))
    assert left(again) == ["2"] and again.erased is None


def test_a_letter_of_a_handles_next_owner_is_nobody_elses() -> None:
    known = step(Keys([ANN, ANN_BY_HANDLE], handles=frozenset([ANN_BY_HANDLE]))).suppressed
    assert known.names([ANN_BY_HANDLE], [], 0) and known.names([5, ANN], [], 0)
    assert not known.names([account_key("x", "9"), ANN_BY_HANDLE], [], 0)


def test_who_was_readmitted_lands_again_and_what_was_dropped_stays_away() -> None:
    known = step(Keys([ANN], ["ab"], [key_of("old")]))
    assert len(known.suppressed) == 3
    after(known, post("1", id="1"))
    known.suppressed.replace(Keys(events=[key_of("old")]))
    assert left(after(known, post("1", id="1"), post("old", id="1"), post("new", id="1"))) == ["new"]


def test_nothing_is_done_while_nobody_is_suppressed() -> None:
    batch = after(step(), post("1", id="1"), update("1"))
    assert left(batch) == ["1", "1"] and not batch.dropped and batch.erased is None


def test_of_many_keys_that_come_in_pieces_each_is_found_and_no_other() -> None:
    known, order = Suppressed(), random.Random(1)
    numbers = [order.getrandbits(64) | 1 for _ in range(3_000)]
    texts = [f"{number:064x}" for number in numbers]
    for _ in range(30):
        some = order.sample(range(2_000), 100)
        known.put(Keys(values=[texts[each] for each in some * 2], events=[numbers[each] for each in some * 2]))
    given = Keys(values=texts[:2_000], events=numbers[:2_000])
    known.put(given)
    assert len(known) == 4_000
    known.replace(given)
    assert len(known) == 4_000
    for place, (number, text) in enumerate(zip(numbers, texts, strict=True)):
        assert known.names([], [], number) == known.names([], [text], 0) == (place < 2_000)
    assert not known.names([], [""], 0)
