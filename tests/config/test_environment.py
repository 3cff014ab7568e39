"""A child process reads the settings that its parent has, whatever the shell says."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from pydantic import SecretStr

from pipeline.config.apis import ControlSettings
from pipeline.config.environment import child_environment, variables
from pipeline.config.load import load
from pipeline.config.settings import (
    ClickHouseSettings,
    KafkaSettings,
    PrivacySettings,
    SentimentSettings,
    Settings,
    WorkerSettings,
)

ODD = SecretStr("a \"secret\" \\ with 'all' \x7f\x1b\n\t ü 😀 in it, long")


def test_a_child_loads_the_settings_of_its_parent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    settings = Settings(
        kafka=KafkaSettings(bootstrap="broker.example:9093", topic_prefix="ours", partitions=3),
        clickhouse=ClickHouseSettings(url="http://127.0.0.1:8124", database="ours", password=ODD),
        worker=WorkerSettings(health_port=0, batch_rows=500, keep_irrelevant=False),
        control=ControlSettings(tokens={'in"es': ODD, "lars ü": SecretStr("the token that lars has")}, token=ODD),
        privacy=PrivacySettings(hash_key=ODD, older_hash_keys=(SecretStr("the first"), SecretStr("[2nd]"))),
        sentiment=SentimentSettings(model="off", languages=("en", "pt")),
        brands=tmp_path / "brands.yaml",
    )
    monkeypatch.setenv("EARSHOT_KAFKA__GROUP", "the shell's")
    monkeypatch.setenv("EARSHOT_ALERTS", "the-shells.yaml")
    environment = child_environment(settings)
    with monkeypatch.context() as child:
        for name in os.environ.keys() - environment.keys():
            child.delenv(name)
        for name, value in environment.items():
            child.setenv(name, value)
        assert load() == settings
        assert os.environ["EARSHOT_DATA"]


def test_defaults_need_no_variable() -> None:
    assert variables(Settings()) == {}
