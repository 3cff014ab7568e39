"""The forms in which people write names, handles and words: each kind with inputs of other shapes than its first case."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from pipeline.processors.mentions.brands import Brands
from pipeline.processors.mentions.step import Matching

ENTRIES: list[dict[str, Any]] = [
    {"name": "Acme", "handles": ["@acme"], "keywords": ["acme"]},
    {"name": "Zed", "handles": ["@zed"]},
    {"name": "McDonald's", "keywords": ["mcdonald's"]},
    {"name": "YouTube", "keywords": ["youtube"]},
    {"name": "Bolt & Nut", "phrases": ["bolt & nut"]},
    {"name": "Plurals", "keywords": ["kettlo", "boxo box"], "plurals": True},
    {"name": "Whole", "keywords": ["holo"], "hashtags": False},
    {"name": "Linked", "domains": ["linked.example", "bücher.example"]},
    {"name": "المنارة", "keywords": ["المنارة", "شركة"]},
    {"name": "کاویان", "keywords": ["کاویان"]},
    {"name": "תפוזית", "keywords": ["תפוזית"]},
    {"name": "한빛나", "keywords": ["한빛나"]},
]
WORDS = ["boycott", "won't work"]


def found(text: str, **more: Any) -> tuple[list[str], list[str]]:
    """The brands and the words in a text, among other texts."""
    texts = ["nothing", text, "&amp; <b>", "ß"]
    columns = {"platform": [more.get("platform", "twitter")] * 4, "mentions": [None, more.get("mentions"), None, None]}
    frame = pl.DataFrame({"text": texts, **columns}, schema_overrides={"mentions": pl.List(pl.String)})
    frame = frame.with_columns(pl.lit(None, pl.List(pl.String)).alias("brands"))
    brands, linked, words = Matching(Brands.model_validate({"brands": ENTRIES}).brands, WORDS).columns(frame)
    assert (linked.to_list()[1] or []) == (["Linked"] if "Linked" in brands.to_list()[1] else []), "no other brand is named so"
    assert [*brands.to_list()[:1], *brands.to_list()[2:]] == [[], [], []]
    return brands.to_list()[1], words.to_list()[1]


FOUND = {
    "symbols": {
        "Acme™ kettle": "Acme",
        "1\ufe0f\u20e3Acme": "Acme",
        "Acme2\ufe0f\u20e3": "Acme",
        "ACME™": "Acme",
        "acme®'s": "Acme",
        "℠acme": "Acme",
        "acme③": "Acme",
        "acme¹²": "Acme",
        "⓵acme": "Acme",
        "acme⅓": "Acme",
        "№acme": "Acme",
        "acmeˢᵐ": "Acme",
        "Acme🄬": "Acme",
        "ⒶⒸⓂⒺ": "Acme",
        "bolt™ & nut®": "Bolt & Nut",
        "McDonald’s™": "McDonald's",
        "@zed™": "Zed",
        "©acme℗": "Acme",
        "🄰🄲🄼🄴": "Acme",
    },
    "hashtags": {
        "#BoycottAcme": "Acme boycott",
        "#boycottacme": "Acme boycott",
        "#acme_boycott": "Acme boycott",
        "#Acme4ever": "Acme",
        "#24acme7": "Acme",
        "#NOTAcme": "Acme",
        "#acmeYouTube": "Acme YouTube",
        "#iLoveYouTube": "YouTube",
        "#mcdonaldsBoycott": "McDonald's boycott",
        "#boltNut": "Bolt & Nut",
        "#BoltNut": "Bolt & Nut",
        "#ACMEBOYCOTT!": "Acme boycott",
        "＃BoycottAcme": "Acme boycott",
        "#acmeé": "",
        "#BoycottAcme'": "Acme boycott",
        "é #BoycottAcme": "Acme boycott",
        "#holo": "Whole",
        "#HoloNow": "",
        "#boycottholo": "boycott",
        "#WontWork": "won't work",
        "#boycottacmes": "",
        "x#boycottacme": "",
        "#boycott-acme": "Acme boycott",
        "#BoycottMcDonald's": "McDonald's boycott",
        "#BoycottMcDonald’s.": "McDonald's boycott",
        "#BoycottMcDonald'sx": "boycott",
        "#المنارة_شركة": "المنارة",
    },
    "markdown": {
        "_Acme_ is bad": "Acme",
        "__Acme__": "Acme",
        "___acme___": "Acme",
        "(_acme_)": "Acme",
        "_boycott_ them": "boycott",
        "_acme kettles_": "Acme",
        "a _bad acme_": "Acme",
        "é _acme_": "Acme",
        "_@zed_": "Zed",
        "_thanks @zed_": "Zed",
        "_x_ @zed_": "",
        "snake_acme": "",
        "acme_1": "",
        "_acme_x": "",
        "@_acme_": "",
        "@zed_": "",
        "_won't work_": "won't work",
        "Acme\\_s": "",
        "\\_acme\\_": "Acme",
        "**acme**": "Acme",
        "x\\nacme": "Acme",
    },
    "apostrophes": {
        f"mcdonald{apostrophe}s and won{apostrophe}t work": "McDonald's won't work" for apostrophe in "'’‘‛`´′‵ʹʼʻʽˈˊˋ＇՚׳ꞌ΄"
    }
    | {"McDonald\\'s": "McDonald's", "mcdonald s": "", 'mcdonald"s': ""},
    "entities": {
        "mcdonald&#39;s": "McDonald's",
        "mcdonald&#8217;s": "McDonald's",
        "mcdonald&#x2019;s": "McDonald's",
        "mcdonald&apos;s": "McDonald's",
        "mcdonald&lsquo;s": "McDonald's",
        "mcdonald&amp;#039;s": "McDonald's",
        "mcdonald&#39s": "McDonald's",
        "bolt &amp; nut": "Bolt & Nut",
        "bolt&nbsp;&amp;&nbsp;nut": "Bolt & Nut",
        "won&rsquo;t work": "won't work",
        "&commat;zed": "Zed",
        "acme&trade;": "Acme",
        "&#97;cme": "Acme",
        "&lt;i&gt;acme": "Acme",
        "é acme&eacute;": "",
        "boyc&zwnj;ott": "boycott",
        "acme&co": "Acme",
        "&notacme;": "",
    },
    "invisible": {
        f"ac{mark}me and @z{mark}ed and boy{mark}cott": "Acme Zed boycott"
        for mark in "\u200b\u200c\u200d\u2060\u00ad\ufeff\u034f\u061c\u180e\u2064\u202d\u2066\ufe0f"
        "\U000e0041\U000e0100\x00\x07\x7f\x9b\u206a"
    }
    | {"pharm\u200bacme": ""},
    "markup": {
        '<a href="https://www.youtube.com/watch?v=1">0:02</a> lovely song': "",
        "<a href=youtube>x</a>": "",
        "<img alt='acme'>": "",
        "<acme-kettle size=1>": "",
        '<p class="acme">youtube</p>': "YouTube",
        "<b>youtube</b>": "YouTube",
        "You<wbr>Tube": "YouTube",
        "<br/>acme<br/>": "Acme",
        "[0:02](https://youtube.com/x)": "",
        "[YouTube](https://x.example)": "YouTube",
        "![acme](x.png)": "",
        '[x](y "acme z")': "",
        "[url=https://youtube.com]a[/url]": "",
        "[URL]https://youtube.com[/URL]": "",
        "[quote=acme]a[/quote]": "",
        "https://youtube.com/": "",
        "www.youtube.com": "",
        "HTTPS://YOUTUBE.COM": "",
        "ftp://acme": "",
        "acme.com": "Acme",
        "https://x.example/acme acme": "Acme",
        "é https://x.example/acme": "",
        "<3 acme": "Acme",
        "a<acme": "Acme",
        "[acme]": "Acme",
        "<https://youtube.com|acme>": "Acme",
        "&lt;img src=acme&gt;": "",
        "[[youtube|film]]": "",
        "<!-- acme\n -->": "",
        "<Acme>": "Acme",
        "<script>acme</script>": "",
        'text <a href="https://youtube.com/wat': "",
        "Acme (https://youtube.com)": "Acme",
        "[YouTube] x": "YouTube",
        "<@U01|zed>": "Zed",
    },
    "links": {
        "https://linked.example": "Linked",
        "<a href='//linked.example'>x</a>": "Linked",
        "http://www.linked.example/a?b": "Linked",
        "https://a.b.linked.example:80/": "Linked",
        '<a href="https://linked.example/x">a</a>': "Linked",
        "[a](https://linked.example)": "Linked",
        "linked.example/x": "Linked",
        "https://x.example/linked.example": "",
        "https://notlinked.example": "",
        "https://linked.example.org": "",
        "me@linked.example": "",
        "https:&#x2F;&#x2F;linked.example": "Linked",
        "HTTPS://LINKED.EXAMPLE": "Linked",
        "https://bücher.example": "Linked",
        "https://xn--bcher-kva.example/1": "Linked",
        "linked": "",
        "https://linked.example@evil.example": "",
    },
    "handles": {
        "@zed.bsky.social hi": "",
        "@zed@server": "",
        "@zed.fanclub": "",
        "@zed.": "Zed",
        "@zed. Bye": "Zed",
        "@zed...": "Zed",
        "@zed@": "Zed",
        "@zed!": "Zed",
        "@zed/x": "Zed",
        "@zed:acme": "Acme Zed",
        "@zedd": "",
        "@zed_x": "",
        "x@zed": "",
        "@zed–no": "Zed",
        "@acme.fanclub": "",
        "@acme@server": "",
        "@fan.acme": "",
        "@fan@acme": "",
        ".@zed": "Zed",
        "me@acme.org": "Acme",
        "@zed,@acme": "Acme Zed",
        "é @zed.é": "Zed",
        "@ZED.Bsky.Social": "",
        "@zed.1": "",
    },
    "particles": {
        "والمنارة": "المنارة",
        "بالمنارة": "المنارة",
        "للمنارة": "المنارة",
        "وللمنارة": "المنارة",
        "كالمنارة": "المنارة",
        "المناره": "المنارة",
        "فشركة": "المنارة",
        "لشركة": "المنارة",
        "المشركة": "",
        "كاويان": "کاویان",
        "کاویان‌های": "کاویان",
        "کاویانی": "کاویان",
        "کاويان": "کاویان",
        "کاویانرا": "کاویان",
        "کاویانستان": "",
        "בתפוזית": "תפוזית",
        "ושהתפוזית": "תפוזית",
        "ל-תפוזית": "תפוזית",
        "התפוזית": "תפוזית",
        "תפוזיתים": "",
        "גתפוזית": "",
        "한빛나는": "한빛나",
        "한빛나에서도": "한빛나",
        "한빛나라고": "한빛나",
        "Acme는": "Acme",
        "신한빛나": "",
        "ה-acme": "Acme",
        "בacme": "Acme",
        "والacme": "Acme",
        "acme'de": "Acme",
        "acme’den bir": "Acme",
        "Acmeye gittim": "Acme",
        "Acmeyi boykot edin": "Acme",
        "ACMEYE GÜVENMEYİN": "Acme",
        "Acmenin": "Acme",
        "YouTubeda izledim": "YouTube",
        "acmela": "",
        "Acmelerden şikayet": "Acme",
        "acmede": "",
        "acmeden": "Acme",
        "youtubedan bir daha": "YouTube",
        "Acmex bir": "",
        "Xacme bir": "",
    },
    "plurals": {
        "kettlos": "Plurals",
        "KETTLOES": "Plurals",
        "two kettlos' lids": "Plurals",
        "boxo boxes": "Plurals",
        "acmes": "",
        "kettloss": "",
        "skettlos": "",
        "kettlos_": "Plurals",
        "kettlos_x": "",
        "youtubes": "",
        "#kettlo": "Plurals",
    },
}


@pytest.mark.parametrize(("kind", "text", "expected"), [(kind, *case) for kind in FOUND for case in FOUND[kind].items()])
def test_the_brands_and_words_in_a_text(kind: str, text: str, expected: str) -> None:
    brands, words = found(text)
    rest = expected
    for name in (*brands, *words):
        assert name in rest, (kind, brands, words)
        rest = rest.replace(name, "", 1)
    assert not rest.strip(), (kind, brands, words)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("@zed", ["Zed"]),
        ("zed", ["Zed"]),
        ("z\u200bed", ["Zed"]),
        ("z&#8203;ed", ["Zed"]),
        ("ＺＥＤ", ["Zed"]),
        ("@zed@server", []),
        ("zed.bsky.social", []),
        ("zed_", []),
    ],
)
def test_mentions(name: str, expected: list[str]) -> None:
    assert found("", mentions=[name])[0] == expected


def test_a_handle_ends_as_its_platform_has_it() -> None:
    ends = {
        platform: found("@zed-fans and @acme-fans", platform=platform)[0] for platform in ("twitter", "youtube", "mastodon")
    }
    assert ends == {"twitter": ["Acme", "Zed"], "youtube": [], "mastodon": []}
