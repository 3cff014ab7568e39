"""`python -m tests.support.eager_control` is `earshot control`, whose rollups rest for as long as they work, and no longer, and
which looks for rows of the erased each second."""

from __future__ import annotations

from pipeline.cli.main import main
from pipeline.control import erasing
from pipeline.rollups import job, table

REST_FOR_SECOND = 1.0


def rest_less() -> None:
    for module in (job, table):
        assert vars(module)["REST_FOR_SECOND"] > REST_FOR_SECOND
        vars(module)["REST_FOR_SECOND"] = REST_FOR_SECOND


if __name__ == "__main__":
    rest_less()
    erasing.EVERY_S = 1.0
    main()
