"""Records that are no events, by name, each with a part of the reason it is refused for; and odd ones that are events."""

from __future__ import annotations

import orjson

EVENT = {
    "id": "g",
    "platform": "x",
    "kind": "post",
    "created_at": "2026-09-01T10:00:00Z",
    "text": "hi",
    "author": {"id": "1", "followers": 5},
}


def event(**changes: object) -> bytes:
    return orjson.dumps(EVENT | changes)


GOOD = event()

BAD: dict[str, tuple[bytes | None, str]] = {
    "tombstone": (None, "tombstone"),
    "empty": (b"", "empty"),
    "white space": (b"  \n\t ", "empty"),
    "not JSON": (b"hello", "malformed"),
    "cut off": (GOOD[:-2], ""),
    "a zero byte": (b"\x00", "malformed"),
    "an array": (b"[1, 2]", "array"),
    "a number": (b"5", "int"),
    "null": (b"null", "Expected `object`, got `null`"),
    "two objects": (GOOD + GOOD, "trailing"),
    "two objects, apart": (GOOD + b" \n " + GOOD, "trailing"),
    "two objects, comma": (GOOD + b"," + GOOD, "trailing"),
    "broken encoding": (GOOD.replace(b'"hi"', b'"\xff\xfe"'), "Invalid UTF-8"),
    "byte order mark": (b"\xef\xbb\xbf" + GOOD, "malformed"),
    "lone surrogate": (GOOD.replace(b'"hi"', b'"\\ud800"'), "surrogate"),
    "NaN": (GOOD.replace(b'"hi"', b'"hi","rating":NaN'), ""),
    "NaN in an unknown field": (GOOD.replace(b'"hi"', b'"hi","other":NaN'), "malformed"),
    "infinity": (GOOD.replace(b'"hi"', b'"hi","rating":1e999'), ""),
    "overflow": (event(author={"followers": 2**63}), "$.author.followers"),
    "overflow of 128 bits": (GOOD.replace(b":5", b":" + b"9" * 40), "$.author.followers"),
    "a number as text": (event(author={"followers": "5"}), "$.author.followers"),
    "a fraction": (event(author={"followers": 5.5}), "$.author.followers"),
    "text as a number": (event(text=5), "$.text"),
    "text as an object": (event(text={"a": 1}), "$.text"),
    "an object as text": (event(author="me"), "$.author"),
    "a list as text": (event(mentions="@me"), "$.mentions"),
    "a number in a list": (event(mentions=[1]), "$.mentions"),
    "no id": (orjson.dumps({k: v for k, v in EVENT.items() if k != "id"}), "id is missing"),
    "id is null": (event(id=None), "id is missing"),
    "id is empty": (event(id=""), "id is missing"),
    "id is a number": (event(id=5), "$.id"),
    "no platform": (event(platform=None), "platform is missing"),
    "bad platform": (event(platform="Big Site"), "platform does not match"),
    "a brand too long": (event(brands=["Acme", "x" * 501]), "brands has a name of more than 500 bytes"),
    "an id too long": (event(id="x" * 1_001), "id has more than 1000 bytes"),
    "an author too long": (event(author={"id": "x" * 1_001}), "author.id has more than 1000 bytes"),
    "a handle too long": (event(author={"handle": "é" * 251}), "author.handle has more than 500 bytes"),
    "a source too long": (event(source={"name": "x" * 501}), "source.name has more than 500 bytes"),
    "no kind": (event(kind=None), "kind is missing"),
    "unknown kind": (event(kind="shout"), "kind is not one of"),
    "unknown operation": (event(operation="upsert"), "operation is not one of"),
    "unknown visibility": (event(visibility="secret"), "visibility is not one of"),
    "no created_at": (event(created_at=None), "created_at is missing"),
    "not a time": (event(created_at="yesterday"), "created_at is not an RFC 3339 time"),
    "a time without zone": (event(created_at="2026-09-01T10:00:00"), "created_at is not an RFC 3339 time"),
    "year 1": (event(created_at="0001-01-01T00:00:00Z"), "created_at is outside 1995"),
    "year -1": (event(created_at="-0001-01-01T00:00:00Z"), "created_at is outside 1995"),
    "an update of year 10000": (
        event(operation="update", occurred_at="+10000-01-01T00:00:00Z"),
        "occurred_at is outside 1995",
    ),
    "year 292277": (event(created_at="+292277-01-01T00:00:00Z"), "created_at is not an RFC 3339 time"),
    "year 2200": (event(created_at="2200-01-01T00:00:00Z"), "created_at is outside 1995"),
    "update without time": (event(operation="update"), "occurred_at is missing"),
    "deep": (b"[" * 100_000, ""),
}

ODD: dict[str, bytes] = {
    "pretty-printed": orjson.dumps(EVENT, option=orjson.OPT_INDENT_2),
    "carriage returns": GOOD.replace(b",", b",\r\n"),
    "leading space": b" \n" + GOOD + b"\n",
    "a key twice": GOOD.replace(b'"text"', b'"text":"first","text"'),
    "unknown fields": event(zz={"a": [1]}, other=None),
    "unknown field inside": event(author={"id": "1", "shoe_size": 44}),
    "deep unknown field": GOOD.replace(b'"hi"', b'"hi","deep":' + b"[" * 900 + b"]" * 900),
    "nulls": event(author=None, mentions=None, rating=None),
    "null in a list": event(mentions=["@a", None]),
    "a zone": event(created_at="2026-09-01T15:30:00.5+05:30"),
    "lower case time": event(created_at="2026-09-01t10:00:00z"),
    "a zero in a text": event(text="a\x00b"),
    "the longest names": event(
        author={"id": "x" * 1_000, "handle": "é" * 250}, brands=["x" * 500, None, "é" * 250], language="x" * 500
    ),
    "other scripts": event(text="日本語 🎉 é"),
}
