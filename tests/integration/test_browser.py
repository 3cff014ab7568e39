"""A page of another origin, in a real browser, tries our three ports: it reads nothing and nothing runs."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import quote

import pytest
from clickhouse_connect.driver.client import Client

from pipeline.clickhouse.client import clickhouse_client
from pipeline.config.settings import Settings
from pipeline.embedded.child import free_port
from pipeline.monitoring import health
from pipeline.monitoring.health import PATHS, Vitals
from schemas.alerts import State
from tests.support.control_api import TOKEN, MemoryCommands, alert, serving

CHROMIUM = shutil.which("chromium")
FIRING = alert()
TRIES = """
async (ports) => {
    const wait = ms => new Promise(done => setTimeout(done, ms));
    const read = [];
    const tried = [];
    const later = (element, events) => Promise.race([wait(1500), ...events.map(name => new Promise(done => {
        element.addEventListener(name, () => done(name), {once: true});
    }))]);
    const elements = {
        img: url => { const it = new Image(); it.src = url; return it; },
        script: url => { const it = document.createElement('script'); it.src = url; return it; },
        iframe: url => { const it = document.createElement('iframe'); it.src = url; return it; },
        object: url => { const it = document.createElement('object'); it.data = url; return it; },
        style: url => { const it = document.createElement('link'); it.rel = 'stylesheet'; it.href = url; return it; },
        audio: url => { const it = document.createElement('audio'); it.src = url; it.preload = 'auto'; return it; },
        prefetch: url => { const it = document.createElement('link'); it.rel = 'prefetch'; it.href = url; return it; },
    };
    const load = async (name, url) => {
        const it = elements[name](url);
        document.body.append(it);
        const how = await later(it, ['load', 'error', 'loadeddata']);
        if (how === 'load' && ['img', 'style', 'object'].includes(name)) read.push(`${name} ${url}`);
    };
    const ask = async (name, url, options) => {
        try {
            const answer = await fetch(url, options);
            const text = await answer.text();
            if (answer.type !== 'opaque' || text) read.push(`${name} ${url} ${answer.status} ${text}`);
        } catch (error) { /* as it should be */ }
    };
    const form = (method, url, type, body) => {
        const frame = document.createElement('iframe');
        frame.name = `frame${Math.random()}`;
        const it = document.createElement('form');
        Object.assign(it, {method, action: url, enctype: type, target: frame.name});
        const field = document.createElement('textarea');
        [field.name, field.value] = body;
        it.append(field);
        document.body.append(frame, it);
        it.submit();
        return later(frame, ['load']);
    };
    const secret = {
        'Authorization': `Bearer ${ports.token}`, 'X-ClickHouse-User': 'default', 'X-ClickHouse-Key': ports.password,
    };
    const json = {...secret, 'Content-Type': 'application/json'};
    const sql = 'SELECT 1';
    const attack = async ([get, post, body]) => {
        const all = {
            ...Object.fromEntries(Object.keys(elements).map(name => [name, () => load(name, get)])),
            'fetch no-cors': () => ask('no-cors', get, {mode: 'no-cors'}),
            'fetch cors': () => ask('cors', get, {mode: 'cors'}),
            'fetch with credentials': () => ask('credentials', get, {credentials: 'include'}),
            'fetch with headers': () => ask('headers', post, {method: 'POST', headers: secret, body}),
            'fetch json': () => ask('json', post, {method: 'POST', headers: json, body}),
            'fetch post no-cors': () => ask('post no-cors', post, {method: 'POST', mode: 'no-cors', body}),
            'fetch delete': () => ask('delete', post, {method: 'DELETE', headers: secret}),
            'form get': () => form('GET', get, 'application/x-www-form-urlencoded', ['query', sql]),
            'form text/plain': () => form('POST', post, 'text/plain', [body, '']),
            'form multipart': () => form('POST', post, 'multipart/form-data', ['query', sql]),
            'form urlencoded': () => form('POST', post, 'application/x-www-form-urlencoded', ['query', sql]),
            'beacon': async () => { navigator.sendBeacon(post, body); await wait(200); },
            'xhr': () => new Promise(done => {
                const it = new XMLHttpRequest();
                it.open('POST', post);
                it.onload = () => { read.push(`xhr ${post} ${it.responseText}`); done(); };
                it.onerror = done;
                it.send(body);
            }),
            'eventsource': async () => {
                const it = new EventSource(get);
                it.onmessage = it.onopen = () => read.push(`eventsource ${get}`);
                await later(it, ['error', 'open']);
                it.close();
            },
            'websocket': async () => {
                const it = new WebSocket(get.replace('http:', 'ws:'));
                it.onmessage = it.onopen = () => read.push(`websocket ${get}`);
                await later(it, ['error', 'open']);
            },
            'worker': async () => {
                try { new Worker(get); await wait(100); } catch (error) { /* as it should be */ }
            },
            'popup': async () => { const it = window.open(get); await wait(500); it?.close(); },
        };
        await Promise.all(Object.entries(all).map(async ([name, run]) => { tried.push(name); await run(); }));
    };
    await Promise.all(ports.places.map(attack));
    return {read, tried};
}
"""


@contextmanager
def page() -> Iterator[int]:
    """A web server of somebody else's, with one empty page."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(b"<!doctype html><title>evil</title><body></body>")

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    api = pytest.importorskip("playwright.sync_api", reason="package playwright is not installed (extra dev)")
    if CHROMIUM is None:
        pytest.skip("no chromium here (.ci/tools installs Debian's, for root)")
    with api.sync_playwright() as playwright:
        # Its own question whether a page may reach this machine is another line of defence: without it, ours stands alone.
        off = "LocalNetworkAccessChecks,BlockInsecurePrivateNetworkRequests,PrivateNetworkAccessChecks"
        arguments = ["--no-sandbox", f"--disable-features={off}", "--disable-popup-blocking"]
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield started
        started.close()


