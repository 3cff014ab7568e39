"""Which requests a listener needed, as its platform's server judges them."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Awaitable, Callable

from aiohttp import web

ITEM = re.compile(rb'item \d+ of \w+\.(?: Edited when \d+ came)?|"event_id": "\w+"')
"""An item of this text, in one of its states, is news until an answer has shown it; so is an event of a stream."""
FAULT = web.RequestKey("fault", str)
"""The fault that the request got; blank: none."""
STREAMS = web.RequestKey("streams", bool)
"""Whether its answer is a stream, or is held until there is something to say."""
BURST = 3.0
"""A busy machine delays a poll until the next one: so many answers without news may follow each other at once."""


class Ledger:
    """Counts the requests of one source; `ratio` has the definition.

    A question is a method, a path and the names of the parameters: so the first page of a list, the pages after it, and a look
    at known items are different ones. An answer is needed

    - if it shows an item, or a state of an item, that no answer before it has shown;
    - without news once for each `every_s` and question: so a listener learns that there are none;
    - if it is a stream, while no other stream of this question is open; so is a long poll that is broken off while it is held.

    All other answers are needless; so is one that nobody waited for, as the client was killed. A fault that the server puts in
    place of its answer, or of half of it, is a failure.
    """

    def __init__(self, every_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.requests = self.failures = 0
        self.needless: Counter[str] = Counter()
        """By question."""
        self._every_s, self._clock = every_s, clock
        self._shown: set[bytes] = set()
        self._left: dict[str, tuple[float, float]] = {}
        """Of a question: how many answers without news are needed at a time, and that time."""
        self._open: Counter[str] = Counter()

    async def judged(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """The answer of `handler`, counted. A failure says so by `request[FAULT]`."""
        question = " ".join((request.method, request.path, *sorted(set(request.query))))
        self.requests += 1
        second = self._open[question] > 0
        self._open[question] += 1
        response: web.StreamResponse | None = None
        try:
            response = await handler(request)
            return response
        finally:
            self._open[question] -= 1
            if request.get(FAULT):
                self.failures += 1
            elif request.get(STREAMS):
                self.needless[question] += second
            elif not isinstance(response, web.Response) or not self.needs(question, _body(response)):
                self.needless[question] += 1

    def needs(self, question: str, body: bytes) -> bool:
        """Whether an answer with this body is needed now; it counts as given."""
        news = set(ITEM.findall(body)) - self._shown
        if news:
            self._shown |= news
            return True
        now = self._clock()
        left, at = self._left.get(question, (BURST, now))
        left = min(BURST, left + (now - at) / self._every_s)
        needed = left >= 1.0
        self._left[question] = left - needed, now
        return needed


def ratio(ledgers: list[Ledger], kills: int) -> float:
    """Requests over the sum of those needed, one for each failure and one for each kill [listen.requests_ratio].

    The servers judge each answer (Ledger), so the sum holds what the world of this very run took, with its waits and back-offs.
    A run without faults would give no fair sum: it polls more often, as nothing makes it wait.
    """
    requests, failures = sum(each.requests for each in ledgers), sum(each.failures for each in ledgers)
    needed = requests - failures - sum(each.needless.total() for each in ledgers)
    return requests / (needed + failures + kills)


def _body(response: web.Response) -> bytes:
    return response.body if isinstance(response.body, bytes) else b""
