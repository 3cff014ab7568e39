"""The Faust app of a process without tables, and the loggers that Faust uses for it."""

from __future__ import annotations

import faust

LOGGERS = ("mode", "faust", __name__)
"""Faust logs under these names; the last one is the module of the app's class."""


class StatelessApp(faust.App):
    """An app that keeps nothing on disk."""

    async def on_first_start(self) -> None:
        """Faust would create a data folder for its tables here; there are none."""