@pytest.fixture
def settings(bare: Settings) -> Settings:
    """Without tables: these tests make their own."""
    return bare


@pytest.fixture
def client(settings: Settings) -> Iterator[Client]:
    with clickhouse_client(settings.clickhouse) as client:
        client.command("CREATE TABLE stolen (a UInt8) ENGINE = MergeTree ORDER BY a")
        client.command("CREATE TABLE interactions (a UInt8) ENGINE = ReplacingMergeTree ORDER BY a")
        yield client


def queries(client: Client) -> int:
    """How many statements the engine has run."""
    return int(str(client.command("SELECT value FROM system.events WHERE event = 'Query'")))


def queries_since(client: Client, before: int) -> int:
    """How many it ran since: those that it takes to ask at least."""
    return queries(client) - before


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_page_of_another_origin_reads_nothing_and_nothing_runs(
    browser: Any, settings: Settings, client: Client, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    served: list[str] = []
    answer = health.answer

    def recording(vitals: Vitals, path: str) -> tuple[int, bytes, str]:
        served.append(path)
        return answer(vitals, path)

    monkeypatch.setattr(health, "answer", recording)
    monkeypatch.setattr("pipeline.api.server.answer", recording)
    worker = free_port()
    stop = health.serve(Vitals(), "127.0.0.1", worker)
    commands = MemoryCommands(FIRING)
    database, quiet = settings.clickhouse.database, queries_since(client, queries(client))
    before = queries(client)
    with page() as port, serving(commands) as control:
        read = "SELECT count() FROM interactions"
        clickhouse = f"{settings.clickhouse.url}/?database={database}&query="
        health_, desk_ = f"http://127.0.0.1:{worker}", f"http://127.0.0.1:{control.port}"
        places = [  # what to GET, where to POST, and what
            [f"{clickhouse}{quote(read)}", f"{settings.clickhouse.url}/?database={database}", "INSERT INTO stolen SELECT 1"],
            [f"{health_}/metrics", f"{health_}/live", ""],
            [f"{desk_}/metrics", f"{desk_}/alerts/{FIRING.hex}/ack", json.dumps({"comment": "a page"})],
        ]
        ports = {"places": places, "token": TOKEN, "password": settings.clickhouse.password.get_secret_value()}
        tab = browser.new_page()
        tab.goto(f"http://{host}:{port}/")
        done = tab.evaluate(TRIES, ports)
        tab.close()
    stop()
    assert len(set(done["tried"])) >= 20 and len(done["tried"]) == 3 * len(set(done["tried"]))
    assert done["read"] == []
    assert not set(served) & set(PATHS), served  # a window that was refused asks for its own /favicon.ico
    assert commands.alerts[FIRING.key].state is State.FIRING and not commands.known
    assert queries_since(client, before) == quiet
    assert client.command("SELECT count() FROM stolen") == 0
