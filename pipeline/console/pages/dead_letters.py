"""Dead letters: shown byte for byte, each look on record, and sent again. They hold personal data in clear."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from clickhouse_connect.driver.client import Client
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pipeline.config.keys import DataKeys
from pipeline.console import act_form, letters
from pipeline.console.act_form import Done, Field, Form
from pipeline.console.desk import Desk
from pipeline.console.filled import filled, plain
from pipeline.console.on_record import act_of, doing, looking
from pipeline.console.roles import Role, wants
from pipeline.console.sent_letters import REPLAY, Sent, selection, sent
from pipeline.console.shown import counted as counted_of
from pipeline.embedded.privacy_keys import data_keys
from pipeline.errors import EarshotError, SettingsError
from pipeline.maintenance import dead_letters
from pipeline.maintenance.dead_letters import Counted, Filter, Replayed
from pipeline.queries.letters import DeadLetter
from schemas.acts import Act

SHOWN = 20
LOOK = "look at dead letters"
TITLE, WHERE, BACK, CHOOSE = "Send dead letters again", "/operations/dead-letters/replay", "/operations#dead-letters", "choose"


@wants(Role.SRE)
async def page(request: Request) -> Response:
    """GET /operations/dead-letters: the newest that a filter selects. It is a look: on record before anything is shown."""
    desk: Desk = request.app.state.desk
    if answer := _led_here(request):
        return answer
    typed = letters.typed(request.query_params)
    values = {"typed": typed, "most": SHOWN, "dump": letters.dump, "one": letters.one, "numbers": letters.numbers}
    if typed.problems:
        return desk.page(request, "dead_letters.html", 400, **values, found=[], more=False, counted=None, sql="", failed="")
    act = act_of(request, LOOK, str(typed.which))
    sql, given = dead_letters.newest_question(typed.which, SHOWN + 1)
    values["sql"] = filled(sql, plain(given, sql))
    try:
        found, counted = await looking(desk, act, _look(typed.which, act, data_keys(desk.settings)))
    except EarshotError as error:
        values["failed"] = str(error)
        return desk.page(request, "dead_letters.html", 503, **values, found=[], more=False, counted=None)
    more = len(found) > SHOWN
    return desk.page(request, "dead_letters.html", 200, **values, found=found[:SHOWN], more=more, counted=counted, failed="")


@wants(Role.SRE)
async def raw(request: Request) -> Response:
    """GET /operations/dead-letters/raw: all bytes of one, as a file. It is a look."""
    desk: Desk = request.app.state.desk
    if answer := _led_here(request):
        return answer
    typed = letters.typed(request.query_params)
    which = typed.which
    if typed.problems or which.topic is None or which.partition is None or which.first is None or which.first != which.last:
        return desk.fail(request, 404, "There is no such dead letter.", "Choose one in the list.")
    topic, partition, offset = which.topic, which.partition, which.first
    act = act_of(request, LOOK, f"{topic} partition {partition} offset {offset}")
    try:
        keys = data_keys(desk.settings)
        letter = await looking(desk, act, lambda client: dead_letters.whole(client, topic, partition, offset, keys))
    except EarshotError as error:
        return desk.fail(request, 503, f"The dead letter can't be read: {error}.", "Try again in a minute.")
    if letter is None:
        return desk.fail(request, 404, "There is no such dead letter.", "Choose one in the list.")
    headers = {"Content-Disposition": f'attachment; filename="dead-letter-{partition}-{offset}.bin"'}
    return Response(letter.raw, 200, headers, "application/octet-stream")


@wants(Role.SRE)
async def replay_form(request: Request) -> Response:
    """GET /operations/dead-letters/replay: how many the filter selects, and the button; with `choose` the filter's fields."""
    typed = letters.typed(request.query_params)
    if typed.problems or CHOOSE in request.query_params:
        return act_form.show(request, _choosing(typed), "; ".join(typed.problems), 400 if typed.problems else 200)
    return await _ask(request, typed)


@wants(Role.SRE)
async def replay(request: Request) -> Response:
    """POST /operations/dead-letters/replay: the address has the filter that was counted, the form the one that is wanted."""
    desk: Desk = request.app.state.desk
    typed = letters.typed(request.state.form)
    if typed.problems:
        return act_form.show(request, _choosing(typed), "; ".join(typed.problems), 400)
    until = _until(request.state.form)
    if until is None or typed.query != letters.typed(request.query_params).query:
        return await _ask(request, typed)  # what was counted was another filter
    name = selection(typed.query, until)
    try:
        comment = _sending(typed, None, None).taken(request.state.form)["comment"]
        if first := await _first(request, name, until):
            return await _ask(request, typed, f"{first}: nothing was sent now.", 409)
        act = act_of(request, REPLAY, str(typed.which), comment)
        desk.sending[name] = Sent(act.actor, act.at)
        try:
            done = await doing(desk, act, _replay(desk, replace(typed.which, until=until), act, name))
        finally:
            del desk.sending[name]
    except EarshotError as error:
        return await _ask(request, typed, act_form.why(request, error), 422 if isinstance(error, SettingsError) else 503)
    lines = [f"Not sent, {times:,}: {why}" for why, times in done.failed.most_common(20)]
    if done.broken_off:
        lines.append(f"Broken off, the rest was not sent: {done.broken_off}")
    topic = desk.settings.kafka.topic("events")
    about = f"{counted_of(done.produced, 'record')} went to {topic}. What is still wrong comes back here."
    link = ("/record?act=replay+dead+letters", "On record")
    title = "Not all were sent." if done.outcome else "Sent again."
    return act_form.tell(request, Done(title, about, lines, link, back="/operations#dead-letters"))


