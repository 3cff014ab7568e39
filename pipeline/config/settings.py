"""The settings: their sections, keys, defaults and limits. `config/load.py` reads them.

`Settings` is one frozen object. app.py, control and the commands take it apart: steps, sinks and sources get plain arguments or
one section. What needs several sections (migrate, status, rematch, replay, generate) gets the whole. Secrets print as stars.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import platformdirs
from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from pipeline.config.analytics import AnalyticsSettings
from pipeline.config.apis import ControlSettings, CustomersSettings
from pipeline.config.console import ConsoleSettings
from pipeline.config.keys import KeySettings
from pipeline.config.listening import ListenSettings
from pipeline.config.outgoing import OutgoingSettings
from pipeline.config.retention import RetentionSettings
from pipeline.config.section import Section, expand_home, refuse

ENV_PREFIX = "EARSHOT_"
MAX_MESSAGE_BYTES = 12 << 20
"""The largest event; the limits of topics and clients follow from it."""
KafkaConfig = dict[str, Any]
"""Settings of a librdkafka client, by their names there."""
DEAD_LETTER_BYTES = MAX_MESSAGE_BYTES + (1 << 16)
"""The largest dead letter: the event and some headers."""


class KafkaSettings(Section):
    bootstrap: str = Field("127.0.0.1:9092", description="brokers to start from: host:port, separated by commas")
    group: str = Field("earshot", description="consumer group of the workers; control appends -control and -rollups")
    topic_prefix: str = Field("social", description="first part of the topics' names, as in social.events")
    partitions: int = Field(8, ge=1, description="partitions of topic events when `earshot migrate` creates it")
    replication: int = Field(1, ge=1, description="replicas of each topic when `earshot migrate` creates it")
    retention_ms: int = Field(-1, ge=-1, description="how long topics keep records; -1: no limit but retention_bytes")
    retention_bytes: int = Field(4 << 30, ge=-1, description="bytes that a topic keeps; -1: no limit")
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="protocol to the brokers"
    )
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field("PLAIN", description="with SASL only")
    sasl_username: str = Field("", description="with SASL only")
    sasl_password: SecretStr = Field(SecretStr(""), description="with SASL only")
    ssl_ca: Path | None = Field(None, description="CA certificates for the brokers; none: the system's")
    ssl_certificate: Path | None = Field(None, description="this client's certificate, if brokers ask for one")
    ssl_key: Path | None = Field(None, description="the key of ssl_certificate")
    ssl_key_password: SecretStr = Field(SecretStr(""), description="the password of ssl_key")
    session_timeout_ms: int = Field(
        10_000, ge=6_000, description="without heartbeats for so long, a worker loses its partitions to others"
    )

    @model_validator(mode="after")
    def _all_used(self) -> KafkaSettings:
        if not self.security_protocol.startswith("SASL"):
            refuse(self, ("sasl_mechanism", "sasl_username", "sasl_password"), f"security_protocol {self.security_protocol}")
        if not self.security_protocol.endswith("SSL"):
            names = ("ssl_ca", "ssl_certificate", "ssl_key", "ssl_key_password")
            refuse(self, names, f"security_protocol {self.security_protocol}")
        return self

    def topic(self, name: str) -> str:
        """`topic("events")` is `social.events` by default."""
        return f"{self.topic_prefix}.{name}"

    def client(self) -> KafkaConfig:
        """librdkafka's connection settings, shared by every producer, consumer and admin client."""
        config: KafkaConfig = {
            "bootstrap.servers": self.bootstrap,
            "security.protocol": self.security_protocol,
        }
        if self.security_protocol.startswith("SASL"):
            config["sasl.mechanism"] = self.sasl_mechanism
            config["sasl.username"] = self.sasl_username
            config["sasl.password"] = self.sasl_password.get_secret_value()
        if self.security_protocol.endswith("SSL"):
            config["ssl.ca.location"] = str(self.ssl_ca) if self.ssl_ca else None
            config["ssl.certificate.location"] = str(self.ssl_certificate) if self.ssl_certificate else None
            config["ssl.key.location"] = str(self.ssl_key) if self.ssl_key else None
            config["ssl.key.password"] = self.ssl_key_password.get_secret_value() or None
        return {key: value for key, value in config.items() if value is not None}


