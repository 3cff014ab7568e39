"""The types of fields that rules and receivers of alerts.yaml share."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import AfterValidator, StringConstraints

from pipeline.config.fields import Duration
from pipeline.processors.language_codes import primary_code
from pipeline.processors.mentions.terms import term_text
from schemas import events

LONGEST_WINDOW = timedelta(hours=6)


def _minutes(value: timedelta) -> timedelta:
    if value % timedelta(minutes=1) or not timedelta(minutes=1) <= value <= LONGEST_WINDOW:
        raise ValueError("a window is 1 to 360 whole minutes")
    return value


def _word(text: str) -> str:
    if not term_text(text):
        raise ValueError(f"{text!r} holds nothing to look for")
    return text


def _language(name: str) -> str:
    """`en` of en, eng, en-US or English, as languages are stored."""
    if not (code := primary_code(name)):
        raise ValueError(f"{name!r} is no language, as en")
    return code


def by_language(words: object) -> object:
    """Lists by language, in any form, as lists by its code; `any` stays. What is no mapping stays for the next check."""
    if not isinstance(words, dict):
        return words
    by_code: dict[str, object] = {}
    for name, listed in words.items():
        if not isinstance(name, str):
            raise ValueError("its languages are texts: quote a text that looks like another")
        code = "any" if name == "any" else "" if name == "all" else primary_code(name)
        if not code:
            raise ValueError(f"{name!r} is no language, as en, and not `any`")
        if code in by_code:
            raise ValueError(f"{name!r} is {code}, which has words already")
        by_code[code] = listed
    return by_code


Window = Annotated[Duration, AfterValidator(_minutes)]
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
Word = Annotated[str, AfterValidator(_word)]
Platform = Annotated[str, StringConstraints(pattern=events.PLATFORM_PATTERN)]
Language = Annotated[str, AfterValidator(_language)]
Dimension = Literal["platform", "language"]
