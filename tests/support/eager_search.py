"""`python -m tests.support.eager_search` is `earshot control`, whose search for campaigns rests for three times as long as it
works: by its own share the first search, slow on a busy machine, makes the second one minutes late."""

from __future__ import annotations

from pipeline.cli.main import main
from pipeline.control import app

SHARE = 0.25


if __name__ == "__main__":
    assert vars(app)["CAMPAIGN_SHARE"] < SHARE
    vars(app)["CAMPAIGN_SHARE"] = SHARE
    main()
