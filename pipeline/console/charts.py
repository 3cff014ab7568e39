"""Charts: the data that the script draws by uPlot (static/chart.js), and small lines that the server draws itself, as SVG whose
looks are attributes: a page may hold no style."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import NamedTuple

import orjson
from markupsafe import Markup
from starlette.responses import Response

MOST_POINTS = 2_000
"""Of a chart."""
Value = float | int | None
Values = Sequence[Value]


class Line(NamedTuple):
    """A line of a chart. Its look: main, before (dashed), other (thin), limit (dashed), negative, neutral, positive, dots, low
    and high (the edges of a band)."""

    label: str
    values: Values
    look: str = "other"


class Mark(NamedTuple):
    """An event that is drawn in: an alert."""

    at: datetime
    label: str
    href: str
    severity: int


class Chart(NamedTuple):
    """Lines over time. `links`: where a click on each point leads; none: nowhere."""

    times: Sequence[datetime]
    lines: Sequence[Line]
    unit: str
    marks: Sequence[Mark] = ()
    links: Sequence[str] = ()
    digits: int = 0
    """Behind the point."""

    def record(self) -> dict[str, object]:
        """The JSON object that chart.js takes: times in seconds since 1970; what is no number is null."""
        return {
            "x": [each.timestamp() for each in self.times],
            "lines": [
                {"label": each.label, "look": each.look, "values": [_finite(v) for v in each.values]} for each in self.lines
            ],
            "unit": self.unit,
            "digits": self.digits,
            "marks": [
                {"x": each.at.timestamp(), "label": each.label, "href": each.href, "severity": each.severity}
                for each in self.marks
            ],
            "links": list(self.links),
        }

    def response(self) -> Response:
        """The answer of its route."""
        return Response(orjson.dumps(self.record()), media_type="application/json")


def spark(values: Values, label: str, width: int = 120, height: int = 28, least: float | None = 0.0) -> Markup:
    """A small line, with `label` for who can't see it. A value that is none is a gap; one alone is a dot. The axis begins at
    `least`, or at the least value if that is lower; None: there. It has the colour of the text around it."""
    numbers = [_finite(value) for value in values[-MOST_POINTS:]]
    known = [value for value in numbers if value is not None]
    low = min(known, default=0.0) if least is None else min([*known, least])
    high = max(known, default=0.0)
    across = (width - 4) / max(len(numbers) - 1, 1)
    up = (height - 4) / (high - low) if high > low else 0.0
    dots = [None if v is None else (2 + n * across, height - 2 - (v - low) * up) for n, v in enumerate(numbers)]
    drawn = Markup("").join(_drawn(run) for run in _runs(dots))
    return Markup(
        '<svg class="spark" viewBox="0 0 {w} {h}" width="{w}" height="{h}" role="img" aria-label="{label}" '
        'preserveAspectRatio="none" fill="none" stroke="currentColor" stroke-width="1.5" stroke-linejoin="round" '
        'stroke-linecap="round">{drawn}</svg>'
    ).format(w=width, h=height, label=label, drawn=drawn)


def bar(share: float | None, width: int = 100, height: int = 10) -> Markup:
    """A bar as long as `share` (0 to 1) of the width. It says nothing that the number beside it does not."""
    part = min(max(_finite(share) or 0.0, 0.0), 1.0)
    return Markup(
        '<svg class="bar" viewBox="0 0 {w} {h}" width="{w}" height="{h}" aria-hidden="true" preserveAspectRatio="none">'
        '<rect width="{w}" height="{h}" rx="2" fill="currentColor" opacity="0.12"></rect>'
        '<rect width="{part}" height="{h}" rx="2" fill="currentColor"></rect></svg>'
    ).format(w=width, h=height, part=f"{part * width:.1f}")


def _finite(value: Value) -> float | None:
    if value is None or not math.isfinite(value):
        return None
    return float(value)


Dot = tuple[float, float]


def _runs(dots: Sequence[Dot | None]) -> Iterator[list[Dot]]:
    """The dots between gaps."""
    run = list[Dot]()
    for dot in (*dots, None):
        if dot is not None:
            run.append(dot)
        elif run:
            yield run
            run = []


def _drawn(run: Sequence[Dot]) -> Markup:
    if len(run) == 1:
        return Markup('<circle cx="{:.1f}" cy="{:.1f}" r="1.5" fill="currentColor"></circle>').format(*run[0])
    return Markup('<polyline points="{}"></polyline>').format(" ".join(f"{x:.1f},{y:.1f}" for x, y in run))
