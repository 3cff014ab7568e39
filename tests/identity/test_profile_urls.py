"""Pages of profiles: which account a link names."""

from __future__ import annotations

import polars as pl
import pytest

from pipeline.identity.profile_urls import accounts_in, pages

ID = "UC0123456789abcdefABCDEF"


def named(text: str) -> list[str]:
    """`platform:@handle` or `platform:id` of each account in the text."""
    rows = accounts_in(pl.Series([text])).rows()
    return [f"{platform}:{id_ or '@' + handle}" for _, platform, handle, id_ in rows]


@pytest.mark.parametrize(
    ("text", "account"),
    [
        ("https://twitter.com/Ann", "twitter:@ann"),
        ("https://x.com/ann?s=20", "twitter:@ann"),
        ("http://mobile.twitter.com/@ann/", "twitter:@ann"),
        ("x.com/ann", "twitter:@ann"),
        ("https://x.com/i/user/12", "twitter:12"),
        ("https://www.facebook.com/ann.b.c/", "facebook:@ann.b.c"),
        ("https://de-de.facebook.com/ann.b/about", "facebook:@ann.b"),
        ("https://m.facebook.com/profile.php?v=info&id=100012&ref=1", "facebook:100012"),
        ("https://www.facebook.com/people/Ann-B/100012345/", "facebook:100012345"),
        ("https://www.facebook.com/p/Ann-B-100012345/", "facebook:100012345"),
        ("https://www.instagram.com/ann.b/?hl=en", "instagram:@ann.b"),
        ("https://www.youtube.com/@Ann-B/videos", "youtube:@ann-b"),
        (f"https://www.youtube.com/channel/{ID}/featured?view_as=subscriber", f"youtube:{ID}"),
        ("https://youtube.com/c/annb", "youtube:@annb"),
        ("https://youtube.com/AnnB", "youtube:@annb"),
        ("https://www.tiktok.com/@ann.b?lang=en", "tiktok:@ann.b"),
        ("https://old.reddit.com/u/ann_b/", "reddit:@ann_b"),
        ("https://bsky.app/profile/ann.example.org", "bluesky:@ann.example.org"),
        ("https://bsky.app/profile/did:plc:abc234", "bluesky:did:plc:abc234"),
        ("https://vk.com/id15", "vk:15"),
        ("vk.com/ann_b", "vk:@ann_b"),
        ("https://weibo.com/u/1234567890", "weibo:1234567890"),
        ("https://t.me/ann_b", "telegram:@ann_b"),
        ("https://truthsocial.com/@annb", "truthsocial:@annb"),
        ("https://gettr.com/user/annb", "gettr:@annb"),
        ("https://rumble.com/c/c-123", "rumble:@c-123"),
        ("https://www.linkedin.com/in/ann-b/", "linkedin:@ann-b"),
        ("https://social.example.org/@Ann", "mastodon:@ann@social.example.org"),
    ],
)
def test_a_profile_page_names_its_account(text: str, account: str) -> None:
    assert named(text) == [account]
    assert named(f"me, elsewhere: ({text})!") == [account]
    assert pages(pl.Series([text])).to_list() == [None], "it is nobody's own page"


@pytest.mark.parametrize(
    "text",
    [
        "https://x.com/ann/status/12", "https://twitter.com/search?q=ann", "https://x.com/home", "https://x.com",
        "https://www.facebook.com/groups/12345", "https://www.facebook.com/sharer/sharer.php?u=x",
        "https://www.instagram.com/p/Cabc123/", "https://www.youtube.com/watch?v=abc", "https://www.youtube.com/shorts/abc",
        "https://www.reddit.com/r/kettles/",
        "https://help.twitter.com/rules", "netflix.com/title", "ann@x.com/notes", "https://t.me/joinchat/AbC",
        "https://web.archive.example/https://twitter.com/ann", "https://example.org/ann", "no link", "",
    ],
)  # fmt: skip
def test_any_other_link_names_none(text: str) -> None:
    assert named(text) == []


def test_a_text_may_name_several_and_rows_stay_apart() -> None:
    texts = pl.Series([None, "x.com/ann, instagram.com/ann and again https://x.com/Ann", None, "vk.com/id7"])
    assert accounts_in(texts).rows() == [
        (1, "twitter", "ann", None),
        (1, "instagram", "ann", None),
        (3, "vk", None, "7"),
    ]
    assert accounts_in(pl.Series([None], dtype=pl.String)).is_empty()


@pytest.mark.parametrize(
    ("url", "page"),
    [
        (" https://www.Ann.example/ ", "ann.example"),
        ("http://ann.example/About?lang=en#top", "ann.example/About?lang=en"),
        ("//ann.example:8080/x", "ann.example/x"),
        ("ann.example", "ann.example"),
        ("https://x.com/ann/status/1", None),
        ("no address", None),
        ("https://localhost/x", None),
    ],
)
def test_a_page_of_ones_own_has_one_form(url: str, page: str | None) -> None:
    assert pages(pl.Series([url])).item() == page
