"""What every long-running process of Earshot shares: its log, and one clear line when it stops on an error."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from pipeline.errors import EarshotError

log = logging.getLogger("earshot")


def run_process(name: str, main: Callable[[], None], levels: Mapping[str, int]) -> None:
    """Sets up logging to stderr, with `levels` for the loggers of libraries, and runs `main` until it returns.

    Raises EarshotError with one clear line. An unexpected error is logged with its traceback and becomes an EarshotError.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    for logger, level in levels.items():
        logging.getLogger(logger).setLevel(level)
    try:
        main()
    except EarshotError:
        raise
    except Exception as error:
        log.exception("%s stops: %s", name, error)
        raise EarshotError(f"{name} stopped: {type(error).__name__}: {error}") from error
