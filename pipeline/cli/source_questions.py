"""What `earshot source add` asks. Each answer is looked at on the spot; a second round has the former answers in brackets."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import typer

from pipeline.cli.prompts import ask
from pipeline.errors import SettingsError
from pipeline.listen.adding import mistake
from pipeline.listen.credentials import place_of
from pipeline.listen.known_sources import MODELS, asked_for, called

FREE = ("rss", "bluesky")
"""Platforms that ask for no credential."""
PASTE = "paste"
SECRETS = "secrets"
"""The folder beside sources.yaml in which a pasted credential is."""


class Questions:
    """About one source. `values` are the answers so far, by key."""

    def __init__(self, path: Path, given: Mapping[str, str], *, tried: bool) -> None:
        """`given`: keys that are not asked. `tried`: its credential has to be here, as it will be tried."""
        self._path, self._given, self._tried = path, given, tried
        self.values = {"name": "", "platform": "", **given}
        self._pasted: Path | None = None

    def ask(self) -> None:
        """Asks all. Raises as `prompts.ask`."""
        if not self.values["platform"]:
            self.values["platform"] = _platform()
        self._key("name", "name, as our-blog")
        for key, said in asked_for(self.values["platform"]).items():
            self._key(key, f"{key} ({said})" if said else key)
        if self.values["platform"] not in FREE and not self._given.keys() & {"token_env", "token_file"}:
            self._credential()

    def written(self) -> None:
        """What was pasted stays: the source names its file."""
        self._pasted = None

    def forget(self) -> None:
        """Takes away the file of what was pasted: its source is not written."""
        if self._pasted is not None:
            self._pasted.unlink(missing_ok=True)
            with suppress(OSError):  # others are in it
                self._pasted.parent.rmdir()
            self._pasted = None

    def _key(self, key: str, question: str) -> None:
        if key in self._given:
            return
        is_needed = MODELS[self.values["platform"]].model_fields[key].is_required()
        default = self.values.get(key) or (None if is_needed else "")

        def wrong(answer: str) -> str:
            return mistake(self._path, key, {**self.values, key: answer}) if answer else ""

        self.values[key] = _until(lambda: ask(question if is_needed else f"{question}, or nothing", default), wrong)

    def _credential(self) -> None:
        former = self.values.pop("token_env", "") or self.values.pop("token_file", "")
        answer = _until(lambda: ask(self._where(), former), self._no_credential)
        if answer == PASTE:
            self.forget()
            self._keep(ask("paste it", unseen=True))
        elif answer:
            self.values["token_file" if self._file(answer).is_file() else "token_env"] = answer

    def _where(self) -> str:
        if MODELS[self.values["platform"]].is_key_file:
            return "credential: the path of the key's file, as secrets/key"
        return f"credential: its variable, as X_TOKEN; its file, as secrets/x; {PASTE}, to paste it unseen; or nothing"

    def _no_credential(self, answer: str) -> str:
        """Never with the answer, which may be the credential."""
        is_key_file = MODELS[self.values["platform"]].is_key_file
        if not answer or self._file(answer).is_file() or (answer == PASTE and not is_key_file):
            return ""
        if "/" in answer or is_key_file:
            return "there is no such file"
        if wrong := mistake(self._path, "token_env", {**self.values, "token_env": answer}):
            return f"{wrong}; or answer {PASTE}"
        return f"variable {answer} is not set in this terminal" if self._tried and not os.environ.get(answer) else ""

    def _keep(self, secret: str) -> None:
        file = Path(SECRETS) / self.values["name"]
        place = self._file(str(file))
        try:
            place.parent.mkdir(mode=0o700, exist_ok=True)
            with open(os.open(place, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w", encoding="utf-8") as opened:
                opened.write(f"{secret}\n")
        except FileExistsError:
            raise SettingsError(f"{place} is there already: name it as the credential, or take it away") from None
        except OSError as error:
            raise SettingsError(f"{place}: {error.strerror}") from None
        self._pasted, self.values["token_file"] = place, str(file)

    def _file(self, answer: str) -> Path:
        return place_of(answer, self._path.parent)


def _platform() -> str:
    from pipeline.config.document import hint

    names = called()

    def wrong(answer: str) -> str:
        return "" if _plain(answer) in names else f"there is no {answer}{hint(_plain(answer), names)}"

    return names[_plain(_until(lambda: ask(f"platform ({', '.join(MODELS)})"), wrong))]


def _plain(name: str) -> str:
    return "_".join(name.lower().split())


def _until(question: Callable[[], str], wrong: Callable[[str], str]) -> str:
    """The first answer with which nothing is wrong."""
    while says := wrong(answer := question()):
        typer.echo(says, err=True)
    return answer
