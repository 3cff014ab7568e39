"""`earshot mapping new`: exports in ten languages and of many platforms' forms give a mapping that reads them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from pipeline.config import document
from pipeline.errors import EarshotError, SettingsError
from pipeline.sources.recorded.files import read_events
from pipeline.sources.recorded.items import Mapped
from pipeline.sources.recorded.mapping import MappingFile
from pipeline.sources.recorded.suggest.names import likeness, words_of
from pipeline.sources.recorded.suggest.time_formats import time_format
from pipeline.sources.recorded.suggest.write import suggest

TEXTS = (
    "The kettle leaks and nobody answers my mails", "Great service, thank you so much",
    "Where is my order? It is three weeks late",
    "I would buy it again", "Never again: the handle broke on the first day", "Delivery was quick, the box was damaged",
)  # fmt: skip
HANDLES = ("ann_b", "bob99", "cleo.d", "dora", "eve_x", "finn")
NAMES = ("Ann Berg", "Bob Carr", "Cleo Dahl", "Dora Eng", "Eve Fox", "Finn Gard")


def table(
    folder: Path, header: str, cells: Sequence[tuple[object, ...]], delimiter: str = ",", name: str = "export.csv"
) -> Path:
    lines = [header, *(delimiter.join(f'"{cell}"' if delimiter in str(cell) else str(cell) for cell in row) for row in cells)]
    path = folder / name
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


def events_of(path: Path) -> list[dict[str, Any]]:
    text = suggest(path).text
    mapping = document.parse(text.encode(), path, MappingFile)
    items = list(read_events(path, mapping))
    assert all(isinstance(item, Mapped) and not item.left_out for item in items), items
    return [item.event for item in items if isinstance(item, Mapped) and isinstance(item.event, dict)]


def rows(date: str = "2026-01-{n:02d} 10:00:00", width: int = 1) -> list[tuple[object, ...]]:
    """Rows of id, time, author, text, likes, rating."""
    return [(f"a{n}x", date.format(n=n + 10), HANDLES[n], TEXTS[n], n * 7, n % 5 + 1)[: 6 * width] for n in range(6)]


@pytest.mark.parametrize(
    "header",
    [
        "id,created_at,username,text,likes,rating",
        "Beitrags-ID,Datum,Benutzername,Nachricht,Gefällt mir,Sterne",
        "identifiant,date de création,utilisateur,commentaire,j'aime,étoiles",
        "identificador,fecha,usuario,comentario,me gusta,estrellas",
        "identificativo,data,nome utente,commento,mi piace,stelle",
        "identificador,data,usuário,mensagem,curtidas,estrelas",
        "идентификатор,дата,пользователь,сообщение,лайки,оценка",
        "编号,发布时间,用户名,内容,点赞数,评分",
        "番号,投稿日時,ユーザー名,本文,いいね,評価",
        "kimlik,tarih,kullanıcı,yorum,beğeni,puan",
        "identyfikator_id,data utworzenia,użytkownik,treść,likes,ocena",
        "ID,tijd,gebruiker,bericht,likes,beoordeling",
        "commentId,publishedAt,authorName,commentText,likeCount,starRating",
        "tweet_id,Created On,screen name,full_text,favorite_count,score",
    ],
)
def test_columns_are_known_by_their_names_in_many_languages(tmp_path: Path, header: str) -> None:
    events = events_of(table(tmp_path, header, rows()))
    for n, event in enumerate(events):
        assert (event["id"], event["text"]) == (f"a{n}x", TEXTS[n])
        assert event["created_at"] == f"2026-01-{n + 10}T10:00:00Z"
        assert HANDLES[n] in event["author"].values()
        assert (event["metrics"]["likes"], event["rating"]) == (n * 7, n % 5 + 1)


@pytest.mark.parametrize(
    ("date", "time"),
    [
        ("2026-01-{n:02d}T10:00:00Z", "10:00:00"),
        ("{n:02d}.01.2026 10:00", "10:00:00"),
        ("01/{n:02d}/2026 10:00 AM", "10:00:00"),
        ("{n:02d}/01/2026 10:00:00", "10:00:00"),
        ("Jan {n:02d}, 2026", "00:00:00"),
        ("{n:02d} January 2026 10:00", "10:00:00"),
        ("2026-01-{n:02d} 10:00:00 UTC", "10:00:00"),
        ("2026-01-{n:02d} 12:00:00 +0200", "10:00:00"),
        ("2026年01月{n:02d}日 10:00", "10:00:00"),
        ("{n:02d}-Jan-2026 10:00", "10:00:00"),
        ("Sat Jan {n:02d} 10:00:00 +0000 2026", "10:00:00"),
        ("2026-01-{n:02d}", "00:00:00"),
    ],
)
def test_times_in_many_forms(tmp_path: Path, date: str, time: str) -> None:
    path = table(tmp_path, "id;created;user;text;likes;rating", rows(date), ";")
    assert [event["created_at"] for event in events_of(path)] == [f"2026-01-{n + 10}T{time}Z" for n in range(6)]


def test_what_a_file_cannot_say_is_in_its_comments(tmp_path: Path) -> None:
    header = "id,created,user,text,likes,rating"
    naive, zoned = (
        suggest(table(tmp_path, header, rows(date))) for date in ("2026-01-{n:02d} 10:00", "2026-01-{n:02d}T10:00:00Z")
    )
    assert "names no zone: UTC is a guess" in naive.text
    assert any("zone" in doubt for doubt in naive.doubts)
    assert not any("zone" in doubt for doubt in zoned.doubts)
    assert "platform: unknown  # CHECK" in zoned.text
    assert "# brands: [Acme]" in zoned.text
    assert '#   "' not in zoned.text
    for examples in (HANDLES[:3], TEXTS[1:2]):
        assert all(
            any(example[:30] in line for line in zoned.text.splitlines() if line.startswith("      #")) for example in examples
        )


def test_the_same_file_gives_the_same_mapping(tmp_path: Path) -> None:
    path = table(tmp_path, "id,created,user,text,likes,rating", rows())
    assert suggest(path) == suggest(path)


# --- forms ----------------------------------------------------------------------------------------------------------
def dump(folder: Path, name: str, value: object) -> Path:
    path = folder / name
    path.write_text(value if isinstance(value, str) else json.dumps(value), "utf-8")
    return path


def posts(**more: Any) -> list[dict[str, Any]]:
    return [{"id": 100 + n, "created_at": f"2026-01-{n + 10}T10:00:00Z", "text": TEXTS[n], **more} for n in range(6)]


@pytest.mark.parametrize(
    "value",
    [
        posts(),
        {
            "data": posts(),
            "includes": {"users": [{"id": n, "name": "a", "description": "a long text about me"} for n in range(9)]},
        },
        {"name": "Shop talk", "messages": posts()},
        {"result": {"items": posts()}, "errors": []},
        "\n".join(json.dumps(each) for each in posts()),
    ],
)
def test_json_of_any_form(tmp_path: Path, value: object) -> None:
    events = events_of(dump(tmp_path, "posts.json", value))
    assert [(event["id"], event["text"]) for event in events] == [(str(100 + n), TEXTS[n]) for n in range(6)]


def test_rows_keyed_by_their_ids(tmp_path: Path) -> None:
    value = {f"k{n}": {"at": f"2026-01-{n + 10}T10:00:00Z", "text": TEXTS[n]} for n in range(6)}
    events = events_of(dump(tmp_path, "posts.json", value))
    assert [event["text"] for event in events] == list(TEXTS)
    assert len({event["id"] for event in events}) == 6


def test_authors_in_objects_html_and_lists(tmp_path: Path) -> None:
    account = {
        "id": "7",
        "username": "ann_b",
        "display_name": "Ann Berg",
        "followers_count": 5,
        "note": "x",
        "created_at": "2020-01-01T00:00:00Z",
    }
    value = [
        {**each, "content": f"<p>{each['text']}</p>", "account": account, "tags": [{"name": "kettle"}]} for each in posts()
    ]
    for each in value:
        del each["text"]
    first = events_of(dump(tmp_path, "toots.json", value))[0]
    assert first["text"] == TEXTS[0]
    assert first["author"] == {"id": "7", "handle": "ann_b", "name": "Ann Berg", "followers": 5}
    assert (first["created_at"], first["hashtags"]) == ("2026-01-10T10:00:00Z", ["kettle"])


def test_messages_of_a_conversation_are_events(tmp_path: Path) -> None:
    turns = [
        {"message_id": f"m{n}", "sent": f"2026-01-{n + 10}T10:00:00Z", "body": TEXTS[n], "from": HANDLES[n]} for n in range(6)
    ]
    value = [{"ticket": 5, "messages": turns[:3]}, {"ticket": 6, "messages": turns[3:]}]
    events = events_of(dump(tmp_path, "tickets.json", value))
    assert [(event["id"], event["kind"], event["text"]) for event in events] == [
        (f"m{n}", "message", TEXTS[n]) for n in range(6)
    ]


def test_a_review_and_its_answer(tmp_path: Path) -> None:
    cells = [
        (
            f"r{n}",
            f"2026-01-{n + 10} 10:00",
            TEXTS[n],
            n % 5 + 1,
            TEXTS[-n - 1] if n % 2 else "",
            "2026-02-01 10:00" if n % 2 else "",
        )
        for n in range(6)
    ]
    events = events_of(table(tmp_path, "reviewId,at,content,score,replyContent,repliedAt", cells))
    kinds = [(event["id"], event["kind"]) for event in events]
    assert kinds == [
        (f"r{n}{part}", kind) for n in range(6) for part, kind in (("", "review"), ("/reply", "reply"))[: n % 2 + 1]
    ]


@pytest.mark.parametrize(
    ("ids", "found"),
    [
        (["1.25018E+18"] * 6, False),
        ([f"12501800{n:08d}000" for n in range(1, 7)], False),
        ([f"{n}.0" for n in range(100, 106)], True),
        ([f"'{n}'" for n in range(100, 106)], True),
        (["same"] * 6, False),
    ],
)
def test_ids_that_are_none_become_a_hash(tmp_path: Path, ids: list[str], found: bool) -> None:
    cells = [(ids[n], f"2026-01-{n + 10}T10:00:00Z", HANDLES[n], TEXTS[n]) for n in range(6)]
    path = table(tmp_path, "id,created_at,user,text", cells)
    events = events_of(path)
    assert len({event["id"] for event in events}) == 6
    assert (events[0]["id"] == "100") is found


def test_a_time_in_the_ids(tmp_path: Path) -> None:
    cells = [(1_600_000_000_123_456_789 + n * 10**15, "positive", TEXTS[n]) for n in range(6)]
    path = tmp_path / "labelled.tsv"
    path.write_text("".join("\t".join(map(str, row)) + "\n" for row in cells), "utf-8")
    events = events_of(path)
    assert [event["text"] for event in events] == list(TEXTS)
    assert events[0]["created_at"].startswith("2022-12-06")


def test_lists_in_cells_and_scores(tmp_path: Path) -> None:
    cells = [(n + 10, f"2026-01-{n + 10}T10:00:00Z", TEXTS[n], "a;b" if n else "a", f"{n % 5 + 1}/5") for n in range(6)]
    second = events_of(table(tmp_path, "id,created_at,text,hashtags,rating", cells))[1]
    assert (second["hashtags"], second["rating"]) == (["a", "b"], 2.0)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("empty.csv", "", "no column"),
        ("numbers.csv", "a,b\n1,2\n3,4\n", "no column of the first 2 rows holds a text"),
        ("feed.xml", "<rss></rss>", "it is XML or HTML"),
        ("data.bin", "\0\1\2\3", "bytes that no text has"),
        ("broken.json", "{", "" ),
        ("twice.csv", "text,text\na b c,d e f\n", "text"),
    ],
)  # fmt: skip
def test_what_is_no_export_is_one_line(tmp_path: Path, name: str, content: str, says: str) -> None:
    path = dump(tmp_path, name, content)
    with pytest.raises(EarshotError) as caught:
        suggest(path)
    assert str(caught.value).startswith(str(path)) and says in str(caught.value) and "\n" not in str(caught.value)
    with pytest.raises(EarshotError):
        suggest(tmp_path / "none.csv")


def test_names_and_formats() -> None:
    assert words_of("replyCreatedAt_utc.größe") == (
        "reply",
        "created",
        "at",
        "utc",
        "große".replace("ß", "ss").replace("o", "o"),
    )
    assert likeness("account.display_name", "author.name") > likeness("account.note", "author.name")
    assert time_format(["01/02/2026", "03/04/2026"]) is not None
    assert time_format(["yesterday", "soon"]) is time_format([]) is None


def test_a_mapping_is_no_error_of_settings(tmp_path: Path) -> None:
    """Names with quotes, colons and hashes are written so that YAML reads them."""
    header = '"id: #1","date, time","it\'s the ""text"" {of} people","a - b"'
    body = [f'{n},2026-01-{n + 10}T10:00:00Z,"{TEXTS[n]}",x' for n in range(6)]
    path = dump(tmp_path, "odd.csv", "\n".join([header, *body, ""]))
    try:
        assert [event["text"] for event in events_of(path)] == list(TEXTS)
    except SettingsError as error:
        pytest.fail(str(error))
