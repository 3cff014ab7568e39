"""sources.yaml: one line for each mistake."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.errors import SettingsError
from pipeline.listen.sources_file import Rss, Sources, parse_sources

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
- {name: youtube, platform: youtube, channel: UCabcdefghijklmnopqrstuv, token_env: YOUTUBE_KEY}
- {name: telegram, platform: telegram, token_env: TELEGRAM_TOKEN}
- {name: vk, platform: vk, group: 1234, token_env: VK_KEY}
- {name: linkedin, platform: linkedin, page: 1234, token_env: LINKEDIN_TOKEN}
- {name: h, platform: facebook, page: "20531316728", messages: true, token_env: META_TOKEN}
- {name: i, platform: instagram, account: "17841400000000000", token_env: META_TOKEN}
- {name: j, platform: google_play, package: com.acme.kettle, token_file: play.json}
- {name: k, platform: app_store, app: "1234567890", key_id: 2X9R4HXF34, token_file: AuthKey.p8}
- {name: l, platform: freshdesk, server: "https://acme.freshdesk.com", token_env: FRESHDESK_KEY}
""").sources
    assert [source.every.total_seconds() for source in sources[:7]] == [60, 120, 60, 60, 300, 60, 60]
    assert sources[5].own_accounts() == {"team"}
    assert len({source.what() for source in sources}) == len(sources)
    assert [source.credential for source in sources[:3]] == ["X_TOKEN", "REDDIT_SECRET", "source c"]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (RSS + ", evry: 5m}", "sources.0 (blog): evry: unknown key, did you mean 'every'?"),
        (RSS + ", every: soon}", "sources.0 (blog): every: 'soon' is no duration: it should look like 90s, 10m, 4h or 1d"),
        (
            "sources:\n- {name: a, platform: twitter, query: b, spend: 0.04}",
            "spend: X gives ten posts at least, which cost 0.05",
        ),
        (RSS + ", budget: 0}", "sources.0 (blog): budget: it is a number above 0, 1000 at most"),
        ("sources:\n- {name: a, platform: twitter, query: b, spend: $20}", "spend: it is a number above 0, 1000000000 at most"),
        ("sources:\n- {name: a, platform: vk, group: 0}", "group: it is a whole number above 0"),
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
        ("platform: facebook, page: '7'", "tagged: true, messages: true, version: v31.0"),
        ("platform: app_store, app: '7', key_id: A1", "issuer: 57246542-96fe-1a63-e053-0824d011072a"),
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


OF_RSS = "platform: rss, url: 'https://a.example'"
OF_REDDIT = "platform: reddit, client_id: abc"
OF_MAIL = "platform: email, host: imap.example.com, user: ada@example.com"


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        (f"{OF_RSS}, backfill: 99999999999d", "backfill: '99999999999d' is no duration: it should look like"),
        (f"{OF_RSS}, backfill: 20000d", "backfill: it is 10000d at most"),
        (f"{OF_RSS}, every: PT5M", "every: 'PT5M' is no duration: it should look like 90s, 10m, 4h or 1d"),
        (f"{OF_RSS}, interval: 5m", "interval: unknown key, did you mean 'every'?"),
        (f"{OF_RSS}, keep: mention", "keep: it is all or mentions, not 'mention', did you mean 'mentions'?"),
        (f"{OF_RSS}, original: some", "original: it is true or false"),
        (f"{OF_RSS}, password: kettle", "password: unknown key, did you mean 'token_env'?"),
        (f"{OF_RSS}, token_env: $TOKEN", "token_env: write it as the name of a variable, as X_TOKEN"),
        (f"{OF_RSS}, allow: [10.0.0.1/8]", "allow.0: '10.0.0.1/8' is no address, network or host name"),
        (f"{OF_RSS}, allow: ['localhost:80']", "allow.0: 'localhost:80' is no address, network or host name"),
        (f"{OF_RSS}, own: ['https://x.example/acme']", "own.0: it is an id or a handle, as '@acme'"),
        ("platform: rss, url: 'https://a .example'", "url: it should look like https://example.com"),
        ("platform: rss, feed: 'https://a.example'", "feed: unknown key, did you mean 'url'?"),
        ("platform: x, query: acme", ", not 'x', did you mean 'twitter'?"),
        ("platform: IMAP, host: a.example", ", not 'IMAP', did you mean 'email'?"),
        ("platform: twitter, query: ''", "query: it is blank"),
        ("platform: twitter, account: acme", "account: unknown key, did you mean 'query'?"),
        (f"{OF_REDDIT}, subreddits: [r/coffee!]", "subreddits.0: write it as coffee, without r/ and without the URL"),
        (f"{OF_REDDIT}, subreddits: [coffee], contact: u/o t", "contact: write it as otto, without u/"),
        (f"{OF_REDDIT}, subreddits: [coffee], client_secret: x", "client_secret: unknown key, did you mean 'token_env'?"),
        ("platform: mastodon, server: 'https://a.example/@otto'", "server: it is that of the server alone: https://a.example"),
        ("platform: mastodon, instance: 'https://a.example'", "instance: unknown key, did you mean 'server'?"),
        ("platform: mastodon, server: 'https://a.example', timeline: tag, tag: a b", "tag: write it as one hashtag, as coffee"),
        ("platform: bluesky, accounts: ['@acme.example']", "accounts.0: write it as a DID, as did:plc:"),
        ("platform: bluesky, query: coffee", "query: platform bluesky takes no such key"),
        ("platform: bluesky, version: 3", "version: it is 1 or 2, not 3"),
        ("platform: discourse, url: 'https://a.example/?page=2'", "url: it has neither ? nor #"),
        ("platform: freshdesk, server: 'https://a.example/#.freshdesk.com'", "server: it has neither ? nor #"),
        ("platform: freshdesk, server: 'https://a.example?'", "server: it has neither ? nor #"),
        (r"platform: freshdesk, server: 'https://evil.example\@acme.freshdesk.com'", "server: a password is not part of it"),
        ("platform: youtube, channel: '@acme'", "channel: write it as the channel's id, as UC and 22 characters"),
        (f"{OF_MAIL.replace('imap.', 'imaps://imap.')}", "host: it is a host alone, as imap.example.com"),
        (f"{OF_MAIL.replace('.com,', '.com:993,')}", "host: it is a host alone, as imap.example.com"),
        ("platform: facebook, page: acme", "page: write it as its number, as 20531316728"),
        ("platform: instagram, account: '1', version: 24", "version: "),
        ("platform: freshdesk, server: acme.freshdesk.com", "server: it should look like https://example.com"),
        ("platform: playstore, package: a.b", "did you mean 'google_play'?"),
        ("platform: google_play, package: kettle", "package: write it as the app's package, as com.example.app"),
        ("platform: app_store, app: kettle, key_id: A", "app: write it as the app's Apple ID"),
        ("platform: vk, group: 'https://vk.com/acme'", "group: write it as its number, as 1234 of club1234"),
        ("platform: linkedin, page: acme", "page: write it as its number, as 1234 of linkedin.com/company/1234/admin"),
        (f"{OF_MAIL}, oauth: {{url: 'https://a.example', client_id: a, client_secret_env: s-3}}", "oauth.client_secret_env: "),
    ],
)
def test_a_mistake_says_what_to_write(keys: str, line: str) -> None:
    with pytest.raises(SettingsError) as error:
        parsed(f"sources: [{{name: a, {keys}}}]")
    assert line in str(error.value) and "\n" not in str(error.value) and "pattern" not in str(error.value)


