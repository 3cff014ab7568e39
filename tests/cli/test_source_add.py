"""`earshot source add`: by options, by questions, with what people type who read nothing."""

from __future__ import annotations

import os
import pty
import select
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.commands import Run
from tests.support.isolation import ROOT
from tests.support.rss_server import RssServer
from tests.support.youtube_server import CHANNEL, KEY, YouTubeServer

ENTRY = "{name: our-channel, platform: youtube, channel: UCabcdefghijklmnopqrstuv, token_env: YOUTUBE_KEY}"


@pytest.fixture
def feed() -> Iterator[RssServer]:
    server = RssServer()
    server.world.post(1, time.time() - 60, "the kettle leaks")
    with server.running():
        yield server


@pytest.fixture
def channel() -> Iterator[YouTubeServer]:
    server = YouTubeServer()
    server.world.post(1, time.time() - 60, "the kettle leaks")
    with server.running():
        yield server


def test_a_source_is_tried_and_written(run: Run, feed: RssServer, tmp_path: Path) -> None:
    keys = ("--platform", "rss", "--url", f"{feed.url}/feed/blog", "--allow=127.0.0.1")
    done = run("source", "add", "--name", "blog", *keys)
    assert (done.code, done.err) == (0, "") and done.out.startswith(f"{feed.url}/feed/blog: 1 entries\n{{")
    assert done.out.splitlines()[-2:] == [
        "sources.yaml: blog is written. A listener that runs takes it within seconds",
        "setting sources names no file: make run SOURCES=sources.yaml, or EARSHOT_SOURCES=sources.yaml",
    ]
    written = (tmp_path / "sources.yaml").read_text()
    assert written == f'sources:\n  - {{name: blog, platform: rss, url: "{feed.url}/feed/blog", allow: ["127.0.0.1"]}}\n'
    feed.faults.plan = ["500"]
    done = run("source", "add", "--name", "news", *keys)
    assert (done.code, done.out, done.err) == (1, "", "earshot: source news: failing: status 500\n")
    done = run("source", "add", "--name", "blog", *keys)
    assert (done.code, done.err) == (2, "earshot: sources.yaml has a source blog already: take another name\n")
    assert (tmp_path / "sources.yaml").read_text() == written
    done = run(
        "source", "add", "--untried", "--name", "acme", "--platform", "twitter", "--query", "acme", "--token-env", "NOT_SET"
    )
    assert done.code == 0 and (tmp_path / "sources.yaml").read_text().endswith("query: acme, token_env: NOT_SET}\n")
    assert "A listener that runs needs variable NOT_SET, and a restart with it" in done.out


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ("--platform rss --url", "--url: it has no value: write it as --url VALUE"),
        ("--platform rss --url --name news", "--url: it has no value: write it as --url VALUE"),
        ("--platform rss url https://a.example", "'url' belongs to no option: write options as --url https://blog.example.com"),
        ("--platform rss --{a} b", "'--{a}' belongs to no option"),
        ("--platform yt --name a", "did you mean 'youtube'?"),
        ("--platform youtube --name a --channel @acme", "earshot: channel: write it as the channel's id, as UC"),
    ],
)
def test_a_wrong_option_is_named(run: Run, options: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "sources.yaml").write_text("sources: [{name: there, platform: bluesky}]")
    done = run("source", "add", *options.split())
    assert done.code == 2 and says in done.err and "sources.0" not in done.err


def test_each_answer_is_looked_at_on_the_spot(run: Run, tmp_path: Path) -> None:
    answers = ("youtub", "YT", "Our Channel", "our-channel", "@acme", "UCabcdefghijklmnopqrstuv", "AIzaS3cret", "YOUTUBE_KEY")
    done = run("source", "add", "--untried", stdin="\n".join(answers))
    assert done.code == 0 and (tmp_path / "sources.yaml").read_text() == f"sources:\n  - {ENTRY}\n"
    assert "channel (the channel's id, as UC and 22 characters, and not its handle): " in done.out
    assert [line.partition(":")[0] for line in done.err.splitlines()] == [
        "there is no youtub, did you mean 'youtube'?",
        "write it as our-shop",
        "write it as the channel's id, as UC and 22 characters, and not its handle",
        "write the name of a variable, as X_TOKEN (capitals, digits, _), never the token itself; or answer paste",
    ]
    assert "S3cret" not in done.out + done.err
    done = run("source", "add", "--untried", stdin="reddit\nours\nabc\nr/coffee\n\nREDDIT_SECRET\n")
    assert done.code == 0 and (tmp_path / "sources.yaml").read_text().endswith(
        "{name: ours, platform: reddit, client_id: abc, subreddits: [coffee], token_env: REDDIT_SECRET}\n"
    )


