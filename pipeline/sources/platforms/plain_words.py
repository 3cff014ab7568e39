"""Links, hashtags and handles in the plain text of platforms that do not mark them."""

from __future__ import annotations

import re

_LINK = re.compile(r"https?://(?:[^\s()<>\[\]\"]|\([^\s()<>]{0,500}\))+").findall
_HASHTAG = re.compile(r"(?<![\w#&/])#(\w{1,100})").findall
_HANDLE = re.compile(r"(?<![\w@./-])@([\w.\-·]{3,30})").findall


def links_in(text: str) -> list[str]:
    """Addresses, each once, without the punctuation of the sentence behind them."""
    return list(dict.fromkeys(link.rstrip(".,;:!?'*_") for link in _LINK(text))) if "://" in text else []


def hashtags_in(text: str) -> list[str]:
    """Without #, each once; a mere number is none."""
    return [tag for tag in dict.fromkeys(_HASHTAG(text)) if not tag.isdecimal()] if "#" in text else []


def handles_in(text: str) -> list[str]:
    """Without @, each once."""
    return list(dict.fromkeys(handle.rstrip(".-") for handle in _HANDLE(text))) if "@" in text else []
