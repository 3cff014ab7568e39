"""The steps that follow brands.yaml and alerts.yaml: a file that changes is in force from the next batch on."""

from __future__ import annotations

from pipeline.config.settings import Settings
from pipeline.config.watched_file import WatchedFile
from pipeline.monitoring import metrics
from pipeline.processors.alerts.match_time import Stored
from pipeline.processors.alerts.rules import DEFAULT_RULES, Alerts, parse_rules
from pipeline.processors.alerts.single import SingleEvent, words_of
from pipeline.processors.mentions.brands import SAMPLE_BRANDS, parse_brands
from pipeline.processors.mentions.step import Mentions


class Matching:
    """Step mentions finds brands and the words of rules; step alerts applies the rules of single events.

    `stored` knows the events that landed. Raises SettingsError when a file is wrong at the start; later the last good file
    stays in force.
    """

    def __init__(self, settings: Settings, stored: Stored) -> None:
        self._brands = WatchedFile(settings.brands or SAMPLE_BRANDS, parse_brands, metrics.BRANDS)
        self._rules = WatchedFile(settings.alerts or DEFAULT_RULES, parse_rules, metrics.RULES)
        self.mentions = Mentions(self._brands.value, words_of(self._rules.value))
        self.alerts = SingleEvent(self._rules.value, self.mentions.words_in, stored)

    def keep_checking(self) -> None:
        """Follows both files, on daemon threads, until the process ends."""
        self._brands.keep_checking(self.mentions.use)
        self._rules.keep_checking(self._use_rules)

    def _use_rules(self, rules: Alerts) -> None:
        self.mentions.look_for(words_of(rules))
        self.alerts.use(rules)
