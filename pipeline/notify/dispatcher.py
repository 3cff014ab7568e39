"""Dispatcher: passes each change of an alert to the receivers that it is news for, until they accept it.

Each receiver has a queue of its own (receiver_queue.py), so that a slow or failing one never delays another. At least once: a
change is sent until the receiver accepts it, over restarts too, and each request names its changes, so that a receiver can
recognise a repetition. A receiver is notified of:

- the opening of an alert, once its severity reaches the receiver's `min_severity`; its acknowledgement; a higher severity; its
  end. Other changes are only noted, and are in the next message. Nobody is notified of a pending, historical or muted alert.
- nothing of a rule that was taken out, but the end of alerts that it knows.
- an end only where the opening was sent, or still waits (then both are); also when the alert is muted by then: a receiver has
  to close the incident that it opened.
- webhooks again by the rule's `repeat`, while an alert fires and nobody has acknowledged it. Alertmanager all open alerts, once
  a minute, also the muted ones: it would resolve them by itself.
- a test: all receivers of its rule and of its escalation that are in their hours, once, whatever its severity, and a minute
  later of its end; it delays no other alert.
- an escalation, if the rule's `escalate` names it: once, also if it knows the alert; from then on of the alert's changes. An
  acknowledgement before that ends it.
- nothing out of its hours, except for alerts that its `always` names. When its hours begin it is notified of each open alert,
  once, as it is then; and of the end of alerts that it knows.

Waiting changes are in memory, the first and the newest one of 10,000 alerts a receiver at most (outbox.py). After a restart,
the delivery log (delivery_log.py) and table alerts say which changes are still to be sent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from pipeline.notify.context import Context
from pipeline.notify.delivery_log import Sent
from pipeline.notify.receiver_queue import ReceiverQueue
from pipeline.notify.receivers import check
from pipeline.processors.alerts.rules import Alerts
from schemas.alerts import Alert, State


class Dispatcher:
    """To be made and used in a running event loop. Raises SettingsError when a receiver lacks a variable of the environment."""

    def __init__(self, config: Alerts, context: Context) -> None:
        self._context = context
        self._open: dict[int, Alert] = {}
        self._queues: dict[str, ReceiverQueue] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self._resumed = asyncio.Event()
        self._resumed.set()
        self.use(config)

    def use(self, config: Alerts) -> None:
        """Other rules and receivers, from now on. A receiver that stays keeps its queue; a new one is notified of open alerts.

        Raises SettingsError, and changes nothing then.
        """
        check(config, self._context.environ)
        self._named = {rule.name: {receiver.name for receiver in config.receivers_of(rule.name)} for rule in config.rules}
        self._escalated = {rule.name: {receiver.name for receiver in config.escalated_of(rule.name)} for rule in config.rules}
        receivers = {receiver.name: receiver for receiver in config.receivers}
        for name in self._queues.keys() - receivers.keys():
            task = asyncio.create_task(self._queues.pop(name).close(0))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)
        for name, receiver in receivers.items():
            if name in self._queues:
                self._queues[name].use(receiver, config)
            else:
                self._queues[name] = ReceiverQueue(receiver, config, self._context, self._resumed)
        for alert in self._open.values():
            self._offer(alert)

    async def resume(
        self,
        alerts: Sequence[Alert],
        sent: Mapping[tuple[int, str], Sent],
        held: Mapping[tuple[int, str], int] = MappingProxyType({}),
    ) -> None:
        """Goes on where an earlier process stopped; to be called before the first `notify`.

        `alerts` are the newest changes of open alerts, and of those that ended lately (`remembered`); `sent` and `held` are the
        answers of `last_sent` and `last_held` for their keys. Changes that were not accepted are sent now, none before its end.
        Of an alert that began and ended while the receiver was down, only the end is sent: it says all.
        """
        self._resumed.clear()  # one message has all that belongs together
        try:
            for alert in alerts:
                for name, queue in self._queues.items():
                    if (known := sent.get((alert.key, name))) is not None:
                        queue.restore(alert, known)
                    if (version := held.get((alert.key, name))) is not None:
                        queue.restore_held(alert, version)
                self.notify(alert)
                await asyncio.sleep(0)  # a thousand alerts and hundreds of receivers take a second
        finally:
            self._resumed.set()

    def notify(self, alert: Alert) -> None:
        """Takes a change over, for each receiver that it is news for, unless a later one came before. Returns at once."""
        known = self._open.get(alert.key)
        if alert.historical or alert.state is State.PENDING or (known is not None and known.version > alert.version):
            return
        if alert.state is State.RESOLVED:
            self._open.pop(alert.key, None)
        elif not alert.test:
            self._open[alert.key] = alert
        self._offer(alert)

    def _offer(self, alert: Alert) -> None:
        named, later = self._named.get(alert.rule, set()), self._escalated.get(alert.rule, set())
        for name, queue in self._queues.items():
            queue.offer(
                alert, name in named or (alert.test and name in later), alert.escalated_at is not None and name in later
            )

    @property
    def dead(self) -> list[str]:
        """Receivers whose task has ended by an error of ours: the process should be restarted."""
        return [name for name, queue in self._queues.items() if queue.dead]

    async def close(self, timeout_s: float = 5.0) -> None:
        """Sends waiting changes, for `timeout_s` at most. The caller closes the store, after this."""
        await asyncio.gather(*(queue.close(timeout_s) for queue in self._queues.values()), *self._closing)
