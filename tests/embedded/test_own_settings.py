"""What `earshot up` takes from settings that may be a production's, and what its children read."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import SecretStr

from pipeline.config.apis import ControlSettings, CustomersSettings
from pipeline.config.load import load
from pipeline.config.settings import ClickHouseSettings, EmbeddedSettings, PrivacySettings, Settings, WorkerSettings
from pipeline.embedded.own_settings import ignored, own_settings, pointer, write_settings
from pipeline.embedded.password import make_password, password_of, with_password
from pipeline.embedded.privacy_keys import make_keys
from pipeline.embedded.stack import Stack

PRODUCTION = """
brands = "brands.yaml"
[kafka]
bootstrap = "broker.example:9093"
security_protocol = "SASL_SSL"
sasl_username = "earshot"
sasl_password = "the broker's"
ssl_ca = "/etc/ca.pem"
topic_prefix = "ours"
[clickhouse]
url = "https://clickhouse.example:8443"
user = "earshot"
password = "the database's"
ca = "/etc/ca.pem"
database = "prod"
[worker]
health_host = "0.0.0.0"
health_port = 9999
batch_rows = 1000
[control]
host = "0.0.0.0"
port = 9998
tokens = { ines = "a token of ines, 24 long" }
token = "a token of ines, 24 long"
[customers]
host = "0.0.0.0"
port = 9997
token = "a token of ines, 24 long"
[sentiment]
model = "off"
"""


@pytest.fixture
def unstarted(tmp_path: Path) -> Stack:
    """Not started: its addresses and its folder are known."""
    make_password(tmp_path)
    make_password(tmp_path, "console")
    return Stack(EmbeddedSettings(data_dir=tmp_path, kafka_port=0, clickhouse_port=0))


@pytest.fixture
def production(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    for name in os.environ:
        if name.startswith("EARSHOT_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    Path("earshot.toml").write_text(PRODUCTION)
    return load()


def test_up_takes_nothing_of_another_place(production: Settings, unstarted: Stack) -> None:
    own = own_settings(production, unstarted)
    assert own.kafka.client() == {"bootstrap.servers": unstarted.bootstrap, "security.protocol": "PLAINTEXT"}
    assert own.clickhouse == unstarted.clickhouse and own.clickhouse.password.get_secret_value()
    assert (own.worker.health_host, own.worker.health_port, own.worker.batch_rows) == ("127.0.0.1", 9999, 1000)
    assert (own.control.host, own.control.port, "ines" in own.control.tokens) == ("127.0.0.1", 9998, False)
    for keys in (own.privacy.hash_keys, own.privacy.data_keys):
        assert keys.all == make_keys(unstarted.data_dir, keys.name) and keys.newest
    assert (own.customers.host, own.customers.port) == ("127.0.0.1", 9997)
    consoles = [
        own.control.console_token,
        own.customers.console_token,
        *own.control.tokens.values(),
        *own.customers.tokens.values(),
    ]
    assert len({each.get_secret_value() for each in consoles}) == 4, "the console's are its own"
    console = own.console.clickhouse_user, own.console.clickhouse_password
    assert console == ("console", password_of(unstarted.data_dir, "console")) and console[1] != own.clickhouse.password
    assert own.customers.tokens.keys() == own.control.tokens.keys() and own.customers.tokens != own.control.tokens
    assert (own.brands, own.sentiment.model, own.kafka.topic_prefix) == (production.brands, "off", "ours")
    assert set(ignored(production, own)) == {
        "kafka.bootstrap", "kafka.security_protocol", "kafka.sasl_username", "kafka.sasl_password", "kafka.ssl_ca",
        "clickhouse.url", "clickhouse.user", "clickhouse.password", "clickhouse.database", "clickhouse.ca",
        "worker.health_host", "control.host", "control.tokens", "control.token", "customers.host", "customers.token",
    }  # fmt: skip


def test_nothing_is_ignored_of_settings_that_name_the_stack(unstarted: Stack, tmp_path: Path) -> None:
    embedded = EmbeddedSettings(data_dir=tmp_path, clickhouse_port=unstarted.clickhouse_port)
    settings = with_password(Settings(embedded=embedded, clickhouse=ClickHouseSettings(url=unstarted.clickhouse_url)))
    assert ignored(settings, own_settings(settings, unstarted)) == []


def test_port_0_is_one_port_for_all_processes_of_the_stack(unstarted: Stack) -> None:
    settings = Settings(
        worker=WorkerSettings(health_port=0), control=ControlSettings(port=0), customers=CustomersSettings(port=0)
    )
    own = own_settings(settings, unstarted)
    ports = {own.worker.health_port, own.control.port, own.customers.port}
    assert len(ports) == 3 and 0 not in ports
    assert not {"worker.health_port", "control.port", "customers.port"} & set(ignored(settings, own))


def test_a_child_reads_one_file_whatever_lies_about(
    production: Settings, unstarted: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = own_settings(production, unstarted)
    path = write_settings(own, tmp_path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    monkeypatch.setenv("EARSHOT_CONFIG", str(path))
    # ... though there is an earshot.toml in this folder
    assert load() == own.model_copy(update={"brands": tmp_path / "brands.yaml"})


def test_every_kind_of_value_comes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    odd = SecretStr("a \"secret\" \\ with 'all' \x7f\x1b\n\t ü 😀 in it, long")
    settings = Settings(
        privacy=PrivacySettings(hash_key=odd, older_hash_keys=(SecretStr("the first"), SecretStr("[2nd]"))),
        control=ControlSettings(tokens={'in"es': odd, "lars ü": SecretStr("the token that lars has")}),
        brands=Path("brands.yaml"),
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EARSHOT_SENTIMENT__MODELS", '{"de": "./german"}')
    monkeypatch.setenv("EARSHOT_SENTIMENT__LANGUAGES", '["en", "pt"]')
    settings = settings.model_copy(update={"sentiment": load().sentiment})
    monkeypatch.delenv("EARSHOT_SENTIMENT__MODELS")
    monkeypatch.delenv("EARSHOT_SENTIMENT__LANGUAGES")
    path = write_settings(settings, tmp_path)
    monkeypatch.chdir("/")
    found = load(path)
    assert (found.privacy, found.control) == (settings.privacy, settings.control)
    assert found.brands == tmp_path / "brands.yaml"
    assert found.sentiment.models == {"de": str(tmp_path / "german")} and found.sentiment.languages == ("en", "pt")


@pytest.mark.stack
def test_a_child_gets_no_setting_of_this_shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EARSHOT_KAFKA__SASL_PASSWORD", "the broker's")
    monkeypatch.setenv("SLACK_URL", "https://chat.example")
    with Stack(EmbeddedSettings(data_dir=tmp_path, broker="light", kafka_port=0, clickhouse_port=0)) as stack:
        shown = tmp_path / "environment"
        code = f"import os; open({str(shown)!r}, 'w').write(repr(dict(os.environ)))"
        child = stack.add("worker", [sys.executable, "-c", code], lambda: True, {"EARSHOT_CONFIG": "x"})
        child.start()
        child._process.wait(30)  # type: ignore[union-attr]  # it is started
        environment = eval(shown.read_text())  # our own
        assert {name for name in environment if name.startswith("EARSHOT_")} == {"EARSHOT_CONFIG"}
        assert environment["SLACK_URL"] == "https://chat.example"


def test_the_password_is_made_once_is_nobody_elses_and_goes_to_the_embedded_clickhouse_alone(tmp_path: Path) -> None:
    file = make_password(tmp_path)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600 and make_password(tmp_path).read_text() == file.read_text()
    embedded = EmbeddedSettings(data_dir=tmp_path, clickhouse_port=8123)

    def password(**clickhouse: str) -> str:
        settings = Settings(embedded=embedded, clickhouse=ClickHouseSettings.model_validate(clickhouse))
        return with_password(settings).clickhouse.password.get_secret_value()

    assert password() == password(url="http://localhost:8123/") == file.read_text()
    assert (
        password(url="http://127.0.0.1:8124")
        == password(url="http://clickhouse.example:8123")
        == password(user="analyst")
        == ""
    )
    assert password(url="https://127.0.0.1:8123") == ""
    assert password(password="mine") == "mine"


@pytest.mark.stack
def test_commands_ask_with_it_and_never_print_it(tmp_path: Path) -> None:
    with Stack(EmbeddedSettings(data_dir=tmp_path, broker="light", kafka_port=0, clickhouse_port=0)) as stack:
        environment = os.environ | {
            "EARSHOT_EMBEDDED__DATA_DIR": str(tmp_path),
            "EARSHOT_EMBEDDED__CLICKHOUSE_PORT": str(stack.clickhouse_port),
            "EARSHOT_CLICKHOUSE__URL": stack.clickhouse_url,
        }
        command = [sys.executable, "-m", "pipeline.cli", "query", "SELECT name FROM system.databases", "--format", "csv"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, "") and '"default"' in done.stdout
        refused = subprocess.run(
            command, env=environment | {"EARSHOT_EMBEDDED__DATA_DIR": str(tmp_path / "x")}, capture_output=True, text=True
        )
        assert refused.returncode == 3 and "secrets/clickhouse_password" in refused.stderr
        password = stack.clickhouse.password.get_secret_value()
        assert password not in done.stdout + refused.stderr
        assert not [path for path in (tmp_path / "logs").iterdir() if password in path.read_text()]


def test_another_terminal_is_pointed_to_the_stack_unless_the_defaults_do(
    production: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "the settings.toml"
    assert pointer(production, config) == f"export EARSHOT_CONFIG='{config}'"
    Path("earshot.toml").unlink()
    first = load()
    assert pointer(first, config) == ""
    first.embedded.data_dir.mkdir(parents=True, exist_ok=True)
    make_password(first.embedded.data_dir)
    try:
        assert pointer(first, config) == pointer(with_password(first), config) == ""
    finally:
        (first.embedded.data_dir / "secrets" / "clickhouse_password").unlink()
    for name, value in {"EMBEDDED__KAFKA_PORT": "19092", "BRANDS": "brands.yaml", "EMBEDDED__DATA_DIR": str(tmp_path)}.items():
        with monkeypatch.context() as only:
            only.setenv(f"EARSHOT_{name}", value)
            assert pointer(load(), config).endswith(f"export EARSHOT_CONFIG='{config}'")
    monkeypatch.setenv("EARSHOT_CLICKHOUSE__URL", "https://clickhouse.example:8443")
    monkeypatch.setenv("EARSHOT_KAFKA__BOOTSTRAP", "broker.example:9093")
    monkeypatch.setenv("EARSHOT_ALERTS", "alerts.yaml")
    # They would win over the file, in a terminal where they are set, too.
    assert pointer(load(), config) == (
        f"unset EARSHOT_CLICKHOUSE__URL EARSHOT_KAFKA__BOOTSTRAP; export EARSHOT_CONFIG='{config}'"
    )
