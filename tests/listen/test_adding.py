"""A source that is added: the file keeps all that is there, whatever way it is written."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from pipeline.errors import SettingsError
from pipeline.listen.adding import added, check_place, entry_of, mistake, write
from pipeline.listen.sources_file import load_sources

BLOG = {"name": "blog", "platform": "rss", "url": "https://blog.example.com/?a=1#b,c"}
ENTRY = '{name: blog, platform: rss, url: "https://blog.example.com/?a=1#b,c"}'


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "sources.yaml"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (None, f"sources:\n  - {ENTRY}\n"),
        ("\n", f"sources:\n  - {ENTRY}\n"),
        ("# ours\nsources:\n- {name: a, platform: bluesky} # all\n\n# the end", f"...\n- {ENTRY}\n"),
        ("sources:\n    - name: a\n      platform: bluesky\n", f"...    - {ENTRY}\n"),
        ("sources:\r\n  - {name: a, platform: bluesky}\r\n", f"...  - {ENTRY}\r\n"),
        ("\ufeffsources:\n- {name: a, platform: bluesky}\n", f"...- {ENTRY}\n"),
        ("# ours\n\n", f"...sources:\n  - {ENTRY}\n"),
        ("# ours\nsources: # none yet\n# the end", f"...\n  - {ENTRY}\n"),
        ("sources: []\n", f"sources: [{ENTRY}]\n"),
        (
            "\ufeffsources: [{name: a, platform: bluesky}] # all\n",
            f"\ufeffsources: [{{name: a, platform: bluesky}}, {ENTRY}] # all\n",
        ),
        ("sources: [\n  {name: a, platform: bluesky},\n]\n", f"sources: [\n  {{name: a, platform: bluesky}},\n{ENTRY}]\n"),
    ],
)
def test_it_stands_behind_the_others(path: Path, before: str | None, after: str) -> None:
    if before is not None:
        path.write_bytes(before.encode())
    new = added(path, BLOG)
    assert (path.read_bytes().decode() if path.exists() else None) == before
    write(path, new)
    assert path.read_bytes().decode() == after.replace("...", before or "", 1)
    assert load_sources(path).sources[-1].name == "blog" and not [*path.parent.glob(".*")]


def test_values_are_those_that_the_platform_takes(path: Path) -> None:
    keys = {
        "platform": "reddit",
        "subreddits": "coffee, 12",
        "comments": "false",
        "query": "yes",
        "every": "2m",
    }
    source = added(path, {"name": "a", "client_id": "123", **keys}).source
    assert source.model_dump(include={*keys}, mode="json") == {
        **keys, "subreddits": ["coffee", "12"], "comments": False, "every": "PT2M",
    }  # fmt: skip
    assert (
        entry_of({"platform": "twitter", "query": 'a "b"\n', "spend": "2.5"})
        == r'{platform: twitter, query: "a \"b\"\n", spend: 2.5}'
    )
    given = {"name": "a", "platform": "vk", "group": "https://vk.com/club1234?w=wall"}
    assert added(path, given).entry == "{name: a, platform: vk, group: 1234}", "the file has the id alone"
    assert entry_of({"platform": "facebook", "page": "20"}) == '{platform: facebook, page: "20"}'


@pytest.mark.parametrize(
    ("before", "values", "says"),
    [
        ("", {"platform": "rs"}, "did you mean 'rss'?"),
        ("", {"platform": "x", "query": "a"}, "did you mean 'twitter'?"),
        ("", {"platform": "rss", "ulr": "https://a.example"}, "ulr: unknown key, did you mean 'url'?"),
        ("", {"platform": "rss"}, "url: it is missing"),
        ("", {"platform": "twitter", "query": "a", "token": "s3cret"}, "token: unknown key, did you mean 'token_env'?"),
        ("", {"platform": "twitter", "query": "a", "token_env": "s3cret"}, "token_env: write the name of a variable"),
        ("", {"platform": "twitter", "query": "a", "token_file": "s3cret/+=="}, "token_file: write the path of a file"),
        ("", {"platform": "reddit", "client_id": "a"}, "name subreddits, a query or both"),
        ("sources: [{name: b, platform: bluesky}]", {"platform": "bluesky"}, "has a source b already: take another name"),
        ("sources:\n- {name: b, platform: bluesky}", {"platform": "bluesky"}, "has a source b already"),
        (
            "sources:\n- {name: c, platform: bluesky}\n...\n",
            {"platform": "bluesky"},
            "add this by hand: - {name: b, platform: bluesky}",
        ),
        ("sources:\n- {name: c, platform: blusky}", {"platform": "bluesky"}, "did you mean 'bluesky'?"),
        ("\x00", {"platform": "bluesky"}, "sources.yaml: "),
    ],
)
def test_what_is_wrong_is_one_line_and_changes_nothing(path: Path, before: str, values: dict[str, str], says: str) -> None:
    path.write_text(before)
    with pytest.raises(SettingsError) as error:
        added(path, {"name": "b", **values})
    assert says in str(error.value) and "s3cret" not in str(error.value) and "\n" not in str(error.value)
    assert path.read_text() == before


def test_a_file_that_changed_meanwhile_and_a_folder_that_takes_none(path: Path) -> None:
    path.write_text("sources: []")
    path.chmod(0o640)
    link = path.with_name("link.yaml")
    link.symlink_to(path)
    new = added(link, BLOG)
    path.write_text("sources: [] # mine")
    with pytest.raises(SettingsError, match="changed meanwhile"):
        write(link, new)
    assert path.read_text() == "sources: [] # mine"
    write(link, added(link, BLOG))
    assert link.is_symlink() and stat.S_IMODE(path.stat().st_mode) == 0o640 and "# mine" in path.read_text()
    with pytest.raises(SettingsError, match="No such file or directory"):
        write(path.parent / "nowhere" / "sources.yaml", added(path.parent / "nowhere" / "sources.yaml", BLOG))


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("name", "Our Channel", "write it as our-shop: small letters"),
        ("name", "there", "has a source there already: take another name"),
        ("name", "ours", ""),
        ("channel", "@acme", "write it as the channel's id"),
        ("channel", " https://m.youtube.com/channel/UCabcdefghijklmnopqrstuv/videos ", ""),
        ("every", "5", "'5' is no duration"),
        ("token_env", "s3cret", "write the name of a variable"),
    ],
)
def test_an_answer_is_looked_at_before_the_others_are_there(path: Path, key: str, value: str, says: str) -> None:
    path.write_text("sources: [{name: there, platform: bluesky}]")
    found = mistake(path, key, {"platform": "youtube", key: value})
    assert says in found and bool(says) == bool(found) and "s3cret" not in found


def test_a_place_that_takes_no_file_is_known_at_once(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check_place(path)
    for place, says in ((path.parent, "Is a directory"), (path.parent / "nowhere" / "s.yaml", "there is no folder")):
        with pytest.raises(SettingsError, match=says):
            check_place(place)
    path.write_bytes("sources: []".encode("utf-16"))
    with pytest.raises(SettingsError, match="byte 1 is no UTF-8"):
        check_place(path)
    path.unlink()
    monkeypatch.setattr("os.access", lambda *_: False)  # root may write everywhere
    with pytest.raises(SettingsError, match="you may not write to folder"):
        check_place(path)
