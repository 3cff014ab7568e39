"""Pages: which account of which platform a link in a text leads to, and which pages are people's own.

An account is named by its handle or, where the page's address has it, by the platform's id. Only a link to the profile itself
names it: a link to a post, a group or a search does not. A page `https://HOST/@name` of any other host is one of Mastodon: its
handle is `name@host`.
"""

from __future__ import annotations

from typing import NamedTuple

import polars as pl

from schemas.identity import bare

ACCOUNTS: dict[str, pl.DataType] = {"row": pl.UInt32(), "platform": pl.String(), "handle": pl.String(), "id": pl.String()}
"""`handle` in the form of `bare`, null where `id` is known."""


class Site(NamedTuple):
    """A platform's web site; the patterns of paths each have the name as their one group."""

    platform: str
    hosts: tuple[str, ...]
    handles: tuple[str, ...]
    ids: tuple[str, ...] = ()


_NAME = r"@?([\w.-]+)"
SITES = (
    Site("twitter", ("twitter.com", "x.com"), (r"@?(\w{1,15})",), (r"i/user/(\d+)",)),
    Site(
        "facebook",
        ("facebook.com", "fb.com", "fb.me"),
        (r"(?:pg/)?([A-Za-z0-9.-]{3,})(?:/(?:about|photos|videos|posts|community|reviews))?",),
        (
            r"profile\.php\?(?:[^#]*&)?id=(\d+)(?:&.*)?",
            r"(?:people|pages)/[^/?#]+/(\d+|pfbid\w+)",
            r"p/[^/?#]*-(\d{6,})",
            r"(\d{6,})",
        ),
    ),
    Site("instagram", ("instagram.com", "instagr.am"), (r"@?([A-Za-z0-9_.]{1,30})",)),
    Site(
        "youtube",
        ("youtube.com",),
        (r"@([^/?#\s]{3,30})(?:/\w+)?", r"(?:c/|user/)?([^/?#\s]{3,})(?:/\w+)?"),
        (r"channel/(UC[\w-]{22})(?:/\w+)?",),
    ),
    Site("tiktok", ("tiktok.com",), (r"@([\w.]{2,24})",)),
    Site("reddit", ("reddit.com",), (r"(?:u|user)/([\w-]{2,25})",)),
    Site("bluesky", ("bsky.app",), (r"profile/@?([A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+)",), (r"profile/(did:[a-z]+:[\w.:%-]+)",)),
    Site("vk", ("vk.com", "vk.ru"), (r"([A-Za-z][\w.]{2,31})",), (r"id(\d+)",)),
    Site("weibo", ("weibo.com", "weibo.cn"), (r"(?:n/)?([^/?#\s]+)",), (r"(?:u/)?(\d{5,})",)),
    Site("telegram", ("t.me", "telegram.me"), (r"(?:s/)?([A-Za-z]\w{3,31})",)),
    Site("threads", ("threads.net", "threads.com"), (r"@([\w.]{1,30})",)),
    Site("truthsocial", ("truthsocial.com",), (r"(?:users/|@)([\w.]{1,30})",)),
    Site("gettr", ("gettr.com",), (r"user/(\w+)",)),
    Site("rumble", ("rumble.com",), (rf"(?:c|user)/{_NAME}(?:/\w+)?", r"([A-Za-z]\w{2,})")),
    Site("linkedin", ("linkedin.com",), (r"in/([^/?#\s]+)",)),
    Site("github", ("github.com",), (r"([A-Za-z0-9-]{1,39})",)),
    Site("twitch", ("twitch.tv",), (r"(\w{3,25})(?:/about)?",)),
    Site("medium", ("medium.com",), (r"@([\w.-]+)",)),
)
RESERVED = frozenset((
    "about", "account", "accounts", "ads", "apps", "audio", "blog", "business", "c", "careers", "channel", "contact",
    "creators", "developers", "direct", "directory", "discover", "docs", "download", "downloads", "embed", "events",
    "explore", "features", "feed", "following", "fundraisers", "gaming", "groups", "hashtag", "help", "home", "i", "in",
    "info", "intent", "invite", "jobs", "joinchat", "legal", "live", "locations", "login", "logout", "marketplace", "me",
    "media", "messages", "mobile", "more", "music", "new", "news", "notifications", "oauth", "orgs", "p", "pages", "people",
    "photo", "photo.php", "photos", "playlist", "policies", "popular", "posts", "premium", "press", "pricing", "privacy",
    "profile.php", "public", "r", "reel", "reels", "register", "results", "rules", "s", "search", "security", "settings",
    "share", "sharer", "sharer.php", "shop", "shorts", "signup", "stories", "story.php", "support", "t", "terms", "topics",
    "tos", "trending", "tv", "u", "upload", "user", "users", "video", "videos", "watch", "widgets",
))  # fmt: skip
"""First parts of paths that are no handles."""
MASTODON = "mastodon"
_HOSTS = {host: site.platform for site in SITES for host in site.hosts}
_PART_OF = r"(?:(?:www|m|mobile|mbasic|web|old|new|np|[a-z]{2}-[a-z]{2}|[a-z]{2})\.)?"
_END = r"/?(?:[?#].*)?$"
_KNOWN = "|".join(host.replace(".", r"\.") for host in sorted(_HOSTS, key=len, reverse=True))
_LINK = (
    r"(?i)(?:^|[^\w.@/-])(?:"
    rf"(?:https?://)?{_PART_OF}(?:{_KNOWN})|https?://[\w-]+(?:\.[\w-]+)+/@"
    r")[^\s<>\"'(),;|]+"
)
"""A link to a known host, or to a page that could be Mastodon's. A host inside another one or behind a slash is none."""


