"""Whoever runs the tests, wherever, beside whatever: they see a home of their own, and so does each child that they start."""

from __future__ import annotations

import os
import pwd
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import platformdirs
import pytest

from pipeline.config.load import load
from pipeline.config.settings import Settings
from pipeline.http.loopback import reach_loopback_directly
from tests.support.isolation import ROOT

DEFAULT_PORTS = (9092, 8123, 9400, 9401)
SUITE = (
    "tests/support/test_isolation.py::test_a_child_runs_the_code_beside_the_tests_in_the_tests_home",
    "tests/config/test_settings.py",
    "tests/cli/test_up.py::test_a_folders_keys_are_made_once_and_are_for_its_own_clickhouse_alone",
    "tests/cli/test_main.py::test_each_command_has_help_with_an_example_and_its_exit_codes[worker]",
    "tests/cli/test_main.py::test_without_clickhouse_one_line_names_the_url",
    "tests/cli/test_main.py::test_status_says_all_that_is_down",
    "tests/cli/test_main.py::test_an_unknown_key_in_the_file_exits_with_2",
    "tests/cli/test_alerts.py::test_ack_silence_and_test_are_done_as_who_holds_the_token",
    "tests/cli/test_alerts.py::test_without_control_one_line_says_what_must_run",
    "tests/cli/test_alerts.py::test_a_token_that_is_refused_names_the_setting",
)


@contextmanager
def everything_is_taken() -> Iterator[None]:
    """Something listens at the ports that Earshot takes by default, if only what runs there already."""
    with ExitStack() as stack:
        for port in DEFAULT_PORTS:
            with suppress(OSError):
                stack.enter_context(socket.create_server(("127.0.0.1", port)))
        yield


@pytest.fixture
def hostile(tmp_path: Path) -> dict[str, str]:
    """The environment of somebody who runs Earshot, tells it a lot, has a narrow coloured terminal and sits behind a proxy."""
    home = tmp_path / "a home"
    for data in (home / ".local/share/earshot", home / "Library/Application Support/earshot"):
        (data / "secrets").mkdir(parents=True)
        for name in ("control_token", "hash_key"):
            (data / "secrets" / name).write_text("what `earshot up` left behind")
    return os.environ | {
        "HOME": str(home),
        "XDG_DATA_HOME": str(home / ".local/share"),
        "EARSHOT_CONTROL__TOKEN": "a token of the shell, 24",
        "EARSHOT_KAFKA__BOOTSTRAP": "nowhere:1",
        "EARSHOT_BRANDS": "nowhere.yaml",
        "EARSHOT_NONSENSE": "an unknown key",
        "COLUMNS": "40",
        "FORCE_COLOR": "1",
        "http_proxy": "http://127.0.0.1:9",
        "no_proxy": "",
    }


@pytest.mark.slow
def test_the_tests_pass_in_a_hostile_home(hostile: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "earshot.toml").write_text("[nonsense]\n")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--color=no", f"--rootdir={ROOT}"]
    with everything_is_taken():
        done = subprocess.run(
            [*command, f"--config-file={ROOT / 'pyproject.toml'}", *(str(ROOT / test) for test in SUITE)],
            env=hostile,
            cwd=tmp_path,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),  # as in a script's background
            capture_output=True,
            text=True,
            timeout=120,
        )
    assert done.returncode == 0, done.stdout
    assert " skipped" not in done.stdout


def test_home_and_folder_are_the_tests_own_and_what_was_fetched_is_the_users() -> None:
    home = Path.home()
    assert home != Path(pwd.getpwuid(os.getuid()).pw_dir) and home.name.startswith("earshot-tests-")
    assert Settings().embedded.data_dir.is_relative_to(home)
    assert not list(Settings().embedded.data_dir.glob("secrets/*")), "no test leaves anything there for another"
    assert not list(Path.cwd().iterdir())
    assert not [name for name in os.environ if name.startswith("EARSHOT_") and name != "EARSHOT_DATA"]
    assert load() == Settings()
    cache = Path(platformdirs.user_cache_dir("earshot"))
    assert cache.is_relative_to(home) and not cache.resolve().is_relative_to(home)


def test_a_child_runs_the_code_beside_the_tests_in_the_tests_home() -> None:
    shown = "pathlib.Path.home(), settings.__file__, settings.Settings().embedded.data_dir, signal.getsignal(2)"
    code = f"import pathlib, signal; from pipeline.config import settings; print({shown}, sep='|')"
    done = subprocess.run([sys.executable, "-c", code], cwd="/", capture_output=True, text=True, check=True)
    expected = [str(Path.home()), str(ROOT / "pipeline/config/settings.py"), str(Settings().embedded.data_dir)]
    assert done.stdout.strip().split("|") == [*expected, str(signal.default_int_handler)]


class _Answers(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@pytest.mark.parametrize("given", ["", "intranet", "intranet,127.0.0.1", "*"])
def test_a_proxy_is_not_asked_for_what_runs_on_this_machine(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "")
    monkeypatch.setenv("NO_PROXY", given)
    reach_loopback_directly()
    kept = urllib.request.getproxies_environment()["no"]
    reach_loopback_directly()
    assert urllib.request.getproxies_environment()["no"] == kept
    assert kept.split(",")[0] == (given.split(",")[0] or "127.0.0.1") and kept.count("127.0.0.1") == (given != "*")
    with ThreadingHTTPServer(("127.0.0.1", 0), _Answers) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        for host in ("127.0.0.1", "localhost"):
            with urllib.request.urlopen(f"http://{host}:{server.server_port}/", timeout=5) as answer:
                assert answer.status == 200
        server.shutdown()
