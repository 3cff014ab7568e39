"""Mentions: which brands a row is about, in any script, and which rows the brands wrote themselves."""

from __future__ import annotations

import re
import unicodedata
from typing import Any

import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.processors.mentions import matching
from pipeline.processors.mentions.brands import Brands
from pipeline.processors.mentions.folding import fold
from pipeline.processors.mentions.step import Matching, Mentions
from pipeline.sources.decode import Decode
from pipeline.sources.memory import batch_of
from tests.support.bad_records import event


def brands(*entries: dict[str, Any]) -> Brands:
    return Brands.model_validate({"brands": entries})


BRANDS = brands(
    {"name": "Northwind", "handles": ["@northwind"], "keywords": ["northwind", "north wind air"]},
    {"name": "Zëta", "handles": ["zeta"], "keywords": ["zëta"]},
    {"name": "Air", "keywords": ["air"]},
)


def found(text: str | None, *entries: dict[str, Any], **columns: Any) -> list[str]:
    """The brands of one event, in the middle of others: what is around it must not matter."""
    names = [None, "ai r north", text, "r", ""]
    frame = pl.DataFrame({"text": names}, schema={"text": pl.String}).with_columns(
        pl.Series(name, [None, None, columns.get(name), None, None], dtype=pl.List(pl.String))
        for name in ("mentions", "brands")
    )
    lists = Matching(brands(*entries).brands).brands(frame).to_list()
    assert [*lists[:2], *lists[3:]] == [[], [], [], []]
    return list(lists[2])


def is_found(term: str, text: str) -> bool:
    return found(text, {"name": "B", "keywords": [term]}) == ["B"]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"text": "I love Northwind!"}, ["Northwind"]),
        ({"text": "NORTHWIND"}, ["Northwind"]),
        ({"text": "northwinds"}, []),
        ({"text": "thanks @northwind_help"}, []),
        ({"text": "thanks @NorthWind."}, ["Northwind"]),
        ({"text": "mail me@northwind.org"}, ["Northwind"]),  # by its keyword
        ({"text": "mail me@zeta.org"}, ["Zëta"]),
        ({"text": "fly north wind air"}, ["Air", "Northwind"]),
        ({"text": "north\n  wind\tair"}, ["Air", "Northwind"]),
        ({"text": "fair enough, airy"}, []),
        ({"text": "ZËTA und zëta"}, ["Zëta"]),
        ({"text": "日本air日本"}, ["Air"]),
        ({"text": None, "mentions": ["@Northwind", "zeta", "somebody"]}, ["Northwind", "Zëta"]),
        ({"text": None, "mentions": ["air", "@air", "northwind help", ""]}, []),
        ({"text": "air", "brands": ["Given", "Air", None, ""]}, ["Air", "Given"]),
        ({"text": ""}, []),
    ],
)
def test_brands(fields: dict[str, Any], expected: list[str]) -> None:
    frame = Mentions(BRANDS).process(Decode().process(batch_of([event(text="nothing"), event(**fields)]))).events
    assert frame.get_column("brands").to_list() == [[], expected]
    assert frame.get_column("brands_given").to_list()[0] is None
    assert frame.get_column("brands_given").to_list()[1] == (
        [b for b in fields["brands"] if b is not None] if "brands" in fields else None
    )


def test_no_brands_at_all() -> None:
    frame = Mentions(Brands(brands=())).process(Decode().process(batch_of([event(text="air")]))).events
    assert frame.get_column("brands").to_list() == [[]]


