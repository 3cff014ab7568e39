"""Packs a data folder of another checkout: `python make.py CHECKOUT NAME` writes NAME.tar.xz and NAME.json beside this file.

CHECKOUT has a .venv in which `python -m pipeline.cli` is its earshot. The folder holds a generated stream, events of today that
fire alerts, an acknowledgement, a silence, and a change that waits for its create; and a backlog that no worker has read. The
script uses the command line and SQL alone, so it works with any release. NAME.json holds what the tables held.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PORTS = {
    "EMBEDDED__KAFKA_PORT": 27101,
    "EMBEDDED__CLICKHOUSE_PORT": 27102,
    "WORKER__HEALTH_PORT": 27103,
    "CONTROL__PORT": 27104,
}
HOOK_PORT = 27105
URL = f"http://127.0.0.1:{PORTS['EMBEDDED__CLICKHOUSE_PORT']}/"
RULES = {
    "receivers": [{"name": "hook", "type": "webhook", "url": f"http://127.0.0.1:{HOOK_PORT}/", "allow": ["127.0.0.1"]}],
    "group": {"by": ["brand"], "interval": "0s"},
    "rules": [
        {"name": "crisis", "type": "keyword", "words": {"en": ["recalled", "lawsuit"]}},
        {"name": "volume", "type": "threshold", "measure": "count", "above": 5, "window": "10m"},
    ],
}
ANN = {"id": "ann", "handle": "ann", "email": "ann@example.org", "phone": "+1 555 0147"}
NOT_THERE = "/no/such/model"
"""A worker with this model can't start, so what comes stays in the topic."""


def event(identifier: str, text: str, **more: Any) -> dict[str, Any]:
    author = more.pop("author", {"id": f"a-{identifier}", "handle": f"h-{identifier}"})
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    created = {} if "operation" in more else {"created_at": now}
    return {"id": identifier, "platform": "forum", "kind": "post", "text": text, "author": author, **created, **more}


def landed() -> list[dict[str, Any]]:
    talk = [event(f"post-{n}", f"Mobiqo is slow today, take {n}") for n in range(8)]
    recalls = [event("recall-1", "Mobiqo has recalled the phone"), event("recall-2", "Kestrelpay faces a lawsuit")]
    known = [event("known-1", "Lumenta called me back", author=ANN, language="en")]
    change = {"operation": "update", "occurred_at": "2026-11-01T00:00:00Z"}
    return [*talk, *recalls, *known, event("later-waiting", "The Fernbrook app works again", author=ANN, **change)]


