"""The settings: who wins, what is refused, and that no secret shows."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from pipeline.config.load import load
from pipeline.config.section import Section
from pipeline.config.settings import Settings
from pipeline.embedded.own_settings import write_settings
from pipeline.errors import SettingsError
from tests.support.isolation import ROOT


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in os.environ:
        if name.startswith("EARSHOT_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def toml(text: str) -> Path:
    path = Path("settings.toml").absolute()
    path.write_text(text, encoding="utf-8")
    return path


def refused(config: Path | None = None) -> str:
    with pytest.raises(SettingsError) as caught:
        load(config)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_nothing_set_gives_the_defaults() -> None:
    assert load() == Settings()
    assert load().kafka.topic("events") == "social.events"


def test_each_setting_is_read_somewhere() -> None:
    names = {*Settings.model_fields, *(name for section in Section.__subclasses__() for name in section.model_fields)}
    read = {name for path in (ROOT / "pipeline").rglob("*.py") for name in re.findall(r"\.(\w+)", path.read_text())}
    assert len(names) > 40 and names - read == set(), "a setting without any effect"


def test_a_variable_wins_over_its_key_and_leaves_the_other_keys_of_the_section(monkeypatch: pytest.MonkeyPatch) -> None:
    config = toml('[kafka]\nbootstrap = "file:1"\ngroup = "from-file"\n[worker]\nlinger_ms = 7\n')
    monkeypatch.setenv("EARSHOT_KAFKA__BOOTSTRAP", "variable:2")
    settings = load(config)
    assert settings.kafka.bootstrap == "variable:2"
    assert settings.kafka.group == "from-file"
    assert settings.worker.linger_ms == 7
    assert settings.kafka.partitions == 8


def test_a_variable_alone_leaves_the_defaults_of_its_section(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EARSHOT_KAFKA__PARTITIONS", "3")
    assert load().kafka == Settings().kafka.model_copy(update={"partitions": 3})


def test_the_file_is_the_one_given_else_that_of_the_variable_else_earshot_toml(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("earshot.toml").write_text('[kafka]\ngroup = "here"\n')
    assert load().kafka.group == "here"
    Path("other.toml").write_text('[kafka]\ngroup = "other"\n')
    monkeypatch.setenv("EARSHOT_CONFIG", "other.toml")
    assert load().kafka.group == "other"
    assert load(toml('[kafka]\ngroup = "given"\n')).kafka.group == "given"
    monkeypatch.setenv("EARSHOT_CONFIG", "")
    assert load().kafka.group == "here"


@pytest.mark.parametrize(
    ("text", "key"),
    [("kafak = 1", "kafak"), ("[kafka]\nbotstrap = 'x'", "kafka.botstrap"), ("[worker.deep]\nx = 1", "worker.deep")],
)
def test_an_unknown_key_in_the_file_is_named(text: str, key: str) -> None:
    assert f"setting {key} " in refused(toml(text))
    assert "unknown key" in refused(toml(text))


def test_an_unknown_key_names_the_nearest_one() -> None:
    assert refused(toml("[kafka]\nbotstrap = 'x'")).endswith(": unknown key, did you mean 'bootstrap'?")
    assert refused(toml("[kafka]\nzzz = 'x'")).endswith(": unknown key")
    said = refused(toml("[retention]\ntables = {interaction = 30}"))
    assert said.endswith(": tables: there is no 'interaction', did you mean 'interactions'?")
    assert refused(toml("kafak = 1")).endswith(": unknown key, did you mean 'kafka'?")


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("EARSHOT_KAFAK", "EARSHOT_KAFKA"),
        ("EARSHOT_KAFKA__BOTSTRAP", "EARSHOT_KAFKA__BOOTSTRAP"),
        ("EARSHOT_KAFKA__GROUP__X", "EARSHOT_KAFKA__GROUP"),
        ("EARSHOT_BRAND", "EARSHOT_BRANDS"),
        ("EARSHOT_BRANDS__X", "EARSHOT_BRANDS"),
    ],
)
def test_an_unknown_variable_is_named(monkeypatch: pytest.MonkeyPatch, name: str, near: str) -> None:
    monkeypatch.setenv(name, "x")
    assert refused() == f"environment variable {name}: unknown key, did you mean {near!r}?"


def test_a_token_for_each_actor_has_a_variable_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EARSHOT_CONTROL__TOKENS__ANNA", "sixteen characters")
    assert load().control.tokens["anna"].get_secret_value() == "sixteen characters"


def test_the_place_of_recorded_data_is_no_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EARSHOT_DATA", "/somewhere")
    assert load() == Settings()


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("[kafka]\npartitions = 0", "kafka.partitions"),
        ("[kafka]\npartitions = 'many'", "kafka.partitions"),
        ("[kafka]\nsecurity_protocol = 'TLS'", "kafka.security_protocol"),
        ("[clickhouse]\nurl = 'localhost:8123'", "clickhouse.url"),
        ("[clickhouse]\nurl = 'tcp://localhost:9000'", "clickhouse.url"),
        ("[clickhouse]\nurl = 'http://host:99999'", "clickhouse.url"),
        ("[outgoing]\nproxy = 'proxy:3128'", "outgoing.proxy"),
        ("[outgoing]\nproxy = 'https://proxy:3128'", "outgoing.proxy"),
        ("[outgoing]\nproxy = 'socks5://proxy:1080'", "outgoing.proxy"),
        ("[outgoing]\nproxy = 'http://'", "outgoing.proxy"),
        ("[outgoing]\nproxy = 'http://proxy:0'", "outgoing.proxy"),
        ("[outgoing]\nproxy = 'http://proxy:port'", "outgoing.proxy"),
        ("[outgoing]\nproxy = 'http://[proxy'", "outgoing.proxy"),
        ("[control]\nconsole_token = 'short'", "control"),
        ("[control]\ntokens = {ann = 'sixteen letters.'}\nconsole_token = 'sixteen letters.'", "control"),
        ("[customers]\ntoken = 'sixteen letters.'\nconsole_token = 'sixteen letters.'", "customers"),
        ("[sentiment]\nmodel = ''", "sentiment.model"),
        ("[sentiment]\nmodels = {german = 'fast'}", "sentiment.models"),
        ("[sentiment]\nlanguages = ['English']", "sentiment.languages"),
        ("[retention]\ntables = {interactions = 0}", "retention.tables.interactions"),
        ("[retention]\nplatforms = {twitter = 20_000}", "retention.platforms.twitter"),
        ("[retention]\nplatforms = {Twitter = 20}", "retention.platforms"),
        ("kafka = 3", "kafka"),
    ],
)
def test_a_wrong_value_names_its_key(text: str, key: str) -> None:
    assert f"setting {key} " in refused(toml(text))


def test_a_file_that_is_missing_or_broken_is_named() -> None:
    assert refused(Path("nowhere.toml")) == "nowhere.toml: No such file or directory"
    assert "settings.toml: " in refused(toml("[kafka"))
    Path("latin.toml").write_bytes(b"[kafka]\ngroup = 'caf\xe9'\n")
    assert "latin.toml: " in refused(Path("latin.toml"))


def test_paths_start_from_the_file_or_the_working_directory_and_know_home(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    folder = tmp_path / "conf"
    folder.mkdir()
    config = folder / "earshot.toml"
    config.write_text(
        'brands = "brands.yaml"\n[kafka]\nsecurity_protocol = "SSL"\nssl_ca = "~/ca.pem"\nssl_key = "/etc/key.pem"\n'
        '[embedded]\ndata_dir = "d"\n[outgoing]\nca_file = "own.pem"\n'
    )
    settings = load(config)
    assert settings.brands == folder / "brands.yaml"
    assert settings.kafka.ssl_ca == Path("/home/somebody/ca.pem")
    assert settings.kafka.ssl_key == Path("/etc/key.pem")
    assert settings.embedded.data_dir == folder / "d"
    assert settings.outgoing.ca_file == folder / "own.pem"
    monkeypatch.setenv("EARSHOT_BRANDS", "~/mine.yaml")
    monkeypatch.setenv("EARSHOT_EMBEDDED__DATA_DIR", "there")
    assert load(config).brands == Path("/home/somebody/mine.yaml")
    assert load(config).embedded.data_dir == Path("there")


def test_models_start_from_the_file_and_reach_a_child_process(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    config = toml(
        '[sentiment]\nmodel = "./ours"\nlanguages = ["en"]\n'
        '[sentiment.models]\nde = "~/german"\nfr = "accurate"\npt = "a/hub-name"\n'
    )
    sentiment = load(config).sentiment
    assert sentiment.model == str(tmp_path / "ours")
    assert sentiment.models == {"de": "/home/somebody/german", "fr": "accurate", "pt": "a/hub-name"}
    monkeypatch.setenv("EARSHOT_CONFIG", str(write_settings(load(config), tmp_path)))
    assert load().sentiment == sentiment


def test_no_secret_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    secret = "hunter2-hunter2"
    config = toml(
        f'[kafka]\nsecurity_protocol = "SASL_SSL"\nsasl_password = "{secret}"\n[clickhouse]\npassword = "{secret}"\n'
        f'[privacy]\nhash_key = "{secret}"\n'
    )
    settings = load(config)
    assert settings.clickhouse.password.get_secret_value() == secret
    assert secret not in f"{settings!r} {settings} {settings.model_dump()} {settings.model_dump_json()}"
    assert secret not in refused(toml(f'[clickhouse]\npassword = ["{secret}"]\n'))
    for name in ("older_hash_keys", "older_data_keys"):
        said = refused(toml(f'[privacy]\n{name} = "{secret}"\n'))
        assert secret not in said and "it is a list" in said
        assert secret not in refused(toml(f'[privacy]\n{name} = [["{secret}"]]\n'))
    assert secret not in refused(toml(f'[clickhouse]\nurl = "http://me:{secret}@host:8123"\n'))
    assert secret not in refused(toml(f'[clickhouse]\npassword = "{secret}" x\n'))
    proxied = load(toml(f'[outgoing]\nproxy = "http://me:{secret}@proxy:3128"\n'))
    assert proxied.outgoing.proxy.get_secret_value() == f"http://me:{secret}@proxy:3128" and secret not in f"{proxied!r}"
    for proxy in (f"http://me:{secret}", f"https://me:{secret}@proxy", f"http://me:1/{secret}@proxy:3128:{secret}"):
        assert secret not in refused(toml(f'[outgoing]\nproxy = "{proxy}"\n'))
    monkeypatch.setenv("EARSHOT_CLICKHOUSE", secret)
    assert secret not in refused()


LOGIN = '[kafka]\nsasl_username = "u"\nsasl_password = "p"\nssl_ca = "/ca.pem"\n'


def test_the_login_reaches_librdkafka() -> None:
    assert set(load(toml("")).kafka.client()) == {"bootstrap.servers", "security.protocol"}
    client = load(toml(LOGIN + 'security_protocol = "SASL_SSL"\n')).kafka.client()
    assert (client["sasl.username"], client["sasl.password"], client["ssl.ca.location"]) == ("u", "p", "/ca.pem")
    assert None not in client.values()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (LOGIN, "sasl_username does nothing with security_protocol PLAINTEXT"),
        (LOGIN + 'security_protocol = "SSL"', "sasl_username does nothing with security_protocol SSL"),
        (LOGIN + 'security_protocol = "SASL_PLAINTEXT"', "ssl_ca does nothing with security_protocol SASL_PLAINTEXT"),
        ('[clickhouse]\nca = "/ca.pem"', "ca does nothing with an http:// url"),
    ],
)
def test_a_login_that_is_never_sent_is_refused(text: str, says: str) -> None:
    assert refused(toml(text)).endswith(f": {says}")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("VERSION", "environment variable EARSHOT_VERSION: unknown key"),
        ("HOME", "environment variable EARSHOT_HOME: unknown key"),
        ("BRAND", "environment variable EARSHOT_BRAND: unknown key, did you mean 'EARSHOT_BRANDS'?"),
        ("CLICKHOUSE_URL", "environment variable EARSHOT_CLICKHOUSE_URL: unknown key, did you mean 'EARSHOT_CLICKHOUSE__URL'?"),
        ("CONTROL__TOKENS", """environment variable EARSHOT_CONTROL__TOKENS: it is JSON, as {"name": "value"}"""),
        ("SENTIMENT__LANGUAGES", """environment variable EARSHOT_SENTIMENT__LANGUAGES: it is JSON, as ["a", "b"]"""),
        ("KAFKA", """environment variable EARSHOT_KAFKA: it is JSON, as {"name": "value"}"""),
    ],
)
def test_a_variable_that_cannot_be_used_is_named(name: str, says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"EARSHOT_{name}", "n0tjson")
    with pytest.raises(SettingsError) as caught:
        load()
    assert str(caught.value) == says
