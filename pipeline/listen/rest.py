"""How long a source rests after an error.

A request that failed is repeated after 1 s, 2 s, 4 s ... 5 minutes; so is one that the platform refuses each time, though it
asks to come again at once. A refused credential is tried again after 1, 4 and 16 minutes, then each hour: providers lock an
account after some wrong passwords. A new token in its file ends that rest within seconds: to look at the file costs no request.
A source that names no credential has none to lose, and is tried again within five minutes: servers refuse feeds by mistake.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from pydantic import SecretStr

from pipeline.listen.driver import Driver
from pipeline.listen.spending import Spending
from pipeline.listen.states import NoCredentials, SourceError, Spent, Waiting
from pipeline.listen.timer import Timer

FAILED_S, LONGEST_S = 1.0, 300.0
REFUSED_S, LONGEST_REFUSED_S = 60.0, 3_600.0
LOOK_S = 5.0
"""How often the credential is looked at during a rest."""


@dataclass(frozen=True)
class Access:
    """How a source reaches its platform, with its credential as it is then. Both raise NoCredentials."""

    driver: Callable[[], Driver]
    """Makes the driver anew."""
    token: Callable[[], SecretStr]
    past: Callable[[], Driver] | None = None
    """Makes one for the back-fill; None: as the other one."""
    spending: Spending | None = None
    """None: its platform bills nothing."""

    def of_past(self) -> Access:
        """The same for the back-fill."""
        return replace(self, driver=self.past or self.driver)


class Rests:
    """Of one part of a source: what comes live, or its back-fill. Restart: it begins with the shortest rest."""

    def __init__(self, timer: Timer, access: Access) -> None:
        self._timer, self._access = timer, access
        self.tries = 0
        """Errors in a row."""
        self._refusals = 0
        self._tried: SecretStr | None = None

    def begin(self) -> Driver:
        """A driver for the next try. Raises NoCredentials."""
        self._tried = self._credential()
        return self._access.driver()

    def moved(self) -> None:
        """The source got further: the next rest is the shortest one."""
        self.tries = self._refusals = 0

    def after(self, error: SourceError) -> float:
        """How many seconds to rest after this error, which counts."""
        self.tries += 1
        again = min(LONGEST_S, FAILED_S * 2.0 ** min(self.tries - 1, 20))
        if isinstance(error, Waiting):
            return max(error.until - self._timer.now(), again if self.tries > 1 else 0.0)
        if isinstance(error, NoCredentials):
            self._refusals += 1
            longest = LONGEST_S if self._tried == SecretStr("") else LONGEST_REFUSED_S
            return min(longest, REFUSED_S * 4.0 ** min(self._refusals - 1, 10))
        return again

    async def rest(self, seconds: float, error: SourceError | None = None) -> None:
        """Rests so long, or until the credential is another one than that of the last try; after Spent by the clock alone,
        as the month does."""
        until = error.until if isinstance(error, Spent) else math.inf
        # Else counted by the rests: a clock may be set back meanwhile.
        while seconds > 0 and self._timer.now() < until and self._credential() == self._tried:
            await self._timer.sleep(min(LOOK_S, seconds))
            seconds -= LOOK_S

    def _credential(self) -> SecretStr | None:
        """None: it is not there."""
        try:
            return self._access.token()
        except NoCredentials:
            return None
