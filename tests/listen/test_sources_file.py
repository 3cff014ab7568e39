"""sources.yaml: one line for each mistake."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.errors import SettingsError
from pipeline.listen.sources_file import Rss, Sources, parse_sources, token_of
from pipeline.listen.states import NoCredentials

FILE = Path("sources.yaml")
RSS = "sources:\n- {name: blog, platform: rss, url: https://example.com/feed"


def parsed(text: str) -> Sources:
    return parse_sources(text.encode(), FILE)


def test_every_platform() -> None:
    sources = parsed("""
sources:
- {name: a, platform: twitter, query: acme -is:retweet, token_env: X_TOKEN}
- {name: b, platform: reddit, subreddits: [coffee], client_id: abc, token_env: REDDIT_SECRET, every: 2m}
- {name: c, platform: mastodon, server: "https://social.example", timeline: tag, tag: coffee, backfill: 2d}
- {name: d, platform: bluesky, keep: mentions}
- {name: e, platform: rss, url: "https://example.com/feed"}
- {name: f, platform: discourse, url: "https://forum.example.com/", own: ["@Team"]}
- {name: g, platform: email, host: imap.example.com, user: help@example.com, token_file: /run/secrets/mail}
""").sources
    assert [source.every.total_seconds() for source in sources] == [60, 120, 60, 60, 300, 60, 60]
    assert sources[5].own_accounts() == {"team"}
    assert len({source.what() for source in sources}) == 7
    assert [source.credential for source in sources[:3]] == ["X_TOKEN", "REDDIT_SECRET", "source c"]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (RSS + ", evry: 5m}", "sources.0 (blog): evry: unknown key, did you mean 'every'?"),
        (RSS + ", every: soon}", "sources.0 (blog): every: 'soon' is no duration: it should look like 90s, 10m, 4h or 1d"),
        (RSS + ", every: 2d}", "sources.0 (blog): every: it is 1 second to 1 day"),
        (RSS + "}\n- {name: blog, platform: bluesky}", "sources.0 and sources.1 are both named blog"),
        (RSS + ", token_env: A, token_file: b}", "token_env and token_file: name one of them"),
        ("sources:\n- {name: a, platform: rs, url: 'https://a.example'}", "sources.0 (a): platform: it is"),
        ("sources:\n- {name: a, url: 'https://a.example'}", "sources.0 (a): platform: it is missing"),
        ("sources:\n- {name: a, platform: rss}", "sources.0 (a): url: it is missing"),
        ("sources:\n- {name: a, platform: rss, url: 'ftp://a.example'}", "it should look like https://example.com"),
        ("sources:\n- {name: a, platform: rss, url: 'https://u:p@a.example'}", "a password is not part of it"),
        ("sources:\n- {name: a, platform: rss, url: 'https://a.example', query: x}", "takes no such key"),
        ("sources:\n- {name: a b, platform: rss, url: 'https://a.example'}", "sources.0 (a b): name"),
        ("sources:\n- {name: a, platform: mastodon, server: 'https://a.example', tag: x}", "belong together"),
        ("sources:\n- {name: a, platform: reddit, client_id: x}", "name subreddits, a query or both"),
    ],
)
def test_one_line(text: str, line: str) -> None:
    with pytest.raises(SettingsError) as error:
        parsed(text)
    assert line in str(error.value) and "\n" not in str(error.value) and str(error.value).startswith("sources.yaml: ")


def test_another_feed_of_the_same_name_is_another_thing() -> None:
    before, after = parsed(RSS + "}").sources[0], parsed(RSS + "2}").sources[0]
    assert before.what() != after.what()
    assert before.what() == parsed(RSS + ", every: 9m, keep: mentions, own: [a]}").sources[0].what()


def test_another_contact_is_the_same_thing() -> None:
    text = "sources:\n- {name: a, platform: reddit, subreddits: [coffee], client_id: abc"
    (source,) = parsed(text + ", contact: otto}").sources
    assert source.what() == parsed(text + "}").sources[0].what() and getattr(source, "contact", "") == "otto"


def test_another_login_to_a_mailbox_goes_on_where_it_was() -> None:
    mail = "sources:\n- {name: post, platform: email, host: imap.example.com, user: help@example.com"
    oauth = "oauth: {url: 'https://login.example.com/token', client_id: abc}"
    (before,), (after,), (other,) = (parsed(mail + end).sources for end in ("}", f", port: 1993, {oauth}}}", ", folder: Spam}"))
    assert before.what() == after.what() != other.what()


@pytest.mark.parametrize(
    ("text", "more"),
    [
        ("platform: twitter, query: kettle", "stream: false"),
        ("platform: bluesky, accounts: ['did:plc:abc']", "version: 2"),
        ("platform: reddit, subreddits: [coffee], client_id: abc", "login: 'https://login.example.com'"),
        ("platform: twitter, query: kettle", "server: 'https://api.x.com'"),
    ],
)
def test_another_way_to_the_same_thing_goes_on_where_it_was(text: str, more: str) -> None:
    (before,), (after,) = (parsed(f"sources:\n- {{name: a, {text}{end}}}").sources for end in ("", f", {more}"))
    assert before.what() == after.what()


def test_a_key_that_a_later_version_adds_begins_nothing_anew() -> None:
    class Later(Rss):
        depth: int = 3

    (before,) = parsed(RSS + "}").sources
    keys = {"name": "blog", "platform": "rss", "url": "https://example.com/feed"}
    assert before.what() == Later.model_validate(keys).what() != Later.model_validate({**keys, "depth": 4}).what()


def test_credentials(tmp_path: Path) -> None:
    (source,) = parsed(RSS + ", token_env: BLOG_TOKEN}").sources
    assert token_of(source, {"BLOG_TOKEN": " s3cret\n"}).get_secret_value() == "s3cret"
    assert "s3cret" not in repr(token_of(source, {"BLOG_TOKEN": "s3cret"}))
    with pytest.raises(NoCredentials, match="variable BLOG_TOKEN is not set"):
        token_of(source, {})
    path = tmp_path / "token"
    (source,) = parsed(RSS + f", token_file: {path}}}").sources
    with pytest.raises(NoCredentials, match="No such file"):
        token_of(source, {})
    for content in (b"", b"\n", b"a\nb", b"\xff", b"x" * 20_000):
        path.write_bytes(content)
        with pytest.raises(NoCredentials):
            token_of(source, {})
    path.write_bytes(b"s3cret\n")
    assert token_of(source, {}).get_secret_value() == "s3cret"
    assert token_of(parsed(RSS + "}").sources[0], {}).get_secret_value() == ""
