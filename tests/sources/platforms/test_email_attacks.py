"""E-mails that someone wrote on purpose, and ones that broke on their way: bounded time, and nothing raised but Unreadable."""

from __future__ import annotations

import re
import time
import tracemalloc
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.sources.platforms.email import LARGEST, observe
from pipeline.sources.platforms.email_text import new_text
from pipeline.sources.platforms.observation import LeftOut, Observation, Unreadable
from tests.sources.platforms.test_email import ANSWER, BOUNCE, QUESTION
from tests.support.mails import HEAD, OWN, seen, text
from tests.support.platform_events import check

pytestmark = pytest.mark.slow

SECONDS = 3.0
"""The longest of these takes a third of it on an idle core."""
LONGEST_TEXT = 1 << 20
KIND = "Content-Type: multipart/mixed; boundary"


def repeated(piece: str, head: str = HEAD) -> Callable[[], bytes]:
    return lambda: f"{head}\n\n{piece * (LONGEST_TEXT // len(piece))}".encode()


def html(piece: str, length: int = LONGEST_TEXT) -> Callable[[], bytes]:
    return lambda: f"{HEAD}\nContent-Type: text/html\n\n{piece * (length // len(piece))}".encode()


def parts_in_parts(depth: int, between: int) -> bytes:
    opened = "".join(f'{KIND}="{number:x}-"\n\n--{number:x}-\n' for number in range(depth))
    return f"{HEAD}\n{opened}\nIt is cold.\n{chr(10) * between}".encode()


def messages_in_messages(depth: int) -> bytes:
    return f"{HEAD}\n{KIND}=x\n\n--x\n\nHi\n--x\n{'Content-Type: message/rfc822' + chr(10) * 2!s}".encode() * depth


