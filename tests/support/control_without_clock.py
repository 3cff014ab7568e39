"""A control that only events tell the time, however late they come: `python -m tests.support.control_without_clock`.

Another follows the clock as soon as no signal came for five seconds; a loaded machine may need as long for one.
"""

from __future__ import annotations

from datetime import timedelta

from pipeline.cli.main import main
from pipeline.processors.alerts import evaluator

COMMAND = ("-m", "tests.support.control_without_clock", "control")

if __name__ == "__main__":
    evaluator.IDLE = timedelta(hours=1)
    main()
