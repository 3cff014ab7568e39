"""Group: the Faust app of a process that may lead; its consumer group reports to a Member (kafka/lease.py).

aiokafka reports no heartbeats, and calls back on a revoke only once it knows a coordinator: never while no broker answers. So
`watch` sees its requests to the coordinator, in the consumer's own thread. Should another aiokafka name these requests
otherwise, nothing would ever be confirmed, and nobody would lead.
"""

from __future__ import annotations

from typing import Any, Protocol

import faust
from aiokafka.protocol.group import HeartbeatRequest, JoinGroupRequest, LeaveGroupRequest, SyncGroupRequest
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread, Consumer

from pipeline.config.settings import KafkaSettings
from pipeline.kafka import faust_app
from pipeline.kafka.tls import tls_context

SESSION_S = 6.0
"""The least that Kafka allows by default."""
REBALANCE_S = 10.0
"""A member that has to leave has so long to end its writes and to hand over."""
LOGGERS = (*faust_app.LOGGERS, __name__)
"""Faust logs under these names."""


class Member(Protocol):
    """Gets the group's reports, from the consumer's thread."""

    def now(self) -> float:
        """The time by the member's own clock, in seconds."""
        ...

    def answered(self) -> None:
        """The coordinator answered, be it with an error."""
        ...

    def confirmed(self, sent_at: float) -> None:
        """The coordinator confirmed the membership, in answer to a request sent at `sent_at`."""
        ...

    def leaving(self) -> None:
        """From now on the group may give the partition to another member."""
        ...


def make_app(kafka: KafkaSettings, name: str, member: Member) -> faust.App:
    """An app in group `<group>-<name>`, which reports to `member`; signals of the app say which partitions are assigned."""
    app = _App(
        f"{kafka.group}-{name}",
        broker=[f"kafka://{server}" for server in kafka.bootstrap.split(",")],
        broker_credentials=_credentials(kafka),
        broker_session_timeout=SESSION_S, broker_rebalance_timeout=REBALANCE_S, broker_heartbeat_interval=2,
        broker_commit_interval=1.0,
        stream_wait_empty=False,  # a leader that lost its lease never acknowledges the rest: it would wait, and never rejoin
        topic_disable_leader=True, topic_allow_declare=False, web_enabled=False, store="memory://",
    )  # fmt: skip
    app.earshot_member = member
    return app


def watch(coordinator: Any, member: Member) -> None:
    """Reports each request that aiokafka's coordinator sends, and its answer, to the member."""
    send = coordinator._send_req

    async def watched(request: Any) -> Any:
        if isinstance(request, (JoinGroupRequest, LeaveGroupRequest)):
            member.leaving()
        sent_at = member.now()
        answer = await send(request)
        member.answered()
        # The answer "rebalancing" confirms nothing: the partition may be another's a moment later.
        if isinstance(request, (HeartbeatRequest, SyncGroupRequest)) and answer.error_code == 0:
            member.confirmed(sent_at)
        return answer

    coordinator._send_req = watched


class _Thread(AIOKafkaConsumerThread):
    app: Any

    async def on_start(self) -> None:
        await super().on_start()
        assert self._consumer is not None
        watch(self._consumer._coordinator, self.app.earshot_member)

    async def on_partitions_revoked(self, revoked: set[Any]) -> None:
        self.app.earshot_member.leaving()  # before Faust waits for anything
        await super().on_partitions_revoked(revoked)

    async def seek_to_committed(self) -> Any:
        """Where nothing is committed to the beginning: aiokafka stays where it is there. A fetch that waits while the group
        changes takes the first records of the new assignment; Faust drops them, and seeks to have them again."""
        return await self.call_thread(self._seek_to_committed)

    async def _seek_to_committed(self) -> Any:
        assert self._consumer is not None
        offsets = await self._consumer.seek_to_committed()
        if never := [partition for partition, offset in offsets.items() if not offset]:
            await self._consumer.seek_to_beginning(*never)
        return offsets


class _Consumer(Consumer):
    app: Any

    async def on_partitions_revoked(self, revoked: set[Any]) -> None:
        # Faust does so only for a member that has a partition. With another the first records would come while it seeks, into
        # queues that it empties when it goes on, and it commits over one missing offset.
        self.stop_flow()
        self.app.flow_control.suspend()
        await super().on_partitions_revoked(revoked)

    def _new_consumer_thread(self) -> AIOKafkaConsumerThread:
        return _Thread(self, loop=self.loop, beacon=self.beacon)


class _App(faust_app.StatelessApp):
    earshot_member: Member

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