# --- scripts --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("term", "text"),
    [
        ("ベルリン", "昨日ベルリンで食べた"),
        ("ベルリン", "ﾍﾞﾙﾘﾝ最高"),
        ("苹果", "我爱苹果手机"),
        ("เสือ", "ชอบเสือมาก"),
        ("air", "日本air日本"),
        ("NHK", "ＮＨＫニュース"),
        ("삼성", "삼성은 좋다"),
        ("삼성", "우리 삼성ㅠㅠ"),
        ("삼성", unicodedata.normalize("NFD", "삼성")),
        ("TV", "삼성TV를"),
        ("яндекс", "Люблю ЯНДЕКС!"),
        ("елка", "новогодняя ёлка"),
        ("οδυσσευσ", "ὉΔΥΣΣΕΎΣ"),
        ("ΟΔΥΣΣΕΥΣ", "Οδυσσεύς"),
        ("café", "CAFE"),
        ("cafe", "cafe\u0301 au lait"),
        ("Straße", "STRASSE"),
        ("strasse", "Große Straße"),
        ("ss", "ßs ß-x"),
        ("istanbul", "İSTANBUL"),
        ("Łódź", "lodz"),
        ("Ærø", "aero"),
        ("शब्द", "यह शब्द है"),
        ("محمد", "مُحَمَّد"),
        ("احمد", "أحمد"),
        ("سلام", "والسلام"),
        ("שלום", "שָׁלוֹם!"),
        ("McDonald's", "mcdonald’s"),
        ("coca-cola", "Coca‑Cola"),
        ("bold", "𝗕𝗼𝗹𝗱 move"),
        ("acme", "ac\u200bme"),
        ("acme", "#acme"),
        ("acme", "acme's"),
        ("acme", "🔥acme🔥"),
        ("🍎", "love🍎iphone"),
        ("❤", "I ❤️ it"),
        ("AT&T", "my at&t line"),
        ("C++", "I like C++."),
        ("7up", "a 7UP please"),
        ("north wind", "North\u00a0 Wind"),
        ("north wind", "NORTH\r\n\r\nWIND"),
        ("ファイナルファンタジー", "ファイナルファンタジー最新作"),
    ],
)
def test_a_term_is_found(term: str, text: str) -> None:
    assert is_found(term, text)


@pytest.mark.parametrize(
    ("term", "text"),
    [
        ("ane", "älane"),
        ("ane", "planeта"),
        ("ane", "ane\u0301s"),
        ("ane", "тane"),
        ("ane", "ane_1"),
        ("ane", "4ane"),
        ("か", "が"),
        ("か", "か\u3099"),
        ("가", "각"),
        ("성", "삼성"),
        ("яндекс", "яндексу"),
        ("मत", "कीमत"),
        ("क", "की"),
        ("C++", "C++11"),
        ("@acme", "me@acme.org"),
        ("#one", "two#one"),
        ("north wind", "northwind"),
        ("north wind", "north-wind"),
        ("istanbul", "ıstanbulu"),
    ],
)
def test_a_term_is_not_found(term: str, text: str) -> None:
    assert not is_found(term, text)


# --- exclusions -----------------------------------------------------------------------------------------------------
APPLE = {
    "name": "Apple",
    "handles": ["@apple"],
    "keywords": ["apple"],
    "phrases": ["apple watch"],
    "exclude": ["apple pie", "Rezept", "big apple circus"],
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("apple", True),
        ("apple pie", False),
        ("Äpple  PIE!", False),
        ("an apple, and an apple pie", True),
        ("apple pies", True),
        ("the Big Apple Circus", False),
        ("apple circus", True),
        ("apple rezept", False),
        ("apple watch, mein Rezept", False),
        ("apple rezepte", True),
        ("@apple what a Rezept for an apple pie", True),
        ("apple pie from @apple", True),
    ],
)
def test_exclusions(text: str, expected: bool) -> None:
    assert found(text, APPLE) == (["Apple"] if expected else [])
    assert "Pie" in found(f"{text} apple pie", APPLE, {"name": "Pie", "keywords": ["pie"]}), "the other brand is not concerned"


def test_an_exclusion_spares_what_the_source_gave_and_who_is_addressed() -> None:
    assert found("apple pie", APPLE, brands=["Apple"]) == ["Apple"]
    assert found("apple pie", APPLE, mentions=["@APPLE"]) == ["Apple"]