ATTACKS: dict[str, Callable[[], bytes]] = {
    "an attachment of 50 MB": lambda: QUESTION.replace(b"/9j/", b"/9j/4AAQSkZJRg==\n" * 3_000_000),
    "no line in 50 MB": lambda: f"{HEAD}\n\n".encode() + b"x" * (50 << 20),
    "10,000 parts": lambda: (
        f"{HEAD}\n{KIND}=x\n\n{'--x' + chr(10) * 2 + 'It is cold.' + chr(10):s}".encode() * 1 + b"--x\n\nHi\n" * 10_000
    ),
    "delimiters alone": lambda: f"{HEAD}\n{KIND}=x\n\n".encode() + b"--x\n" * 10_000_000,
    "others' delimiters": lambda: f"{HEAD}\n{KIND}=x\n\n".encode() + b"--xy\n" * 8_000_000,
    "parts 1,000 deep": lambda: parts_in_parts(1_000, 40 << 20),
    "messages 1,000 deep": lambda: messages_in_messages(1_000),
    "headers": lambda: b"From: a\n" * 5_000_000 + b"\nHi",
    "a long From": lambda: f"{HEAD}\n\n".replace("Ada", "(" * 100_000).encode(),
    "commas": lambda: f"{HEAD}\n\n".replace("Ada", "a@b.example, " * 10_000).encode(),
    "encoded words": lambda: f"{HEAD} {'=?utf-8?B?' * 20_000}\n\n".encode(),
    "encoded spaces": lambda: f"{HEAD} {'=?a?q?b?=   ' * 15_000}x\n\n".encode(),
    "references": lambda: f"{HEAD}\nReferences: {'<a@b ' * 40_000}\n\n".encode(),
    "parameters": lambda: f"{HEAD}\nContent-Type: text/plain{'; a=' * 40_000}\n\n".encode(),
    "blank lines": repeated("\n"),
    "blanks": repeated(" "),
    "blanks and a word": repeated(" " * 999 + "x\n"),
    "quotes": repeated("> "),
    "quoted lines": repeated("x 10:00 a@b:\n> x\n"),
    "attributions": repeated("On 2 Mar 2026, wrot:\n"),
    "a long attribution": repeated("On a "),
    "headers below": repeated("From: a\n"),
    "From and blanks": repeated("From:" + " " * 1_000),
    "signatures": repeated("-- \n"),
    "rules": repeated("-" * 30 + "\n"),
    "closings": repeated("Tak e\n"),
    "telephones": repeated("Sent from my a a a a a a a a a!\n"),
    "flowed": repeated(">" * 500 + " \n", f"{HEAD}\nContent-Type: text/plain; format=flowed"),
    "quoted-printable": repeated("=\n", f"{HEAD}\nContent-Transfer-Encoding: quoted-printable"),
    "utf-7": repeated("+AGE", f"{HEAD}\nContent-Type: text/plain; charset=utf-7"),
    "deep HTML": html("<div>"),
    "deep quotes": html("<blockquote>"),
    "many quotes": html("<blockquote>a</blockquote>"),
    "many paragraphs": html("<p>a"),
    "bold in links": html("<a><b>"),
    "tables in tables": html("<table><tr><td>"),
    "attributes": html("<p " + "a=b " * 50_000),
    "entities": html("&amp;"),
    "brackets": html("<"),
    "comments": html("<!--"),
    "an mbox of nothing": lambda: b"From x\n\n" * 4_000_000,
    "an mbox of headers": lambda: b"From x\na:b\n\n" * 100_000,
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_bounded_time(attack: str) -> None:
    payload = ATTACKS[attack]()
    began = time.process_time()
    try:
        found = list(observe(payload, OWN))
    except Unreadable:
        found = []
    took = time.process_time() - began
    assert took < SECONDS, f"{took:.1f} s"
    for each in found:
        if isinstance(each, Observation):
            check("email", each)


@pytest.mark.parametrize("attack", ["an attachment of 50 MB", "no line in 50 MB", "parts 1,000 deep", "10,000 parts"])
def test_bounded_memory(attack: str) -> None:
    payload = ATTACKS[attack]()
    tracemalloc.start()
    try:
        list(observe(payload, OWN))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 30 << 20


def test_the_text_of_a_mail_of_50_mb_is_there() -> None:
    assert text(ATTACKS["an attachment of 50 MB"]()) == "The kettle stays cold\u2026"
    assert text(ATTACKS["10,000 parts"]()).startswith("It is cold.")


def test_limits_are_kinds() -> None:
    assert seen(f"{HEAD}\n\n".encode() + b"x" * LARGEST) == [LeftOut("over 64 MiB")]
    assert seen(f"{HEAD}\n".encode() + b"X-A: b\n" * 100_000) == [LeftOut("headers over 256 KiB")]
    assert LeftOut("parts over 10 deep") in seen(parts_in_parts(1_000, 0))


MAILS = (QUESTION, ANSWER, BOUNCE, b"From x\n" + QUESTION + b"\nFrom y\n" + ANSWER)
LINES = sorted({line for mail in MAILS for line in mail.splitlines(keepends=True)})


@st.composite
def garbled(draw: st.DrawFn) -> bytes:
    """A mail of which lines are shuffled, or pieces cut, doubled or put in."""
    mail = draw(st.sampled_from(MAILS))
    if draw(st.booleans()):
        mail = b"".join(draw(st.lists(st.sampled_from(LINES), max_size=40)))
    for _ in range(draw(st.integers(0, 6))):
        at = draw(st.integers(0, len(mail)))
        end = draw(st.integers(at, min(len(mail), at + 200)))
        piece = draw(st.one_of(st.binary(max_size=20), st.just(mail[at:end] * 2), st.sampled_from(LINES), st.just(b"")))
        mail = mail[:at] + piece + mail[end:]
    return mail


@settings(max_examples=200, deadline=None)
@given(garbled())
def test_garbled_mails_are_an_event_a_kind_or_unreadable(mail: bytes) -> None:
    try:
        found = list(observe(mail, OWN))
    except Unreadable as error:
        assert not re.search("kettle|ada", str(error).lower())
        return
    assert found
    for each in found:
        if isinstance(each, Observation):
            check("email", each)
        else:
            assert re.fullmatch(r"[a-z0-9 ,-]+(MiB|KiB)?( deep)?", each.kind)


PIECES = [*"ab>:-\n\n  .", "On 2 Mar 2026 ", "From:", "wrote:", "Thanks,", "To:", "Subject:", "-- "]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=60).map("".join))
def test_new_text_makes_no_words(letter: str) -> None:
    lines = {line.strip() for line in letter.split("\n")}
    assert {line.strip() for line in new_text(letter).split("\n")} <= lines | {""}
