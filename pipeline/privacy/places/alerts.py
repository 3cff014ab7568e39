"""Tables of alerts: they hold keys of events, and words that several posts share."""

from __future__ import annotations

from pipeline.privacy.place import Place

_SAMPLES = {
    "samples": "arrayFilter(key -> key IN ({events}), samples)",
    **dict.fromkeys(("terms", "query", "actor", "comment", "muted"), ""),
}
"""Posts and words of others stand in an alert, too, and what colleagues say."""
_STAYS = "it is about many posts, and none of it names anybody once the events have gone: a key of an event finds nothing then"

PLACES = (
    *(
        Place(
            name=name,
            backup="kept" if name == "alerts" else "rebuilt",
            holds="event keys of up to three posts; words that several posts share (a name may be among them)",
            clear="words; who acknowledged, and what they said",
            kept="open alerts and ends of alerts: kept; earlier changes of an alert: 400 days",
            erase="none",
            goes=_STAYS,
            events=("samples[]",),
            time="changed_at",
            shown=_SAMPLES | more,
        )
        for name, more in (("alerts", {}), ("alerts_now", {"newest": ""}))
    ),
    Place(
        name="alert_events",
        backup="kept",
        holds="keys of events that a rule for single events has seen",
        kept="400 days after the event",
        erase="rows",
        events=("event_key",),
        time="created_at",
    ),
    Place(
        name="alert_candidates",
        backup="kept",
        holds="keys of events, brands, words of rules; no texts, no authors",
        kept="7 days",
        erase="rows",
        events=("event_key",),
        time="heard_at",
    ),
    Place(
        name="alert_silences",
        backup="kept",
        holds="who silenced what (name of a token), their comment",
        clear="names of colleagues, what they say",
        kept="kept",
        erase="none",
        goes="it is of colleagues, and says who did what",
    ),
    Place(name="alert_deliveries", backup="kept", kept="90 days", erase="none", goes="receivers and their status"),
    Place(name="alert_watermarks", backup="kept", kept="kept", erase="none", goes="times"),
    Place(name="alert_late_days", backup="kept", kept="30 days", erase="none", goes="days"),
)