def test_one_term_may_mean_several_brands() -> None:
    both = [{"name": "B", "keywords": ["jaguar"]}, {"name": "A", "keywords": ["Jaguar"], "exclude": ["zoo"]}]
    assert found("a jaguar", *both) == ["A", "B"]
    assert found("a jaguar in the zoo", *both) == ["B"]


# --- support accounts -----------------------------------------------------------------------------------------------
SUPPORT = brands(
    {
        "name": "Acme",
        "support": [
            {"platform": "twitter", "handle": "@AcmeHelp"},
            {"platform": "facebook", "id": "17"},
            {"platform": "twitter", "id": "18"},
        ],
    }
)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"platform": "twitter", "author": {"handle": "acmehelp"}}, "outbound"),
        ({"platform": "twitter", "author": {"handle": "@ACMEHELP"}, "direction": "inbound"}, "outbound"),
        ({"platform": "twitter", "author": {"id": "18", "handle": "other"}}, "outbound"),
        ({"platform": "facebook", "author": {"id": "17"}}, "outbound"),
        ({"platform": "facebook", "author": {"handle": "acmehelp"}}, None),
        ({"platform": "twitter", "author": {"id": "17"}, "direction": "inbound"}, "inbound"),
        ({"platform": "twitter", "author": {"handle": "x"}, "direction": "outbound"}, "outbound"),
        ({"platform": "twitter"}, None),
    ],
)
def test_support_accounts_set_the_direction(fields: dict[str, Any], expected: str | None) -> None:
    batch = Mentions(SUPPORT).process(Decode().process(batch_of([event(**fields)])))
    assert batch.events.get_column("direction").to_list() == [expected]


# --- against a slow, plain reference --------------------------------------------------------------------------------
ACCENTS = {chr(c) for c in range(0x300, 0x370)}
ALPHABET = "abAZé ßеСк_1'’-@.日本かがภ가각क\u093f🍎\u0301\n\t\u200b"


def reference_fold(text: str) -> str:
    decomposed = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    kept = "".join(c for c in decomposed if c not in ACCENTS and c != "\u200b").replace("’", "'")
    once: list[str] = []
    for c in kept:
        c = " " if c.isspace() else c
        if c != " " or once[-1:] != [" "]:
            once.append(c)
    return "".join(once)