def accounts_in(texts: pl.Series) -> pl.DataFrame:
    """ACCOUNTS: the accounts whose pages the texts link to, each once a text. `row`: the number of the text."""
    # Most texts have no link: looking for a slash takes a tenth of the time.
    rows = texts.str.contains("/", literal=True).fill_null(False).arg_true()
    links = pl.DataFrame({"row": rows, "link": texts.gather(rows).str.extract_all(_LINK)})
    links = links.filter(pl.col("link").list.len() > 0).explode("link")
    if links.is_empty():
        return pl.DataFrame(schema=ACCOUNTS)
    parts = links.select("row", _parts("link").alias("parts")).unnest("parts").drop_nulls()
    parts = parts.with_columns(platform=pl.col("host").replace_strict(_HOSTS, default=MASTODON, return_dtype=pl.String))
    present = set(parts.get_column("platform").unique())
    found = [_accounts(parts, site) for site in SITES if site.platform in present]
    if MASTODON in present:
        found.append(_of_mastodon(parts.filter(platform=MASTODON)))
    accounts = pl.concat(found).filter(pl.col("handle").is_not_null() | pl.col("id").is_not_null())
    return accounts.unique(maintain_order=True).sort("row", maintain_order=True)


def pages(urls: pl.Series) -> pl.Series:
    """Pages of people's own, in one form: `host/path?query`, the host in small letters and without www.; null for a page of a
    platform (a profile's, or nobody's), and for a text that is no address."""
    bare = pl.all().str.strip_chars().str.replace(r"(?i)^(?:https?:)?//", "").str.replace(r"#.*$", "").str.strip_chars_end("/")
    named = bare.str.extract_groups(rf"(?i)^{_PART_OF}([\w-]+(?:\.[\w-]+)+)(?::\d+)?((?:[/?].*)?)$")
    host, rest = named.struct.field("1").str.to_lowercase(), named.struct.field("2")
    own = ~host.is_in(list(_HOSTS)) & ~rest.str.contains(r"^/@\w[\w.-]*(?:\?.*)?$")
    return urls.to_frame().select(pl.when(own).then(host + rest)).to_series()


def _parts(link: str) -> pl.Expr:
    """`host` in small letters, without www. and the like, and `rest`, what follows its slash."""
    bare = pl.col(link).str.extract(r"(\w.*)$").str.replace(r"(?i)^https?://", "").str.strip_chars_end(".!?:*…]}")
    named = bare.str.extract_groups(rf"(?i)^{_PART_OF}(?P<host>[\w-]+(?:\.[\w-]+)+)/(?P<rest>.+)$")
    return pl.struct(named.struct.field("host").str.to_lowercase(), named.struct.field("rest"))


def _accounts(parts: pl.DataFrame, site: Site) -> pl.DataFrame:
    own, rest = parts.filter(platform=site.platform), pl.col("rest")
    ids = pl.coalesce(rest.str.extract(f"^{each}{_END}") for each in site.ids) if site.ids else pl.lit(None, pl.String)
    handle = pl.coalesce(rest.str.extract(f"^{each}{_END}") for each in site.handles)
    named = own.select("row", "platform", bare(handle).alias("handle"), ids.alias("id"))
    taken = pl.col("handle").is_in(list(RESERVED)) | pl.col("id").is_not_null()
    return named.with_columns(handle=pl.when(taken).then(None).otherwise("handle"))


def _of_mastodon(parts: pl.DataFrame) -> pl.DataFrame:
    name = pl.col("rest").str.extract(rf"^@(\w[\w.-]*){_END}")
    handle = pl.when(name.is_not_null()).then(pl.format("{}@{}", name, "host"))
    return parts.select("row", "platform", bare(handle).alias("handle"), pl.lit(None, pl.String).alias("id"))
