"""`python -m tests.support.process ARGUMENTS` is `earshot ARGUMENTS`, and its log says what becomes of each batch."""

from __future__ import annotations

import logging

from pipeline.cli.main import main


def say_each_batch() -> None:
    logging.getLogger("earshot.delivery").setLevel(logging.DEBUG)


if __name__ == "__main__":
    say_each_batch()
    main()
