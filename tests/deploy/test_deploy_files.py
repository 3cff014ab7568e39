"""deploy/ and its pages in docs/: generated parts are current, and the settings, files and metrics they name exist."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any, cast

import aiohttp
import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard
from starlette.datastructures import Headers

from deploy import metrics_table
from deploy.grafana import board
from pipeline.api.callers import Callers
from pipeline.api.server import Door
from pipeline.config.load import load
from pipeline.config.settings import ENV_PREFIX
from pipeline.console.place import Place
from pipeline.control.api import ApiServer
from pipeline.control.cases import Cases
from pipeline.control.commands import Commands
from pipeline.embedded.analyst import NEWEST
from pipeline.embedded.analyst_names import ANALYST, CONSOLE, Rights
from pipeline.embedded.analyst_rows import ROWS
from pipeline.embedded.readers import READERS
from pipeline.monitoring import metrics
from pipeline.monitoring.health import Vitals
from pipeline.rollups.asked import Asked
from tests.support.deploy import DEPLOY, ROOT, run

COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
VARIABLE = re.compile(r"\$\{([A-Z_]+):\?[^}]*\}")


def test_the_board_is_the_one_that_the_metrics_make() -> None:
    assert board.FILE.read_text() == board.text(), "run `make board`"


def test_grafanas_schema_knows_all_that_the_board_says() -> None:
    made = json.loads(board.FILE.read_text())
    assert json.loads(JSONEncoder().encode(Dashboard.from_json(made))) == made


def test_each_metric_is_on_the_board() -> None:
    shown = " ".join(text for expressions in board.queries().values() for text in expressions)
    names = {metric.name for metric in metrics.REGISTRY.collect() if metric.name.startswith("earshot_")} - set(
        metrics.OLD_NAMES
    )
    assert names and not {name for name in names if name not in shown}


def test_panels_do_not_overlap() -> None:
    places = [panel["gridPos"] for panel in json.loads(board.FILE.read_text())["panels"]]
    cells = [(p["x"] + x, p["y"] + y) for p in places for x in range(p["w"]) for y in range(p["h"])]
    assert len(cells) == len(set(cells)) and all(x < 24 for x, _ in cells)


def test_the_table_of_metrics_is_up_to_date() -> None:
    assert metrics_table.FILE.read_text() == metrics_table.page(), "run `make board`"


@pytest.mark.parametrize("page", ["sre.md", "metrics.md"])
def test_links_of_the_page_lead_somewhere(page: str) -> None:
    text = (ROOT / "docs" / page).read_text()
    anchors = {
        re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    }
    for target in re.findall(r"\]\(([^)]+)\)", text):
        path, _, anchor = target.partition("#")
        assert (ROOT / "docs" / path).exists() if path else anchor in anchors, target


def test_hadolint_accepts_the_dockerfile() -> None:
    run("hadolint", DEPLOY / "Dockerfile")


def test_the_dockerfile_copies_what_exists_and_the_build_needs() -> None:
    copied = [shlex.split(line)[1:-1] for line in (DEPLOY / "Dockerfile").read_text().splitlines() if line.startswith("COPY")]
    sources = {path for paths in copied for path in paths if not path.startswith("--from") and not path.startswith("/opt")}
    assert sources and all((ROOT / path).exists() for path in sources)
    sent = {line[1:] for line in (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines() if line.startswith("!")}
    assert sent == sources


def test_compose_accepts_its_file(tmp_path: Path) -> None:
    text, variables = VARIABLE.subn("secret", (DEPLOY / "compose.yaml").read_text())
    assert variables
    file = tmp_path / "compose.yaml"
    file.write_text(text)
    made = json.loads(run("compose-spec", "-format", "json", file))
    assert made["services"].keys() == SERVICES.keys()


def test_a_listener_is_started_only_where_it_is_asked_for() -> None:
    assert [name for name, service in SERVICES.items() if "profiles" in service] == ["listen"]
    assert "EARSHOT_SOURCES" not in SERVICES["listen"]["environment"], "there is no sources.yaml yet"


def test_compose_asks_for_the_secrets_of_the_example() -> None:
    named = set(VARIABLE.findall((DEPLOY / "compose.yaml").read_text()))
    assert named == set(re.findall(r"^([A-Z_]+)=$", (DEPLOY / ".env.example").read_text(), re.MULTILINE))
    assert "deploy/.env" in (ROOT / ".gitignore").read_text().splitlines()


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_pinned_private_and_watched(name: str) -> None:
    service = SERVICES[name]
    assert "build" in service or re.search(r":v?\d+\.\d+", service["image"])
    assert all(str(port).startswith("127.0.0.1:") for port in service.get("ports", []))
    assert "restart" in service and ("healthcheck" in service or name == "migrate")
    assert service["logging"] == {"driver": "json-file", "options": {"max-size": "10m", "max-file": "3"}}
    assert all(needed in SERVICES for needed in service.get("depends_on", {}))
    for volume in service.get("volumes", []):
        source = volume.split(":")[0]
        assert (DEPLOY / source).exists() if source.startswith(".") else source in COMPOSE["volumes"], volume


def test_the_workers_environment_is_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    given = SERVICES["worker"]["environment"]
    assert given == SERVICES["migrate"]["environment"] and all(name.startswith(ENV_PREFIX) for name in given)
    for name, value in given.items():
        monkeypatch.setenv(name, VARIABLE.sub("secret", str(value)))
    settings = load()
    assert settings.kafka.bootstrap.split(":")[0] in SERVICES and settings.clickhouse.user == "earshot"
    assert settings.worker.health_host == "0.0.0.0" and settings.privacy.hash_key.get_secret_value() == "secret"


def test_the_console_of_compose_is_for_this_machine_and_has_controls_token(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SERVICES["console"]["environment"].items():
        monkeypatch.setenv(name, VARIABLE.sub("a secret of sixteen or more", str(value)))
    settings = load()
    place = Place(settings.console)
    [network] = COMPOSE["networks"]["default"]["ipam"]["config"]
    assert place.refusal(network["gateway"], "127.0.0.1:9405") == ""
    assert place.refusal("172.30.94.2", "127.0.0.1:9405") and place.refusal("192.168.0.1", "127.0.0.1:9405")
    assert not place.refusal_of_health(Headers({"host": "172.30.94.2:9405"})), "as Prometheus asks it"
    assert place.url("/login/x", settings.console.port) == "http://127.0.0.1:9405/login/x"
    token = "EARSHOT_CONTROL__CONSOLE_TOKEN"
    assert SERVICES["console"]["environment"][token] == SERVICES["control"]["environment"][token]
    assert settings.control.host in SERVICES and settings.console.clickhouse_password.get_secret_value()


def test_prometheus_scrapes_the_services_of_compose() -> None:
    jobs = yaml.safe_load((DEPLOY / "prometheus/prometheus.yml").read_text())["scrape_configs"]
    found = {job["job_name"]: (place["names"], place["port"]) for job in jobs for place in job["dns_sd_configs"]}
    assert found == {
        "earshot": (["worker"], 9400),
        "earshot-control": (["control"], 9401),
        "earshot-customers": (["customers"], 9402),
        "earshot-listen": (["listen"], 9403),
        "earshot-console": (["console"], 9405),
    }
    for name in ("control", "customers", "listen", "console"):
        assert SERVICES[name]["environment"][f"EARSHOT_{name.upper()}__HOST"] == "0.0.0.0"
    for (name,), port in found.values():
        assert f":{port}/live" in SERVICES[name]["healthcheck"]["test"][-1]


@pytest.mark.parametrize("host", ["control:9401", "172.18.0.7:9401", "127.0.0.1:9401"])
def test_control_answers_prometheus_under_its_containers_name(host: str) -> None:
    async def scrape() -> str:
        # Health runs no command.
        host = SERVICES["control"]["environment"]["EARSHOT_CONTROL__HOST"]
        door = Door(host, 0, Callers("control", {}), lambda act: None)
        server = ApiServer(cast(Commands, None), cast(Cases, None), Asked(), Vitals(), door)
        await server.start()
        try:
            url = f"http://127.0.0.1:{server.port}/metrics"
            async with aiohttp.ClientSession() as session, session.get(url, headers={"Host": host}) as answer:
                assert answer.status == 200
                return await answer.text()
        finally:
            await server.stop()

    assert "earshot_alert_watermark_age_seconds" in asyncio.run(scrape())


@pytest.mark.parametrize("rights", [ANALYST, CONSOLE], ids=lambda rights: rights.user)
def test_who_only_reads_reads_the_same_rows_as_of_the_embedded_clickhouse_and_their_newest_versions(rights: Rights) -> None:
    user = rights.user
    root = ElementTree.parse(DEPLOY / f"clickhouse/{user}.xml").getroot()
    grants = {query.text for query in root.iterfind(f"roles/{user}/grants/query")}
    dictionaries = (
        f"GRANT dictGet ON earshot.{name}" for name in ("customer_of", "calendar_of", "business_seconds", "rate_on")
    )
    assert grants == {*(f"GRANT SELECT ON earshot.{table}" for table in rights.readable), *dictionaries}
    assert root.findtext(f"users/{user}/grants/query") == f"GRANT {user}"
    filters = root.iterfind(f"users/{user}/databases/earshot/*")
    assert {table.tag: table.findtext("filter") for table in filters} == ROWS
    assert root.findtext(f"profiles/{user}/readonly") in ("1", "2")
    for setting, value in NEWEST.items():
        assert root.findtext(f"profiles/{user}/{setting}") == value
        assert root.find(f"profiles/{user}/constraints/{setting}/const") is not None
    reader = READERS[user]
    assert root.findtext(f"profiles/{user}/max_execution_time") == str(reader.seconds)
    assert {name: root.findtext(f"profiles/{user}/{name}") for name in reader.pinned} == reader.pinned
    for name, most in reader.most.items():
        assert root.findtext(f"profiles/{user}/constraints/{name}/max") == str(most)


def test_what_clickhouse_says_of_itself_has_an_end() -> None:
    mounted = "./clickhouse/logs.xml:/etc/clickhouse-server/config.d/logs.xml:ro"
    assert mounted in SERVICES["clickhouse"]["volumes"]
    root = ElementTree.parse(DEPLOY / "clickhouse/logs.xml").getroot()
    assert (root.findtext("logger/size"), root.findtext("logger/count")) == ("100M", "3")
    tables = {table.tag: table for table in root if table.tag != "logger"}
    assert {"query_log", "part_log", "text_log", "trace_log", "metric_log", "asynchronous_metric_log"} <= tables.keys()
    assert all(table.get("remove") == "1" or "INTERVAL 7 DAY" in (table.findtext("ttl") or "") for table in tables.values())


def test_provisioning_points_to_what_compose_mounts() -> None:
    folder = DEPLOY / "grafana/provisioning"
    source = yaml.safe_load((folder / "datasources/prometheus.yaml").read_text())["datasources"][0]
    assert source["url"] == "http://prometheus:9090" and source["type"] == board.SOURCE.type_val
    provider = yaml.safe_load((folder / "dashboards/earshot.yaml").read_text())["providers"][0]
    assert f"./grafana/boards:{provider['options']['path']}:ro" in SERVICES["grafana"]["volumes"]
    every = yaml.safe_load((DEPLOY / "prometheus/prometheus.yml").read_text())["global"]["scrape_interval"]
    assert source["jsonData"]["timeInterval"] == every
