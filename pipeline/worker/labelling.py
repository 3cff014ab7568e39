"""Labelling: the step that labels a batch, and the thread that labels the rows that the step left; both or neither."""

from __future__ import annotations

from pipeline.config.settings import SentimentSettings
from pipeline.processors.alerts.single import SingleEvent
from pipeline.processors.sentiment.deferred import DeferredLabeller
from pipeline.processors.sentiment.labels import Labeller
from pipeline.processors.sentiment.step import Sentiment
from pipeline.sinks.signals import LabelSignals
from pipeline.worker.connections import Connections


def load(settings: SentimentSettings) -> Labeller | None:
    """The model of the settings; None: it is off. Raises EarshotError when the model can't be loaded."""
    if settings.model == "off":
        return None
    from pipeline.processors.sentiment.load import load_labeller  # a second, only for a worker with a model

    return load_labeller(settings)


class Labelling:
    """Without a labeller `step` and `deferred` are None."""

    def __init__(self, labeller: Labeller | None, budget_s: float, connections: Connections, rules: SingleEvent) -> None:
        self.step: Sentiment | None = None
        self.deferred: DeferredLabeller | None = None
        if labeller is not None:
            self.step = Sentiment(labeller, budget_s)
            listener = LabelSignals(connections.signals("labels"), rules)
            self.deferred = DeferredLabeller(
                labeller, connections.inserter("labels"), listener, connections.events_topic, self.step.spare
            )
