"""Privacy: what a row must not say in clear."""

from __future__ import annotations

from pipeline.processors.privacy import Pseudonymise
from pipeline.sources.decode import Decode
from pipeline.sources.memory import batch_of
from tests.sources.bad_records import event


def test_addresses_are_hashed_and_equal_ones_stay_equal() -> None:
    people = [{"email": " Ann@Example.org ", "phone": "+1 (555) 01-02"}, {"email": "ann@example.org", "phone": "+15550102"}, {}]
    batch = Decode().process(batch_of([event(author=person) for person in people]))
    frame = Pseudonymise(b"key").process(batch).events
    first, second, none = frame.select("author_email", "author_phone").rows()
    assert first == second
    assert none == (None, None)
    assert all(len(value) == 64 and "555" not in value[:3] for value in first)
    other = Pseudonymise(b"other").process(Decode().process(batch_of([event(author=people[0])]))).events
    assert other.get_column("author_email")[0] != first[0]
