"""What goes on beside a block of a test, on a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def beside(work: Callable[[], object], name: str) -> Iterator[None]:
    """Does `work` beside the block and waits for its end; an error of it fails the block's end."""
    errors: list[BaseException] = []

    def go_on() -> None:
        try:
            work()
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=go_on, name=name)
    thread.start()
    try:
        yield
    finally:
        thread.join()
    assert not errors, errors


@contextmanager
def repeated(work: Callable[[], object], every_s: float, name: str = "repeated") -> Iterator[None]:
    """Does `work` each `every_s` beside the block, as `beside`; the first time after so long."""
    ended = threading.Event()

    def repeat() -> None:
        while not ended.wait(every_s):
            work()

    with beside(repeat, name):
        try:
            yield
        finally:
            ended.set()
