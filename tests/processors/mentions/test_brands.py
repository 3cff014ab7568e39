"""brands.yaml: what it may say, and one clear line about what it may not."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.errors import SettingsError
from pipeline.processors.mentions.brands import OwnAccount, load_brands, parse_names

WHOLE = """
brands:
  - name: Acme
    handles: ["@acme", acme_us]
    keywords: [acme]
    phrases: ["acme kettles"]
    exclude: ["acme street"]
    competitors: [Bolt]
    support: [{platform: twitter, handle: "@AcmeHelp"}, {platform: facebook, id: "17"}]
    zone: Europe/Berlin
    hours: {mon-fri: "09:00-18:00", sat: ["09:00-12:00", "14:00-16:30"], holidays: [DE-BE, NO]}
  - {name: Bolt, keywords: [acme]}
"""


def test_a_file_with_everything(tmp_path: Path) -> None:
    path = tmp_path / "brands.yaml"
    path.write_text(WHOLE)
    brands = load_brands(path)
    acme, bolt = brands.brands
    assert (acme.handles, acme.phrases, acme.competitors) == (("acme", "acme_us"), ("acme kettles",), ("Bolt",))
    assert [(a.platform, a.handle, a.id) for a in acme.support] == [("twitter", "AcmeHelp", None), ("facebook", None, "17")]
    assert (bolt.keywords, bolt.support) == (("acme",), ())
    assert brands.zones == {"Acme": "Europe/Berlin"}
    hours = {"mon-fri": ("09:00-18:00",), "sat": ("09:00-12:00", "14:00-16:30"), "holidays": ("DE-BE", "NO")}
    names = parse_names(path.read_bytes(), path)
    assert names[:3] == (["Acme", "Bolt"], {"Acme": "Europe/Berlin"}, {"Acme": hours})
    own = [OwnAccount("", "acme", ""), OwnAccount("", "acme_us", ""), OwnAccount("facebook", "", "17")]
    assert names.accounts == {"Acme": {*own, OwnAccount("twitter", "acmehelp", "")}}
    assert names.competitors == {"Acme": ("Bolt",)}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("brands: [{nam: x}]", "brands.0: nam: unknown key, did you mean 'name'?"),
        ("brands: 5", "brands: "),
        ("- [", "line"),
        ("other: 1", "brands: it is missing"),
        ("", "the file: "),
        ("brands: [{name: ' '}]", "brands.0 ( ): name: "),
        ("brands: [{name: A}, {name: á}]", "brands.0 and brands.1 are both named á"),
        ("brands: [{name: A, keyword: [a]}]", "brands.0 (A): keyword: unknown key"),
        ("brands: [" + ", ".join(["{name: A}"] * 10_001) + "]", "brands: at most 10,000, and it has 10,001"),
        ("brands: [{name: A, keywords: [a, ' ']}]", "brands.0 (A): keywords.1: it is empty"),
        ("brands: [{name: A, keywords: ['\\u0301']}]", "brands.0 (A): keywords.0: it is empty"),
        ("brands: [{name: A, keywords: a}]", "brands.0 (A): keywords: "),
        ("brands: [{name: A, keywords: [1984]}]", "brands.0 (A): keywords.0: "),
        ("brands: [{name: A, phrases: [one]}]", "brands.0 (A): phrases.0: 'one' is one word"),
        ("brands: [{name: A, handles: ['@']}]", "brands.0 (A): handles.0: '@' is no handle"),
        ("brands: [{name: A, handles: ['@a b']}]", "brands.0 (A): handles.0: '@a b' is no handle"),
        ("brands: [{name: A, keywords: [é], exclude: [E]}]", "brands.0 (A): exclude.0: 'E' is a keyword of the same brand"),
        ("brands: [{name: A, competitors: [B]}]", "brands.0 (A): competitors.0: 'B' is no brand of this file"),
        ("brands: [{name: A, competitors: [A]}]", "brands.0 (A): competitors.0: 'A' is the brand itself"),
        ("brands: [{name: A, support: [{platform: x}]}]", "brands.0 (A): support.0: an account has either a handle or an id"),
        ("brands: [{name: A, support: [{platform: X, id: '1'}]}]", "brands.0 (A): support.0.platform: "),
        ("brands: [{name: A, support: [{id: '1'}]}]", "brands.0 (A): support.0.platform: it is missing"),
        (
            "brands: [{name: A, zone: Berlin}]",
            "brands.0 (A): zone: there is no time zone 'Berlin', did you mean 'Europe/Berlin'?",
        ),
        ("brands: [{name: A, zone: 2}]", "brands.0 (A): zone: it is a text"),
        (b"brands: [{name: \xff}]", "brands.yaml: "),
    ],
)
def test_a_broken_file_is_one_line_that_names_the_place(tmp_path: Path, text: str | bytes, says: str) -> None:
    path = tmp_path / "brands.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.replace("'\\u0301'", '"\\u0301"').encode())
    with pytest.raises(SettingsError) as error:
        load_brands(path)
    assert str(error.value).startswith(f"{path}: ")
    assert says in str(error.value)
    assert "\n" not in str(error.value)


def test_business_hours_have_room_in_their_dictionary() -> None:
    """It holds 127 calendars, and at New Year each twice: with more it was not loaded again."""
    listed = ", ".join(
        f"{{name: B{n}, zone: Etc/GMT{n % 24 - 11:+d}, hours: {{mon: '0{n // 24}:00-18:00'}}}}" for n in range(63)
    )
    parse_names(
        f"brands: [{listed}, {{name: Same, zone: Etc/GMT-11, hours: {{mon: ['00:00-18:00']}}}}]".encode(), Path("b.yaml")
    )
    with pytest.raises(SettingsError, match="b.yaml: .*64 different business hours: 63 at most"):
        parse_names(f"brands: [{listed}, {{name: Other, hours: {{sun: '00:00-18:00'}}}}]".encode(), Path("b.yaml"))
