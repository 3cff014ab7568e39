"""The register: each table and topic, what it holds of a person, and how it goes.

Whoever adds a table or topic adds its place; tests/privacy/test_register.py fails for one that is missing. docs/privacy.md is
made from it (`python -m deploy.privacy`), `earshot person` finds by it what there is of a person.
"""

from __future__ import annotations

from pipeline.config.retention import TABLES as EXPIRES
from pipeline.embedded.analyst_names import OF_CONSOLE, READABLE
from pipeline.privacy.place import Erase, Place
from pipeline.privacy.places import alerts, events, identity, operations, topics

PLACES: tuple[Place, ...] = (*events.PLACES, *alerts.PLACES, *identity.PLACES, *operations.PLACES, *topics.PLACES)
TABLES = {place.name: place for place in PLACES if not place.topic}
TOPICS = {place.name: place for place in PLACES if place.topic}

HOW: dict[Erase, str] = {
    "rows": "erased",
    "rebuilt": "made anew",
    "graph": "by customers",
    "letters": "by its JSON",
    "retention": "with time",
    "none": "stays",
}
"""How it goes, in a word or two: docs/privacy.md says what each means."""


def readers(place: Place) -> str:
    """Who reads a table beside Earshot's own users, in words."""
    if place.topic:
        return "who may read the topic"
    if place.name in READABLE:
        return "`analyst`, `console`"
    return "`console`" if place.name in OF_CONSOLE else "nobody but `default`"


def how_long(place: Place) -> str:
    """How long it is kept, in words."""
    setting = "; setting `retention` may say otherwise" if not place.topic and place.name in EXPIRES else ""
    return place.kept + setting
