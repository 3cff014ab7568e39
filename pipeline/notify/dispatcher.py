"""Dispatcher: who is told of which change of an alert, and that they are.

Each receiver has a line (line.py) of its own: a queue and a task, so that one that is slow or down never delays another. At
least once: a change is told until the receiver accepts it, over restarts too, and each request names its changes, so that a
receiver can tell what it knows. What is told:

- the opening of an alert, once its severity is the receiver's; its acknowledgement; a higher severity; its end. Other changes
  are only noted, and are in what is told next. Nobody is told what is pending, historical or muted.
- an end only where the opening was told, or still waits to be (then both are); also when the alert is muted by then, for an
  incident that was opened there has to be closed there.
- webhooks again by the rule's `repeat`, while an alert fires and nobody has acknowledged it. Alertmanager all that is open,
  once a minute, also what is muted by now: it would say by itself that it is over.
- a test to all receivers of its rule, once, whatever its severity; it keeps no other alert waiting.

What waits is in memory, the first and the newest change of 10,000 alerts a receiver at most (book.py); the delivery log
(log.py) and table alerts say after a restart what is left to tell.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from pipeline.notify.delivery_log import Sent
from pipeline.notify.receiver_queue import Context, ReceiverQueue
from pipeline.notify.receivers import check
from pipeline.processors.alerts.rules import Alerts
from schemas.alerts import Alert, State


class Dispatcher:
    """To be made and used in a running event loop. Raises SettingsError when a receiver lacks a variable of the environment."""

    def __init__(self, config: Alerts, context: Context) -> None:
        self._context = context
        self._open: dict[int, Alert] = {}
        self._lines: dict[str, ReceiverQueue] = {}
        self._leaving: set[asyncio.Task[None]] = set()
        self.use(config)

    def use(self, config: Alerts) -> None:
        """Other rules and receivers, from now on. One that stays keeps its queue; one that is new is told of what is open.

        Raises SettingsError, and changes nothing then.
        """
        check(config, self._context.environ)
        self._listed = {rule.name: {receiver.name for receiver in config.receivers_of(rule.name)} for rule in config.rules}
        receivers = {receiver.name: receiver for receiver in config.receivers}
        for name in self._lines.keys() - receivers.keys():
            task = asyncio.create_task(self._lines.pop(name).close(0))
            self._leaving.add(task)
            task.add_done_callback(self._leaving.discard)
        for name, receiver in receivers.items():
            if name in self._lines:
                self._lines[name].use(receiver, config)
            else:
                self._lines[name] = ReceiverQueue(receiver, config, self._context)
        for alert in self._open.values():
            self._offer(alert)

    def resume(self, alerts: Sequence[Alert], sent: Mapping[tuple[int, str], Sent]) -> None:
        """Goes on where an earlier process stopped; to be called before the first `tell`.

        `alerts` are the newest changes of those that are open, and of those that ended within the last day; `sent` is what
        `last_sent` says of their keys. What was not accepted is told now. Of an alert that began and ended while the receiver
        was down, only the end is left to tell: it says all.
        """
        for alert in alerts:
            for name, line in self._lines.items():
                if (known := sent.get((alert.key, name))) is not None:
                    line.know(alert, known)
            self.tell(alert)

    def tell(self, alert: Alert) -> None:
        """Takes a change over; each receiver that it is news for will be told. Returns at once."""
        if alert.historical or alert.state is State.PENDING:
            return
        if alert.state is State.RESOLVED:
            self._open.pop(alert.key, None)
        elif not alert.test:
            self._open[alert.key] = alert
        self._offer(alert)

    def _offer(self, alert: Alert) -> None:
        listed = self._listed.get(alert.rule, self._lines.keys())
        for name, line in self._lines.items():
            line.tell(alert, name in listed)

    @property
    def dead(self) -> list[str]:
        """Receivers whose task has ended by a fault of ours: the process should be started anew."""
        return [name for name, line in self._lines.items() if line.dead]

    async def close(self, timeout_s: float = 5.0) -> None:
        """Tells what waits, for `timeout_s` at most. The store is the caller's to close, after this."""
        await asyncio.gather(*(line.close(timeout_s) for line in self._lines.values()), *self._leaving)
