"""Acts with a form: a page, or where htmx asks, a part of the page. What was typed is kept until the act is done."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from pipeline.api.client import Uncertain
from pipeline.console.desk import Desk, NotDone, target_of
from pipeline.console.reading import AWAY
from pipeline.console.reads import ReadFailed
from pipeline.errors import ConflictError, EarshotError, SettingsError, UnknownName, UnreachableError

COMMENT = 2_000
"""Characters that the APIs take."""
MOST_DONE = 1_000
"""What is kept of acts to be read; the oldest goes first."""
_NOTHING: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a form."""

    name: str
    label: str
    value: str = ""
    most: int = 500
    required: bool = False
    choices: Sequence[tuple[str, str]] = ()
    """Value and label of each; none: it is a text."""
    list: Sequence[str] = ()
    """Texts that are offered."""
    hint: str = ""
    first: bool = False
    """It has the keyboard when the form comes."""
    hidden: bool = False


def comment(hint: str = "It is on record, with your name.", first: bool = True) -> Field:
    return Field("comment", "Comment", most=COMMENT, hint=hint, first=first)


@dataclass(frozen=True, slots=True)
class Form:
    """What the form says and asks."""

    title: str
    action: str
    button: str
    """Blank: there is nothing to do."""
    fields: Sequence[Field]
    about: str = ""
    note: str = ""
    back: str = "/"
    links: Sequence[tuple[str, str]] = ()
    """Address and label of what else may be done."""
    asks: bool = False
    """It changes nothing: its fields go into an address."""

    def taken(self, typed: Mapping[str, str]) -> dict[str, str]:
        """The fields as they were typed, without blanks around them. Raises SettingsError for one that is too long: cut, it
        would say something else."""
        given = {each.name: typed.get(each.name, "") for each in self.fields if each.hidden}
        given |= {each.name: typed.get(each.name, "").strip() for each in self.fields if not each.hidden}
        for each in self.fields:
            if not (each.hidden or each.choices) and len(given[each.name]) > each.most:
                much = f"{len(given[each.name]):,} characters, and {each.most:,} are the most"
                raise SettingsError(f"{each.label}: it has {much}. Nothing was done: shorten it.")
        return given


@dataclass(frozen=True, slots=True)
class Done:
    """What an act led to."""

    title: str
    about: str = ""
    lines: Sequence[str] = ()
    link: tuple[str, str] | None = None
    back: str = "/"
    until: str = ""
    """When it ends."""
    changed: str = "alerts"
    """The part of the page that is read anew."""


def show(request: Request, form: Form, problem: str = "", status: int = 200) -> Response:
    """The form, with what was typed, and what is wrong with it."""
    desk: Desk = request.app.state.desk
    typed = request.state.form if request.method == "POST" else _NOTHING
    status = 200 if request.headers.get("hx-request") else status  # htmx puts in no answer of another status
    return desk.page(request, "act_form.html", status, form=form, typed=typed, problem=problem)


def refused(request: Request, form: Form, error: EarshotError) -> Response:
    """The form again, with the reason why the act was not done, or why nobody knows."""
    kinds: list[tuple[type[EarshotError], int]] = [
        (UnknownName, 404), (ConflictError, 409), (UnreachableError, 503), (ReadFailed, 503), (SettingsError, 422)
    ]  # fmt: skip
    status = next((status for kind, status in kinds if isinstance(error, kind)), 422)
    if isinstance(error, Uncertain):
        form = replace(form, links=[*form.links, ("/record", "Look at Record")])
    return show(request, form, why(request, error), status)


def why(request: Request, error: EarshotError) -> str:
    """Why an act failed, and whether it is done."""
    desk: Desk = request.app.state.desk
    if isinstance(error, Uncertain):
        away = f"{AWAY}. " if desk.reads.away_since else ""
        return f"{away}{error}. Whether it is done is not known: look at Record before you send it again."
    return f"{error}: it was not done." if isinstance(error, NotDone | ReadFailed) else str(error)


def broken_off(request: Request, error: EarshotError) -> Response:
    """Of an act of which not even the form can be made: what was typed, to be sent again. Asked for as a part of a page it
    says why there is none."""
    typed = request.state.form
    fields = [comment() if name == "comment" else Field(name, "", text, hidden=True) for name, text in typed.items()]
    acts = request.method == "POST"
    title, button = ("Not done", "Send it again") if acts else ("It can't be had now", "")
    error = error if acts else EarshotError(str(error))
    return refused(request, Form(title, target_of(request), button, fields), error)


def tell(request: Request, done: Done) -> Response:
    """That it is done: for htmx a part of the page, else a page that says it, and leads back to where the act came from
    (pages/done.py): the answer of a POST would act again when it is loaded again."""
    desk: Desk = request.app.state.desk
    if not request.headers.get("hx-request"):
        return RedirectResponse(_kept(desk, request.state.person.name, done), 303)
    answer = desk.page(request, "act_done.html", 200, done=done)
    answer.headers["HX-Trigger"] = f"{done.changed}-changed"
    return answer


def _kept(desk: Desk, who: str, done: Done) -> str:
    """The address at which `who` reads it."""
    name = secrets.token_urlsafe(12)
    desk.done[name] = who, done
    while len(desk.done) > MOST_DONE:
        del desk.done[next(iter(desk.done))]
    return f"/done/{name}"
