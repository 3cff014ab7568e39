"""Support threads: a customer asks, the brand answers after a while or never, the customer may come back."""

from __future__ import annotations

from pipeline.generate.changes import Changes
from pipeline.generate.phrases import LANGUAGES
from pipeline.generate.plan import inside_quotes
from pipeline.generate.world import PRIVATE, Draft, Post, World, feel

SUPPORT = {
    ("twitter", "post"): 0.3, ("facebook", "post"): 0.2, ("facebook", "message"): 1.0, ("instagram", "comment"): 0.1,
    ("google_play", "review"): 0.25, ("helpdesk", "email"): 1.0, ("forum", "question"): 0.5,
}  # fmt: skip
"""The share of complaints and questions that open a thread, by platform and kind."""
UNANSWERED, COMES_BACK, HELPED = 0.15, 0.4, 0.6


class Threads:
    """Each thread is in the truth once: when it is answered, or when it never will be."""

    def __init__(self, world: World, changes: Changes) -> None:
        self._world, self._changes = world, changes
        self._open: dict[str, Post] = {}
        self._words = {
            code: {True: inside_quotes(words.thanks), False: inside_quotes(words.still)} for code, words in LANGUAGES.items()
        }

    def open(self, question: Post) -> None:
        """Plans the answer to this question, or none."""
        world, voice = self._world, question.voice
        assert voice is not None
        # Log-logistic: half the answers within the median, a tenth takes three times as long or more.
        chance = min(max(world.dice(), 0.001), 0.999)
        delay = world.share_of_span(voice.response_median_s, 0.05) * (chance / (1 - chance)) ** 0.5
        answered = world.dice() >= UNANSWERED
        if answered and world.plan_for(world.at + 1000 + delay, lambda at: self._answer(question, at)):
            self._open[question.key] = question
        else:
            self._record(question, '"response":null,"seconds":null')

    def _answer(self, question: Post, at: int) -> bool:
        world, voice, customer = self._world, question.voice, question.account
        assert voice is not None and customer is not None
        text = inside_quotes(world.texts.answer(customer.language))
        group, tone = f'"brands":{voice.json},', feel("neutral", voice.json)
        kind = question.kind if question.kind in PRIVATE else "reply"
        answer = world.say(Draft(question.platform, kind, text, tone, group), None, voice, reply_to=question, at=at)
        del self._open[question.key]
        self._record(question, f'"response":"{answer.key}","seconds":{(at - question.created_ms) / 1000}')
        if world.dice() < COMES_BACK:
            happy = world.dice() < HELPED
            delay = world.share_of_span(3600, 0.025) * world.dice()
            world.plan_for(at + 1000 + delay, lambda at: self._come_back(question, answer, happy, at))
        return True

    def _come_back(self, question: Post, answer: Post, happy: bool, at: int) -> bool:
        world, customer = self._world, question.account
        assert customer is not None
        text, tone = self._words[customer.language][happy], feel("positive" if happy else "negative", "[]")
        world.say(Draft(question.platform, answer.kind, text, tone), customer, None, reply_to=answer, at=at)
        if happy:
            delay = world.share_of_span(1800, 0.01) * world.dice()
            world.plan_for(at + 1000 + delay, lambda at: self._changes.close(question, at))
        return True

    def _record(self, question: Post, outcome: str) -> None:
        assert question.voice is not None
        members = f'"conversation":"{question.conversation}","brand":"{question.voice.name}","question":"{question.key}"'
        self._world.out.write_truth("thread", f"{members},{outcome}")

    def end(self) -> None:
        """The stream is over: open questions stay unanswered."""
        for question in self._open.values():
            self._record(question, '"response":null,"seconds":null')
