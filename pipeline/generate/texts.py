"""Texts from the phrases, escaped for a JSON string."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import TypeVar

from pipeline.generate.phrases import COMPARISONS, LANGUAGES, NAMED_CAUSES, TAILS
from pipeline.generate.plan import Voice, inside_quotes

T = TypeVar("T")
Frame = tuple[str, str]
"""The text before and after the brand."""
TONES = ("negative",) * 5 + ("positive",) * 3 + ("neutral",) * 2
COMPARING, HOSTILE, TAILED, NUMBERED = 0.1, 0.02, 0.35, 0.5
"""Shares: comparisons among neutral texts, hostile ones among negative texts, and endings with an emoji or a reference number.
"""


class Texts:
    def __init__(self, random: Random, voices: Sequence[Voice]) -> None:
        self._dice = random.random
        self._voices = voices
        self._frames = {
            (code, tone): [
                _frame(template, thing) for template in getattr(language, tone) for thing in language.things
            ]
            for code, language in LANGUAGES.items()
            for tone in ("negative", "positive", "neutral", "hostile")
        }  # fmt: skip
        self._anger = {
            code: [[_frame(template, cause) for template in language.anger] for cause in NAMED_CAUSES[code]]
            for code, language in LANGUAGES.items()
        }
        self._comparisons = {
            code: [inside_quotes(COMPARISONS[code].replace("{t}", thing)) for thing in LANGUAGES[code].things]
            for code in COMPARISONS
        }

    def pick(self, choices: Sequence[T]) -> T:
        return choices[int(self._dice() * len(choices))]

    def tone(self) -> str:
        """A tone with its natural share: negative, positive, neutral, or `hostile`, which is negative as well."""
        tone = self.pick(TONES)
        return "hostile" if tone == "negative" and self._dice() < HOSTILE / 0.5 else tone

    def about(self, voice: Voice, language: str, tone: str) -> tuple[str, str]:
        """A text that names the brand, and the form of the name."""
        return self._filled(self.pick(self._frames[language, tone]), voice, tone)

    def angry(self, voice: Voice, language: str, cause: int) -> tuple[str, str]:
        """The same for a burst of anger."""
        return self._filled(self.pick(self._anger[language][cause]), voice, "negative")

    def comparison(self, voice: Voice, language: str) -> tuple[str, Voice] | None:
        """A question that compares the brand with another one, and that one; mostly None, or in languages without any."""
        other = self.pick(self._voices)
        if language not in self._comparisons or other is voice or self._dice() >= COMPARING:
            return None
        text = self.pick(self._comparisons[language])
        return text.replace("{b}", self.pick(voice.forms)).replace("{c}", self.pick(other.forms)), other

    def answer(self, language: str) -> str:
        words = LANGUAGES[language]
        return self.pick(words.answers).replace("{t}", self.pick(words.things))

    def _filled(self, frame: Frame, voice: Voice, tone: str) -> tuple[str, str]:
        before, after = frame
        form = self.pick(voice.forms)
        chance = self._dice()
        if chance < TAILED:
            after += self.pick(TAILS.get(tone, TAILS["negative"]))
        elif chance < TAILED + NUMBERED:
            after += f" #{int(self._dice() * 900_000) + 100_000}"
        return before + form + after, form


def _frame(template: str, thing: str) -> Frame:
    before, _, after = inside_quotes(template.replace("{t}", thing)).partition("{b}")
    return before, after