CHANNEL = "UCabcdefghijklmnopqrstuv"


@pytest.mark.parametrize(
    ("keys", "key", "value"),
    [
        (f"platform: youtube, channel: ' https://www.youtube.com/channel/{CHANNEL}/videos?x=1 '", "channel", CHANNEL),
        ("platform: vk, group: 'https://vk.com/club1234'", "group", 1234),
        ("platform: vk, group: public1234", "group", 1234),
        ("platform: vk, group: -1234", "group", 1234),
        ("platform: linkedin, page: 'https://www.linkedin.com/company/1234/admin/'", "page", 1234),
        ("platform: facebook, page: 20531316728", "page", "20531316728"),
        ("platform: facebook, page: 'facebook.com/profile.php?id=77'", "page", "77"),
        ("platform: google_play, package: 'https://play.google.com/store/apps/details?hl=de&id=a.b_c&x'", "package", "a.b_c"),
        ("platform: app_store, app: 'https://apps.apple.com/us/app/a-b/id12?l=de', key_id: AuthKey_A1.p8", "app", "12"),
        ("platform: app_store, app: 12, key_id: keys/AuthKey_A1.p8", "key_id", "A1"),
        (f"{OF_REDDIT}, subreddits: [r/a1, /r/b2/new, 'https://old.reddit.com/r/c3']", "subreddits", ("a1", "b2", "c3")),
        (f"{OF_REDDIT}, query: a, contact: 'https://www.reddit.com/user/otto/'", "contact", "otto"),
    ],
)
def test_an_id_may_be_pasted_as_a_link(keys: str, key: str, value: object) -> None:
    assert getattr(parsed(f"sources: [{{name: a, {keys}}}]").sources[0], key) == value


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", "the file: it is a YAML mapping, with the keys sources; this one is empty"),
        ("sources: {blog: {platform: rss}}", "sources: write it as a list: - {name: blog, platform: rss, url: ...}"),
        ("sources: [{name: Our Blog, platform: rss}]", "sources.0 (Our Blog): name: write it as our-shop: small letters"),
    ],
)
def test_a_mistake_of_the_whole_file(text: str, line: str) -> None:
    with pytest.raises(SettingsError) as error:
        parsed(text)
    assert str(error.value).startswith(f"sources.yaml: {line}")


def test_a_byte_order_mark_and_a_slash_at_the_end_do_no_harm() -> None:
    with_mark = parse_sources(b"\xef\xbb\xbf" + (RSS + "/}").encode(), FILE).sources
    assert with_mark == parsed(RSS + "}").sources


@pytest.mark.parametrize(
    ("text", "end"),
    [
        ("sources: [{name: a, own: [@acme]}]", ": put the text into quotes"),
        ("sources:\n- name: a\n  query: from:acme lang: en", ": put a text that holds ': ' into quotes, and a space behind"),
        ("sources:\n\t- name: a", ": use spaces, not tabs"),
    ],
)
def test_what_is_no_yaml_says_what_to_do(text: str, end: str) -> None:
    with pytest.raises(SettingsError) as error:
        parsed(text)
    assert end in str(error.value)