@pytest.mark.parametrize(
    ("answers", "says"),
    [
        ("", "it asks, and nobody answers: name all as options (--help), or run it in a terminal"),
        (f"youtube\na\n{CHANNEL}\nYOUTUBE_KEY\n", "variable YOUTUBE_KEY is not set in this terminal"),
        ("play store\na\ncom.acme.kettle\nplay.json\n", "there is no such file"),
    ],
)
def test_nobody_answers(run: Run, answers: str, says: str, tmp_path: Path) -> None:
    done = run("source", "add", stdin=answers)
    assert done.code == 2 and says in done.err and "Traceback" not in done.err and not [*tmp_path.iterdir()]


def test_a_pasted_credential_is_kept_in_a_file_of_its_own(
    run: Run, channel: YouTubeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options, answers = ("--server", channel.url, "--allow", "127.0.0.1"), f"youtube\nours\n{CHANNEL}\npaste\n"
    done = run("source", "add", *options, stdin=f"{answers}wr0ng\n")
    assert done.code == 1 and "YouTube refuses the key" in done.err and "wr0ng" not in done.out + done.err
    assert not [*tmp_path.iterdir()], "nothing is written"
    done = run("source", "add", *options, stdin=f"{answers}{KEY}\n")
    file = tmp_path / "secrets" / "ours"
    assert done.code == 0 and KEY not in done.out + done.err and file.read_text() == f"{KEY}\n"
    assert (stat.S_IMODE(file.stat().st_mode), stat.S_IMODE(file.parent.stat().st_mode)) == (0o600, 0o700)
    written = (tmp_path / "sources.yaml").read_text()
    assert written.endswith('token_file: "secrets/ours"}\n') and KEY not in written
    done = run("source", "check", "ours")
    assert (done.code, done.err) == (0, "")
    monkeypatch.setenv("HOME", str(tmp_path))
    written = written.replace("secrets/ours", "~/secrets/ours")
    (tmp_path / "sources.yaml").write_text(written)
    file.chmod(0o644)
    assert run("source", "check", "ours").err == "others on this machine may read it: chmod 600 ~/secrets/ours\n"
    (tmp_path / "sources.yaml").unlink()
    done = run("source", "add", *options, stdin=f"{answers}other\n")
    assert done.code == 2 and "is there already" in done.err and file.read_text() == f"{KEY}\n"


# --- in a terminal ----------------------------------------------------------------------------------------------------
OWN = """
import fcntl, signal, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
signal.signal(signal.SIGINT, signal.default_int_handler)
from pipeline.cli.main import main
main()
"""
"""Ctrl-C of its terminal is its own, even where the tests run behind something that ignores it."""


class Terminal:
    """`earshot source add` in a terminal of its own."""

    def __init__(self, folder: Path, *options: str) -> None:
        self._end, inner = pty.openpty()
        command = (sys.executable, "-c", OWN, "source", "add", *options)
        self.process = subprocess.Popen(
            command, stdin=inner, stdout=inner, stderr=inner, cwd=folder, start_new_session=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        os.close(inner)
        self.shown, self._place = "", 0

    def until(self, text: str) -> None:
        """Reads until it is there, behind what was waited for before."""
        while (place := self.shown.find(text, self._place)) < 0:
            assert select.select([self._end], [], [], 60)[0], f"no {text!r} in {self.shown!r}"
            self.shown += os.read(self._end, 4096).decode()
        self._place = place + len(text)

    def interrupt(self, text: str) -> None:
        """Ctrl-C, until it says so: one that comes just before the read is heard by the next one alone."""
        while text not in self.shown[self._place :]:
            os.write(self._end, b"\x03")
            while text not in self.shown[self._place :] and select.select([self._end], [], [], 5)[0]:
                self.shown += os.read(self._end, 4096).decode()

    def type(self, text: str) -> None:
        os.write(self._end, text.encode())

    def close(self) -> None:
        self.process.kill()
        self.process.wait(60)
        os.close(self._end)


def test_in_a_terminal_one_may_try_again_and_stop(channel: YouTubeServer, tmp_path: Path) -> None:
    terminal = Terminal(tmp_path, "--server", channel.url, "--allow", "127.0.0.1")
    try:
        answers = (("platform (", "youtube"), ("name", "ours"), ("channel (", CHANNEL), ("credential", "paste"))
        for question, answer in (*answers, ("paste it: ", "wr0ng")):
            terminal.until(question)
            terminal.type(f"{answer}\n")
        terminal.until("YouTube refuses the key")
        terminal.until("name, as our-blog [ours]: ")
        assert "wr0ng" not in terminal.shown and (tmp_path / "secrets" / "ours").is_file()
        terminal.interrupt("stopped")
        assert terminal.process.wait(60) == 130 and not [*tmp_path.iterdir()]
    finally:
        terminal.close()
