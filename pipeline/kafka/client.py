"""Kafka's admin client, and a check that the broker answers: one clear line if it does not."""

from __future__ import annotations

from concurrent.futures import Future

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient, TopicDescription

from pipeline.config.settings import KafkaConfig, KafkaSettings
from pipeline.errors import UnreachableError
from pipeline.kafka.tls import certificate_problem, unreadable_file

_REFUSED_CERTIFICATE = "certificate verify failed"


def kafka_admin(kafka: KafkaSettings, errors: list[KafkaError] | None = None) -> AdminClient:
    """An admin client that writes nothing to stderr; errors of its background threads are appended to `errors`.

    Raises UnreachableError if librdkafka refuses the settings, for example an unreadable certificate.
    """
    errors = [] if errors is None else errors
    try:
        config: KafkaConfig = {**kafka.client(), "log_level": 0, "error_cb": errors.append}
        return AdminClient(config)
    except KafkaException as error:
        why = unreadable_file(kafka.client()) or kafka_reason(error)
        raise UnreachableError(f"Kafka at {kafka.bootstrap}: {why}") from None


def check_kafka(kafka: KafkaSettings, timeout: float = 5.0) -> dict[str, int]:
    """The cluster's topics, each with its number of partitions.

    Raises UnreachableError with the address if no broker answers within `timeout` seconds or the login is refused; after one
    second if every broker refuses.
    """
    errors: list[KafkaError] = []
    admin = kafka_admin(kafka, errors)
    for patience in (1.0, timeout - 1.0):
        try:
            topics = admin.list_topics(timeout=patience).topics
            return {name: len(topic.partitions) for name, topic in topics.items()}
        except KafkaException as error:
            admin.poll(0)  # calls error_cb for errors of the background threads
            why = kafka_reason(error)
            if any(e.code() == KafkaError._ALL_BROKERS_DOWN for e in errors):
                break
    noticed = [error_text(e) for e in errors if e.code() != KafkaError._ALL_BROKERS_DOWN]
    why = (noticed or [why])[-1]
    if _REFUSED_CERTIFICATE in why and (problem := certificate_problem(kafka.client())):
        why = f"the broker's certificate is refused: {problem}"
    raise UnreachableError(f"Kafka at {kafka.bootstrap}: {why}")


class TopicId:
    """The broker's name for a topic since it was made: another one once it is made anew; of a broker that gives none always the
    same."""

    def __init__(self, kafka: KafkaSettings, topic: str) -> None:
        """Raises UnreachableError as `kafka_admin`."""
        self._admin, self._topic = kafka_admin(kafka), topic

    def ask(self, timeout: float) -> Future[TopicDescription]:
        """For `told`. It fails with KafkaException without a broker or the topic."""
        asked = self._admin.describe_topics(TopicCollection([self._topic]), request_timeout=timeout)
        future: Future[TopicDescription] = asked[self._topic]
        return future

    @staticmethod
    def told(answer: Future[TopicDescription]) -> str:
        """Waits for it. Raises KafkaException."""
        return str(answer.result().topic_id)


def kafka_reason(error: KafkaException) -> str:
    """The text of a Kafka error, on one line."""
    first = error.args[0] if error.args else error
    return error_text(first) if isinstance(first, KafkaError) else " ".join(str(first).split())


def error_text(error: KafkaError) -> str:
    """The text of an error, on one line, without the time that it took: the same error has the same text."""
    return " ".join(error.str().split()).split(" (after ")[0]