class ClickHouseSettings(Section):
    url: str = Field("http://127.0.0.1:8123", description="ClickHouse's HTTP interface, without user and password")
    user: str = Field("default", description="user name")
    password: SecretStr = Field(SecretStr(""), description="the password of user")
    database: str = Field("default", description="database of Earshot's tables; it must exist")
    ca: Path | None = Field(None, description="https only: CA certificates for the server; none: the system's")
    certificate: Path | None = Field(None, description="https only: this client's certificate")
    key: Path | None = Field(None, description="https only: the key of certificate")

    @field_validator("url")
    @classmethod
    def _plain_url(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0:
            raise ValueError("it should look like http://host:8123 or https://host:8443")
        if parts.username is not None:
            raise ValueError("user and password have keys of their own, because messages show the URL")
        return url

    @model_validator(mode="after")
    def _all_used(self) -> ClickHouseSettings:
        if self.url.startswith("http:"):
            refuse(self, ("ca", "certificate", "key"), "an http:// url")
        return self


class WorkerSettings(Section):
    batch_rows: int = Field(16_000, ge=1, description="rows of a batch at most")
    batch_bytes: int = Field(32 << 20, ge=1, description="bytes of a batch, about")
    linger_ms: int = Field(200, ge=1, description="time between two batches while records come")
    health_host: str = Field("127.0.0.1", description="address that /live, /ready and /metrics listen on")
    health_port: int = Field(9400, ge=0, le=65535, description="their port; 0: any that is free")
    dedup_hours: float = Field(24, ge=0, description="hours for which redeliveries are recognised")
    dedup_keys: int = Field(20_000_000, ge=0, description="the same, in revisions per worker")
    keep_irrelevant: bool = Field(True, description="keep events that mention no tracked brand")
    waiting_days: float = Field(7, gt=0, le=60, description="how long a change waits for its create")
    waiting_changes: int = Field(
        50_000, ge=1, description="waiting changes that a worker keeps in memory; further ones are in their table"
    )


class PrivacySettings(KeySettings):
    region: str = Field(
        "", pattern="^([A-Z]{2})?$", description="country of numbers without +, as DE; none: they stay as they came"
    )
    purge_hours: float = Field(
        24,
        ge=0,
        le=720,
        description="what an erasure hid is removed from the files so long after it, with all that was hidden since",
    )
    erasures_file: Path | None = Field(
        None, description="erasures are noted in this file, too, by keys: keep it apart from ClickHouse, for `earshot restore`"
    )


class SentimentSettings(Section):
    """A model is `fast` or `accurate` (bundled), a folder (it starts with `/`, `./`, `../` or `~/`) or a name on the Hugging
    Face hub."""

    model: str = Field("fast", min_length=1, description="fast, accurate, a folder, a name on the hub, or off: no labels")
    models: dict[str, str] = Field({}, description="other models for single languages, by ISO 639 code")
    languages: tuple[str, ...] = Field((), description="languages of the model, if it does not name them itself")
    revision: str = Field("", description="the pinned commit of a model from the hub")
    backend: Literal["auto", "onnx", "torch"] = Field(
        "auto", description="engine of the model; auto: torch on a GPU or without an ONNX file, else onnx"
    )
    device: str = Field("auto", description="cpu, cuda, cuda:1; auto: a GPU if torch finds one")
    budget_ms: int = Field(150, ge=0, description="time for a batch; further texts are labelled later")
    cache_mb: int = Field(64, ge=0, description="memory for the labels of repeated texts")
    threads: int = Field(1, ge=1, description="threads of the model")

    @field_validator("model")
    @classmethod
    def _model_home(cls, model: str) -> str:
        return os.path.expanduser(model)

    @field_validator("models")
    @classmethod
    def _models_home(cls, models: dict[str, str]) -> dict[str, str]:
        return {_language(code): os.path.expanduser(model) for code, model in models.items()}

    @field_validator("languages")
    @classmethod
    def _codes(cls, languages: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(map(_language, languages))


def _language(code: str) -> str:
    if not re.fullmatch("[a-z]{2,3}", code):
        raise ValueError(f"{code!r} is no ISO 639 code, as en or pt")
    return code


class EmbeddedSettings(Section):
    data_dir: Path = Field(Path(platformdirs.user_data_dir("earshot")), description="folder with all state of `earshot up`")
    broker: Literal["auto", "kafka", "light"] = Field(
        "auto", description="auto: Kafka, or light (in memory) if Kafka is not available"
    )
    kafka_port: int = Field(9092, ge=0, le=65535, description="port of the embedded broker; 0: any that is free")
    clickhouse_port: int = Field(8123, ge=0, le=65535, description="port of the embedded ClickHouse; 0: any that is free")
    kafka_home: Path | None = Field(None, description="a full Kafka distribution instead of the downloaded jars")


class Settings(BaseSettings):
    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX,
        env_nested_delimiter="__",
        env_ignore_empty=True,
        extra="forbid",
        frozen=True,
        nested_model_default_partial_update=True,
    )

    kafka: KafkaSettings = KafkaSettings()
    clickhouse: ClickHouseSettings = ClickHouseSettings()
    worker: WorkerSettings = WorkerSettings()
    privacy: PrivacySettings = PrivacySettings()
    embedded: EmbeddedSettings = EmbeddedSettings()
    sentiment: SentimentSettings = SentimentSettings()
    control: ControlSettings = ControlSettings()
    customers: CustomersSettings = CustomersSettings()
    listen: ListenSettings = ListenSettings()
    console: ConsoleSettings = ConsoleSettings()
    analytics: AnalyticsSettings = AnalyticsSettings()
    retention: RetentionSettings = RetentionSettings()
    outgoing: OutgoingSettings = OutgoingSettings()
    brands: Path | None = Field(None, description="brands.yaml; none: the brands that ship with the sample stream")
    alerts: Path | None = Field(None, description="alerts.yaml; none: the rules that ship with Earshot")
    roles: Path | None = Field(None, description="roles.yaml: who is what to a brand; none: the rules that ship with Earshot")
    sources: Path | None = Field(None, description="sources.yaml: what a listener listens to; none: nothing")

    _home = field_validator("*")(expand_home)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return env_settings, init_settings