def backlog(before: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """It begins with three redeliveries."""
    new = [event(f"later-{n}", f"Zestova tastes of nothing, take {n}", author=ANN) for n in range(20)]
    late = event("later-waiting", "The Fernbrook app is down") | {"created_at": "2026-10-31T00:00:00Z"}
    return [*before[:2], before[10], *new, late, {"id": "later-broken", "platform": "forum"}]


class Release:
    """The other checkout's earshot, over one data folder."""

    def __init__(self, checkout: Path, folder: Path) -> None:
        self._python, self._folder = str(checkout / ".venv/bin/python"), folder
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("EARSHOT_", "PYTHON"))}
        self._environment = clean | {f"EARSHOT_{name}": str(port) for name, port in PORTS.items()}
        self._environment |= {"LOGNAME": "ines", "EARSHOT_ALERTS": str(folder / "alerts.yaml")}
        self._environment["EARSHOT_EMBEDDED__DATA_DIR"] = str(folder / "data")
        self._environment["EARSHOT_KAFKA__BOOTSTRAP"] = f"127.0.0.1:{PORTS['EMBEDDED__KAFKA_PORT']}"
        self._environment["EARSHOT_CLICKHOUSE__URL"] = URL

    @contextmanager
    def up(self, **more: str) -> Iterator[None]:
        command = [self._python, "-m", "pipeline.cli", "up", "--no-sample", "--broker", "kafka"]
        process = subprocess.Popen(command, cwd=self._folder, env=self._environment | more)
        try:
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(120)

    def earshot(self, *arguments: str, stdin: str = "") -> str:
        command = [self._python, "-m", "pipeline.cli", *arguments]
        done = subprocess.run(
            command, cwd=self._folder, env=self._environment, input=stdin, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, (arguments, done.stdout, done.stderr)
        return done.stdout

    def send(self, events: list[dict[str, Any]]) -> None:
        self.earshot("send", "-", stdin="\n".join(map(json.dumps, events)))


def sql(statement: str) -> str:
    with urllib.request.urlopen(URL, statement.encode(), timeout=60) as answer:
        return str(answer.read().decode().strip())


def number(statement: str) -> int:
    return int(sql(statement))


def wait(what: str, met: Callable[[], bool | None], timeout_s: float = 300) -> None:
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            if met() is not False:
                return
        except OSError:
            pass
        assert time.monotonic() < deadline, what
        time.sleep(0.5)


def metric(name: str) -> float:
    with urllib.request.urlopen(f"http://127.0.0.1:{PORTS['WORKER__HEALTH_PORT']}/metrics", timeout=5) as answer:
        found = re.findall(rf"^{name}(?:{{[^}}]*}})? (\S+)$", answer.read().decode(), re.MULTILINE)
    return sum(map(float, found))


def fill(release: Release, events: list[dict[str, Any]]) -> None:
    wait("the worker", lambda: metric("earshot_ready") == 1)
    release.earshot("generate", "--count", "1200", "--seed", "7", "--truth", str(release._folder / "truth.jsonl"))
    release.send(events)
    wait("all is read", lambda: metric("earshot_events_read_total") >= 1200 + len(events))
    firing = "SELECT count() FROM alerts FINAL WHERE state = 'firing' AND historical = 0"
    wait("alerts fire", lambda: number(f"{firing} AND rule = 'crisis'") >= 2 and number(f"{firing} AND rule = 'volume'") >= 1)
    wait("somebody is notified", lambda: number("SELECT count() FROM alert_deliveries") > 0)
    wait("all is labelled", lambda: not number("SELECT count() FROM interactions FINAL WHERE sentiment_status = 'deferred'"))
    key = sql(
        "SELECT lower(leftPad(hex(alert_key), 16, '0')) FROM alerts WHERE rule = 'crisis' AND brand = 'Kestrelpay' LIMIT 1"
    )
    release.earshot("alerts", "ack", key, "--comment", "we look")
    release.earshot("alerts", "silence", "--brand", "Mobiqo", "--for", "364d", "--comment", "planned")
    # It would be given up after worker.waiting_days, and this folder is to be opened whenever somebody tests.
    sql("ALTER TABLE pending_changes UPDATE arrived_at = '2099-01-01' WHERE done = 0 SETTINGS mutations_sync = 1")
    time.sleep(5)  # offsets are committed, and control keeps its watermark


def remember(events: int) -> dict[str, Any]:
    tables = sql("SELECT name FROM system.tables WHERE database = 'default' AND engine LIKE '%MergeTree' ORDER BY name").split()
    content = "SELECT count(), groupBitXor(sipHash64({})) FROM {} FINAL FORMAT CSV"
    columns = {
        "interactions": "id, platform, kind, created_at, text, brands, author_handle, author_email, author_phone, "
        "metrics_likes, sentiment_label, is_deleted",
        "dead_letters": "topic, partition, offset, content, step, reason, raw",
        "alerts": "alert_key, version, rule, brand, state, severity, summary, actor, comment",
        "alert_silences": "silence_id, version, brand, actor, comment",
        "alert_deliveries": "alert_key, version, receiver, attempt",
    }
    return {
        "made": datetime.now(UTC).date().isoformat(),
        "backlog": events,
        "rows": {table: number(f"SELECT count() FROM {table} FINAL") for table in tables},
        "columns": columns,
        "content": {table: sql(content.format(names, table)) for table, names in columns.items()},
    }


def pack(folder: Path, archive: Path) -> None:
    def kept(path: tarfile.TarInfo) -> tarfile.TarInfo | None:
        path.uid = path.gid = 0
        path.uname = path.gname = ""
        return None if path.name.startswith(("data/logs", "data/lock")) else path

    with tarfile.open(archive, "w:xz", preset=9) as tar:
        tar.add(folder / "data", "data", filter=kept)
        tar.add(folder / "alerts.yaml", "alerts.yaml", filter=kept)


class Hook(BaseHTTPRequestHandler):
    def do_POST(self) -> None:  # http.server's name
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(204)
        self.end_headers()


def main(checkout: str, name: str) -> None:
    hook = HTTPServer(("127.0.0.1", HOOK_PORT), Hook)
    threading.Thread(target=hook.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "alerts.yaml").write_text(json.dumps(RULES, indent=1))
        release, events = Release(Path(checkout), folder), landed()
        later = backlog(events)
        with release.up():
            fill(release, events)
        with release.up(EARSHOT_SENTIMENT__MODEL=NOT_THERE):
            wait(
                "control", lambda: urllib.request.urlopen(f"http://127.0.0.1:{PORTS['CONTROL__PORT']}/ready", timeout=5).close()
            )
            release.send(later)
            found = remember(len(later))
        (HERE / f"{name}.json").write_text(json.dumps(found, indent=1) + "\n")
        pack(folder, HERE / f"{name}.tar.xz")
    print(json.dumps(found["rows"]), (HERE / f"{name}.tar.xz").stat().st_size)


if __name__ == "__main__":
    main(*sys.argv[1:])
