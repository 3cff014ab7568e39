"""The process that parses feeds, as rss_child.py starts it: `python -m pipeline.sources.platforms.rss_child_main MEGABYTES`.

It reads requests from its standard input and writes an answer to each; it ends with its input, so with the process that holds
the other end. The system limits memory to MEGABYTES of address space; a timer of processor time ends the process by a signal.
It imports little: it starts in a fraction of a second, with 30 MB.
"""

from __future__ import annotations

import os
import resource
import signal
import struct
import sys
from typing import BinaryIO

import orjson

from pipeline.sources.platforms.observation import Unreadable
from pipeline.sources.platforms.rss_document import HtmlPage, parse

REQUEST = struct.Struct("<II")
"""Bytes of the base address, of the document; both follow."""
ANSWER = struct.Struct("<?I")
"""Whether it is a feed; bytes of the JSON that follows: the feed, or `reason` and `feeds`."""
MOST_ANSWER = 16 << 20
OUT_OF_MEMORY = 75
"""Exit code."""


def processor_seconds(length: int) -> float:
    """The limit for a document of this many bytes: some ten times the time of a usual feed, four times that of a broken one."""
    return 0.5 + 4 * length / (1 << 20)


def main() -> None:
    import feedparser  # noqa: F401  before the limit, as selectolax below
    import selectolax.lexbor  # noqa: F401  before the limit, too

    memory = int(sys.argv[1]) << 20
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    sys.stdout = sys.stderr  # a library that prints writes nothing between answers
    try:
        while _serve(requests, answers):
            pass
    except MemoryError:
        os._exit(OUT_OF_MEMORY)
    except BrokenPipeError:
        os._exit(0)


def _serve(requests: BinaryIO, answers: BinaryIO) -> bool:
    """Answers one request; False at the end of the input."""
    header = requests.read(REQUEST.size)
    if len(header) < REQUEST.size:
        return False
    base_length, length = REQUEST.unpack(header)
    base, document = requests.read(base_length), requests.read(length)
    if len(document) < length:
        return False
    signal.setitimer(signal.ITIMER_PROF, processor_seconds(length))  # without a handler, SIGPROF ends the process
    found, answer = _answer(document, base.decode("utf-8", "replace"))
    signal.setitimer(signal.ITIMER_PROF, 0)
    answers.write(ANSWER.pack(found, len(answer)) + answer)
    answers.flush()
    return True


def _answer(document: bytes, base: str) -> tuple[bool, bytes]:
    try:
        answer = orjson.dumps(parse(document, base))
    except Unreadable as error:
        return False, _refusal(str(error), error.feeds if isinstance(error, HtmlPage) else None)
    except (orjson.JSONEncodeError, RecursionError) as error:
        return False, _refusal(f"a feed that is no JSON: {type(error).__name__}")
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        return False, _refusal(f"a feed that breaks its parser: {type(error).__name__}")
    if len(answer) > MOST_ANSWER:
        return False, _refusal(f"a feed whose texts have {len(answer) >> 20} MB")
    return True, answer


def _refusal(reason: str, feeds: list[str] | None = None) -> bytes:
    return orjson.dumps({"reason": reason, "feeds": feeds})


if __name__ == "__main__":
    main()
