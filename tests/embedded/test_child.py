"""A child process: the log of one that runs for weeks, and the ports that children get."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.embedded import child as module
from pipeline.embedded.child import Child
from pipeline.embedded.guard import Guard
from pipeline.embedded.supervisor import Supervisor
from tests.support.worker import wait_for

LIMIT = 50_000
TALKS = """
import itertools, sys, time
for number in itertools.count():
    sys.stderr.write(f"line {number} {'x' * 80}\\n")
    time.sleep(0.0005)
"""


@pytest.fixture
def talking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Child]:
    """A child that writes some 180 kB a second."""
    monkeypatch.setattr(module, "LOG_BYTES", LIMIT)
    guard = Guard()
    child = Child("talker", [sys.executable, "-c", TALKS], tmp_path / "talker.log", guard, lambda: True)
    child.start()
    yield child
    child.kill()
    guard.close()


def numbers(log: Path) -> list[int]:
    return [int(number) for number in re.findall(r"^line (\d+)", log.read_text(), re.MULTILINE)]


def test_a_log_is_rotated_while_its_process_writes(talking: Child, tmp_path: Path) -> None:
    supervisor = Supervisor([talking], lambda line: None)
    supervisor.start()
    old, sizes = tmp_path / "talker.1.log", list[int]()

    def rotated_thrice() -> bool:
        sizes.append(sum(path.stat().st_size for path in (old, talking.log) if path.exists()))
        return old.exists() and numbers(old)[:1] > [2 * LIMIT // 90]

    wait_for("the third log", rotated_thrice)
    supervisor.stop()
    assert talking.alive
    assert {path.name for path in tmp_path.iterdir()} == {"talker.log", "talker.1.log"}
    # It is looked at five times a second, so that each is some larger than the limit.
    assert max(sizes) < 2 * LIMIT + 4 * 180_000 / 5
    kept = [*numbers(old), *numbers(talking.log)]
    assert kept == sorted(set(kept))
    assert kept[-1] - kept[0] < len(kept) + 5, "as good as nothing is lost between the two"


def test_a_log_that_grew_unwatched_is_rotated_by_the_next_start(talking: Child, tmp_path: Path) -> None:
    wait_for("the log is large", lambda: talking.log.stat().st_size > LIMIT)
    talking.kill()
    before = talking.log.read_text()
    talking.start()
    wait_for("it writes", lambda: talking.log.stat().st_size > 0)
    assert (tmp_path / "talker.1.log").read_text() == before
    assert numbers(talking.log)[:1] == [0]


def test_a_disk_without_room_for_the_old_log_loses_it_and_no_more(
    talking: Child, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "talker.1.log").mkdir()  # stands for what can't be written
    wait_for("the log is large", lambda: talking.log.stat().st_size > LIMIT)
    talking.rotate()
    assert talking.log.stat().st_size < LIMIT and talking.alive


def test_no_port_is_given_twice_before_all_were(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever gets one listens there seconds later."""
    monkeypatch.setattr(module, "PORTS", range(20_000, 20_040))
    monkeypatch.setattr(module, "_unused", [])
    monkeypatch.setattr(module, "_bindable", lambda port: port != 20_007)
    given = [module.free_port() for _ in range(39)]
    assert sorted(given) == sorted(set(range(20_000, 20_040)) - {20_007})
    assert module.free_port() in given