# ----------------------------------------------------------------------------------------------------------------------
def _led_here(request: Request) -> Response | None:
    """The answer to who followed a link of another page: nobody else puts a look on record in their name."""
    if request.headers.get("sec-fetch-site", "none") in ("none", "same-origin"):
        return None
    desk: Desk = request.app.state.desk
    return desk.fail(request, 403, "A page elsewhere led here.", "A look is on record with your name: open it from Operations.")


def _look(which: Filter, act: Act, keys: DataKeys) -> Callable[[Client], tuple[list[DeadLetter], Counted]]:
    def look(client: Client) -> tuple[list[DeadLetter], Counted]:
        found, counted = dead_letters.newest(client, which, SHOWN + 1, keys), dead_letters.count(client, which)
        shown = found[:SHOWN]
        act.after = {"shown": [f"{each.topic} partition {each.partition} offset {each.offset}" for each in shown]}
        return found, counted

    return look


def _until(form: Mapping[str, str]) -> int | None:
    """When the newest that was counted was rejected; None: nothing was counted."""
    text = form.get("until", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else None


async def _first(request: Request, name: str, until: int) -> Sent | None:
    """Who has sent these before, or sends them now, unless they are to be sent all the same."""
    desk: Desk = request.app.state.desk
    again = request.state.form.get("again") == "yes"
    before = None if again else await sent(desk.reads, name, until)
    return desk.sending.get(name) or before


def _replay(desk: Desk, which: Filter, act: Act, name: str) -> Callable[[Client], Replayed]:
    def work(client: Client) -> Replayed:
        done = dead_letters.replay(client, desk.settings.kafka, which, data_keys(desk.settings))
        act.after = {"sent": done.produced, "failed": sum(done.failed.values()), "selection": name}
        act.outcome = done.outcome or act.outcome
        return done

    return work


async def _ask(request: Request, typed: letters.Typed, problem: str = "", status: int = 200) -> Response:
    """How many these are, and the button that sends just these."""
    desk: Desk = request.app.state.desk
    counted, first = None, None
    try:
        counted = await letters.counted(desk.reads, typed.which)
        name = selection(typed.query, counted.until)
        first = desk.sending.get(name) or await sent(desk.reads, name, counted.until)
    except EarshotError as error:
        problem, status = problem or str(error), 503
    return act_form.show(request, _sending(typed, counted, first), problem, status)


def _sending(typed: letters.Typed, counted: Counted | None, first: Sent | None) -> Form:
    """Sends what was counted. Its filter can't be changed here: the button would still name the number of the other one."""
    about, button, links = "", "", [(f"{WHERE}?{typed.query}&{CHOOSE}=1", "Choose others")]
    note = "They are sent unchanged: put the cause right first. What is still wrong comes back, what has landed is dropped."
    fields = [Field(name, "", text, hidden=True) for name, text in typed.texts.items()] + [act_form.comment()]
    if counted:
        about = f"{typed.which}: {letters.numbers(counted)}."
        button = f"Send {counted.records:,} again" if counted.records else ""
        fields.append(Field("until", "", str(counted.until), hidden=True))
    else:
        links.insert(0, (f"{WHERE}?{typed.query}", "Count them again"))
    if counted and first:
        note, button = f"{first}. {note}", button and f"{button} all the same"
        fields.append(Field("again", "", "yes", hidden=True))
    return Form(TITLE, f"{WHERE}?{typed.query}", button, fields, about, note, BACK, links)


def _choosing(typed: letters.Typed) -> Form:
    """The fields of the filter; what they select is counted before anything is sent."""
    texts = typed.texts
    fields = [
        Field("reason", "Reason holds", texts["reason"], hint="Any part of the step or the reason; blank: any.", first=True),
        Field("topic", "Topic", texts["topic"]),
        Field("partition", "Partition", texts["partition"]),
        Field("from_offset", "First offset", texts["from_offset"]),
        Field("to_offset", "Last offset", texts["to_offset"]),
    ]
    return Form(TITLE, WHERE, "Count them", fields, "", "Nothing is sent yet: you see how many these are.", BACK, asks=True)


ROUTES = [
    Route("/operations/dead-letters", page, methods=["GET"]),
    Route("/operations/dead-letters/raw", raw, methods=["GET"]),
    Route("/operations/dead-letters/replay", replay_form, methods=["GET"]),
    Route("/operations/dead-letters/replay", replay, methods=["POST"]),
]
