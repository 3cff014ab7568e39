"""The states of a source, and the errors by which its driver says which one it is in.

running           it listens
waiting           the platform asks to wait, until a time; or the month's budget is spent
failing           a request failed; it is repeated, later each time
no credentials    the platform refuses the credential, or there is none; it is tried again ever more seldom (rest.py)
paused            by `earshot source pause`
"""

from __future__ import annotations

from typing import Literal

LONGEST_REASON = 500
State = Literal["running", "waiting", "failing", "no credentials", "paused"]
STATES: tuple[State, ...] = ("running", "waiting", "failing", "no credentials", "paused")


class SourceError(Exception):
    """The source can't go on now; the text is the reason, in one line without a secret or a person's words."""

    state: State = "failing"

    def __init__(self, reason: str) -> None:
        """Of a long reason the beginning counts: it is stored, shown and logged with each try."""
        super().__init__(reason if len(reason) <= LONGEST_REASON else f"{reason[:LONGEST_REASON]} ...")


class Failed(SourceError):
    """A request failed, or its answer makes no sense."""


class Waiting(SourceError):
    """The platform asks to wait."""

    state: State = "waiting"

    def __init__(self, reason: str, until: float) -> None:
        """`until`: in seconds since 1970."""
        super().__init__(reason)
        self.until = until


class Spent(Waiting):
    """The source's budget for this month is spent."""


class NoCredentials(SourceError):
    """The platform refuses the credential, or there is none."""

    state: State = "no credentials"
