"""Group: the Faust app of a process that leads, and what its consumer group says to the leader.

aiokafka tells nobody of its heartbeats, and calls what is to hear of a revoke only once it knows a coordinator: never while no
broker answers. So its requests to the coordinator are watched, in the consumer's own thread. Were they called otherwise in
another aiokafka, nothing would ever be confirmed, and nobody would lead.
"""

from __future__ import annotations

from typing import Any, Protocol

import faust
from aiokafka.protocol.group import HeartbeatRequest, JoinGroupRequest, LeaveGroupRequest, SyncGroupRequest
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread, Consumer

from pipeline.config.settings import KafkaSettings
from pipeline.kafka.tls import tls_context

SESSION_S = 6.0
"""The least that Kafka allows by default."""
REBALANCE_S = 10.0
"""A member that is to leave has so long to end its writes and to hand over."""


class Member(Protocol):
    """Hears what the group says, from the consumer's thread (pipeline/leader.py: Member)."""

    def now(self) -> float:
        """The time by the member's own clock, in seconds."""
        ...

    def answered(self) -> None:
        """The coordinator answered, whatever it said."""
        ...

    def confirmed(self, sent_at: float) -> None:
        """The coordinator confirmed the membership, in answer to a request sent at `sent_at`."""
        ...

    def leaving(self) -> None:
        """From now on the partition may be given to another member."""
        ...


def make_app(kafka: KafkaSettings, name: str, leader: Member) -> faust.App:
    """An app in group `<group>-<name>`. Its leader hears what the group says; what is assigned is a signal of the app."""
    app = _App(
        f"{kafka.group}-{name}",
        broker=[f"kafka://{place}" for place in kafka.bootstrap.split(",")],
        broker_credentials=_credentials(kafka),
        broker_session_timeout=SESSION_S, broker_rebalance_timeout=REBALANCE_S, broker_heartbeat_interval=2,
        broker_commit_interval=1.0,
        stream_wait_empty=False,  # it would wait for what a leader that lost its lease never acknowledges, and rejoin never
        topic_disable_leader=True, topic_allow_declare=False, web_enabled=False, store="memory://",
    )  # fmt: skip
    app.earshot_leader = leader
    return app


def watch(coordinator: Any, leader: Member) -> None:
    """Tells the leader of each request that aiokafka's coordinator sends, and of its answer."""
    send = coordinator._send_req

    async def watched(request: Any) -> Any:
        if isinstance(request, (JoinGroupRequest, LeaveGroupRequest)):
            leader.leaving()
        sent_at = leader.now()
        answer = await send(request)
        leader.answered()
        # An answer that says "rebalancing" confirms nothing: the partition may be another's a moment later.
        if isinstance(request, (HeartbeatRequest, SyncGroupRequest)) and answer.error_code == 0:
            leader.confirmed(sent_at)
        return answer

    coordinator._send_req = watched


class _Thread(AIOKafkaConsumerThread):
    app: Any

    async def on_start(self) -> None:
        await super().on_start()
        assert self._consumer is not None
        watch(self._consumer._coordinator, self.app.earshot_leader)

    async def on_partitions_revoked(self, revoked: set[Any]) -> None:
        self.app.earshot_leader.leaving()  # before Faust waits for anything
        await super().on_partitions_revoked(revoked)


class _Consumer(Consumer):
    def _new_consumer_thread(self) -> AIOKafkaConsumerThread:
        return _Thread(self, loop=self.loop, beacon=self.beacon)


class _App(faust.App):
    earshot_leader: Member

    async def on_first_start(self) -> None:
        """Faust would create a data folder for its tables here; there are none."""

    def _new_transport(self) -> Any:
        transport: Any = super()._new_transport()
        transport.Consumer = _Consumer
        return transport


def _credentials(kafka: KafkaSettings) -> Any:
    """The settings' login as Faust has it; None: plain text."""
    context = tls_context(kafka.client())
    if kafka.security_protocol.startswith("SASL"):
        return faust.SASLCredentials(
            username=kafka.sasl_username,
            password=kafka.sasl_password.get_secret_value(),
            ssl_context=context,
            mechanism=kafka.sasl_mechanism,
        )
    return faust.SSLCredentials(context) if context else None
