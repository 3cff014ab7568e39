"""Server-sent events: data begins no field of its own, and a stream that nobody reads holds nobody up."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pipeline.console.sse import BLOCK, MOST_WAITING, Said, Stream, encoded


def parsed(event: bytes) -> dict[str, str]:
    """As a browser reads it."""
    fields: dict[str, list[str]] = {}
    text = event.decode().replace("\r\n", "\n").replace("\r", "\n")
    assert text.endswith("\n\n") and text.count("\n\n") == 1
    for line in text.strip("\n").split("\n"):
        name, _, value = line.partition(":")
        fields.setdefault(name, []).append(value.removeprefix(" "))
    return {name: "\n".join(values) for name, values in fields.items()}


def test_an_event_has_its_place_its_name_and_its_data() -> None:
    assert encoded(Said("alert", "<p>a\nb</p>"), "1.2") == b"id: 1.2\nevent: alert\ndata: <p>a\ndata: b</p>\n\n"
    assert encoded(Said("state", "")) == b"event: state\ndata: \n\n"


@given(st.text(st.characters(codec="utf-8")) | st.text("\r\n:datevnid "))
def test_no_data_begins_a_field_of_its_own(data: str) -> None:
    assert parsed(encoded(Said("alert", data), "7")) == {
        "id": "7",
        "event": "alert",
        "data": data.replace("\r\n", "\n").replace("\r", "\n"),
    }


async def test_what_waits_is_taken_together() -> None:
    stream = Stream("s")
    stream.put(b"a")
    stream.put(b"b")
    assert await stream.take() == b"ab"
    stream.end(b"last")
    stream.put(b"too late")
    assert await stream.take() == b"last"
    assert await stream.take() == b""
    assert not stream.dropped


async def test_much_is_taken_in_blocks_and_each_event_is_whole() -> None:
    """A stream holds no copy of all that waits: two thousand changes at once took 600 kB of each open page."""
    stream = Stream("s")
    for size in (BLOCK, 10, BLOCK - 10, BLOCK + 1, 5):
        stream.put(b"x" * size)
    assert [len(await stream.take()) for _ in range(4)] == [BLOCK, BLOCK, BLOCK + 1, 5]


async def test_who_does_not_read_is_dropped_and_cut_off() -> None:
    cut = []
    stream = Stream("s", lambda: cut.append(1))
    for _ in range(MOST_WAITING):
        stream.put(b"x")
    assert not stream.dropped
    stream.put(b"x")
    assert stream.dropped and cut == [1]
    assert await stream.take() == b""
