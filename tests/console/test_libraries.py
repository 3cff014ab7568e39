"""The browser's libraries: in their versions, verified, served for ever; without them the console goes on."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from pipeline.console import libraries as module
from pipeline.console.libraries import LIBRARIES, Libraries, fetch
from pipeline.embedded.jars import JarsUnreachable


@pytest.fixture(scope="module")
def jars(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the real ones."""
    folder = tmp_path_factory.mktemp("libraries")
    try:
        fetch(folder, print)
    except JarsUnreachable as error:
        pytest.skip(f"no browser libraries: {error}")
    return folder


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("M2_REPO", str(tmp_path / "m2"))


def copied(jars: Path, folder: Path) -> Path:
    shutil.copytree(jars, folder)
    return folder


def test_they_are_served_in_their_versions_for_ever(jars: Path) -> None:
    libraries = Libraries([jars])
    assert libraries.load()
    assert libraries.scripts == ("/libraries/htmx.org/2.0.8/dist/htmx.min.js", "/libraries/htmx-ext-sse/2.2.2/sse.js")
    browser = TestClient(Starlette(routes=libraries.routes()))
    for library in LIBRARIES:
        for file in library.files:
            path = f"{library.name}/{library.version}/{file}"
            answer = browser.get(f"/libraries/{path}")
            assert answer.content == libraries.get(path)
            assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
            assert answer.headers["content-encoding"] == "gzip"
    assert browser.get(libraries.scripts[0]).headers["content-type"] == "text/javascript; charset=utf-8"
    url = libraries.url("uPlot.min.css") or ""
    assert browser.get(url).headers["content-type"] == "text/css; charset=utf-8"
    paths = [url.removeprefix("/libraries/") for url in libraries.scripts]
    sizes = [len(gzip.compress(libraries.get(path) or b"")) for path in paths]
    assert 10_000 < sum(sizes) < 25_000
    ours = sum(len(gzip.compress(file.read_bytes())) for file in (Path(module.__file__).parent / "static").iterdir())
    assert sum(sizes) + ours + 60_000 < 150_000, "the first page, of which test_page_now.py holds the rows to 60 kB"


@pytest.mark.parametrize(
    "path", ["", "htmx.org/2.0.8/package.json", "htmx.org/2.0.9/dist/htmx.min.js", "../libraries.py", "%2e%2e/libraries.lock"]
)
def test_nothing_else_is_served(jars: Path, path: str) -> None:
    libraries = Libraries([jars])
    libraries.load()
    assert libraries.get(path) is None
    assert TestClient(Starlette(routes=libraries.routes())).get(f"/libraries/{path}").status_code == 404


def test_what_is_not_the_locked_file_is_refused_in_one_line(jars: Path, tmp_path: Path) -> None:
    folder = copied(jars, tmp_path / "jars")
    with (folder / "uplot-1.6.30.jar").open("ab") as file:
        file.write(b"x")
    said = list[str]()
    assert not Libraries([folder]).load(said.append)
    (line,) = said
    assert "its SHA-256 is not the one in libraries.lock" in line and "without live parts and charts" in line


def test_what_an_image_ships_is_taken_before_the_cache_and_needs_no_network(jars: Path, tmp_path: Path, offline: None) -> None:
    shipped, said = copied(jars, tmp_path / "shipped"), list[str]()
    libraries = Libraries([shipped, tmp_path / "cache"])
    assert libraries.load(said.append)
    assert said == []
    assert not (tmp_path / "cache").exists()


def test_without_maven_central_the_console_goes_on(tmp_path: Path, offline: None) -> None:
    said = list[str]()
    libraries = Libraries([tmp_path / "shipped", tmp_path / "cache"])
    assert not libraries.load(said.append)
    assert "can't be fetched from Maven Central" in said[-1] and said[-1].endswith("without live parts and charts")
    assert libraries.scripts == () and libraries.url("uPlot.min.css") is None


def test_a_folder_that_can_not_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    said = list[str]()
    assert not Libraries([tmp_path / "file" / "cache"]).load(said.append)
    assert "can't be kept in" in said[-1]


def test_the_lock_has_the_versions_that_are_served() -> None:
    assert [line.split()[1] for line in module.LOCK.read_text().splitlines()] == sorted(library.jar for library in LIBRARIES)