def reference_sources(text: str) -> str:
    """For each character of the folded text the one that it was made of."""
    made = [(f, c) for c in text for f in unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", c).casefold())]
    made = [(" " if f.isspace() else f, c) for f, c in made if f not in ACCENTS and f != "\u200b"]
    kept = [made[n] for n in range(len(made)) if made[n][0] != " " or n == 0 or made[n - 1][0] != " "]
    return "".join(c for _, c in kept)


def spaced(c: str) -> bool:
    return (
        c == "_"
        or c.isascii()
        and c.isalnum()
        or "LATIN" in (n := unicodedata.name(c, ""))
        or "CYRILLIC" in n
        or "DEVANAGARI" in n
    )


def reference_joined(term: str, before: str, after: str) -> tuple[bool, bool]:
    """Whether the neighbours make the term a part of a word, in front and behind, one rule a line."""

    def hangul(c: str) -> bool:
        return "HANGUL" in unicodedata.name(c, "")

    def holds(c: str) -> bool:
        return spaced(c) or unicodedata.category(c) in ("Po", "Pd", "Sm")

    def rest(c: str) -> bool:
        return unicodedata.category(c)[0] == "M" or any(part in unicodedata.name(c, "") for part in ("JUNGSEONG", "JONGSEONG"))

    return (
        bool(before and holds(term[0]) and spaced(before) or before and hangul(term[0]) and hangul(before)),
        bool(
            (after and holds(term[-1]) and spaced(after)) or (after and rest(after) and not (holds(term[-1]) and hangul(after)))
        ),
    )


def reference_emphasis(around: str) -> bool:
    beyond = around.lstrip("_")[:1]
    return around.startswith("_") and not (beyond and spaced(beyond)) and beyond != "@"


def reference_is_word(term: str, before: str, after: str, sources: str) -> bool:
    """`before`, `after`: the whole text around the term; `sources`: what `after` was made of. No name goes on with é or ß."""
    in_front, behind = reference_joined(term, before[-1:], after[:1])
    handle, name = term[0] == "@", r"[a-z0-9_]"
    inside_account = not before.endswith("_") if handle else bool(re.search("(^|[^_])@$", before))
    goes_on = bool(re.match(rf"[.@]{name}", after)) and sources[1].isascii()
    account = "" if handle else re.search(r"([a-z0-9_@.]*[@.])?$", before)[0].lstrip(".")  # type: ignore[index]
    return not (
        in_front
        and not (reference_emphasis(before[::-1]) and (handle or term[0] != "_" and spaced(term[0])))
        or behind
        and not (reference_emphasis(after) and not inside_account and term[-1] != "_" and spaced(term[-1]))
        or (goes_on if handle else account.startswith("@") and (goes_on or len(account) > 1))
    )


def reference_spans(term: str, text: str, sources: str = "") -> list[tuple[int, int]]:
    places = [(n, n + len(term)) for n in range(len(text)) if text.startswith(term, n)]
    return [(n, end) for n, end in places if reference_is_word(term, text[:n], text[end:], (sources or text)[end:])]


def reference(entries: list[dict[str, Any]], text: str) -> list[str]:
    folded, sources, names = reference_fold(text), reference_sources(text), set()
    assert len(folded) == len(sources)
    for entry in entries:
        words = [reference_fold(word).strip() for word in entry["keywords"]]
        hits = [span for word in words for span in reference_spans(word, folded, sources)]
        for exclusion in (reference_fold(word).strip() for word in entry["exclude"]):
            spans = reference_spans(exclusion, folded, sources)
            if not any(reference_spans(word, exclusion) for word in words):
                spans = [(0, len(folded))] * len(spans)
            hits = [(a, b) for a, b in hits if not any(x <= a and b <= y for x, y in spans)]
        handles = ["@" + reference_fold(handle) for handle in entry["handles"]]
        if hits or any(reference_spans(handle, folded, sources) for handle in handles):
            names.add(entry["name"])
    return sorted(names)


words = st.text(ALPHABET, min_size=1, max_size=3).filter(lambda word: reference_fold(word).strip() != "")
entry = st.fixed_dictionaries(
    {
        "name": st.sampled_from(["A", "B", "C"]),
        "handles": st.lists(st.sampled_from(["a", "ab", "é1"]), max_size=1),
        "keywords": st.lists(words, min_size=1, max_size=3),
        "exclude": st.lists(words, max_size=2),
    }
).filter(lambda e: not {reference_fold(w).strip() for w in e["keywords"]} & {reference_fold(w).strip() for w in e["exclude"]})


@example([{"name": "A", "handles": [], "keywords": ["@"], "exclude": []}], ["@@ß", "@@s"], 1)
@example([{"name": "A", "handles": ["ab"], "keywords": ["日"], "exclude": []}], ["@ab.é", "@ab.e"], 1)
@settings(deadline=None)
@given(
    st.lists(entry, min_size=1, max_size=3, unique_by=lambda e: e["name"]),
    st.lists(st.text(ALPHABET, max_size=12), max_size=8),
    st.sampled_from([1, 12, 4 << 20]),
)
def test_as_the_reference_says(entries: list[dict[str, Any]], texts: list[str], slice_bytes: int) -> None:
    frame = pl.DataFrame({"text": texts}, schema={"text": pl.String}).with_columns(
        pl.lit(None, pl.List(pl.String)).alias(name) for name in ("mentions", "brands")
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(matching, "_SLICE_BYTES", slice_bytes)
        found = Matching(brands(*entries).brands).brands(frame).to_list()
    assert found == [reference(entries, text) for text in texts]


@settings(deadline=None)
@given(st.text())
def test_folding_folds_once_and_for_all(text: str) -> None:
    once = fold(text)
    assert fold(once) == once or any(ord(c) > 0x2FFFF for c in once)
