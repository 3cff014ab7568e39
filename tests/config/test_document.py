"""Documents: what is wrong is one line, with its place and the nearest thing that would be right."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from pipeline.config.document import hint
from pipeline.errors import SettingsError
from pipeline.processors.alerts.rule_types import KeywordRule, SpikeRule
from pipeline.processors.alerts.rules import parse_rules
from pipeline.processors.mentions.brands import parse_brands
from pipeline.sources.recorded.mapping import load_mapping

EVENT = "{id: {from: id}, platform: forum, kind: post, created_at: {from: at, time: iso}"


def rules(text: str) -> str:
    with pytest.raises(SettingsError) as caught:
        parse_rules(text.encode(), Path("alerts.yaml"))
    return str(caught.value)


def rule(text: str) -> str:
    return rules(f"rules: [{{name: r, {text}}}]").removeprefix("alerts.yaml: rules.0 (r): ")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("type: threshold, measure: count, abov: 3", "abov: unknown key, did you mean 'above'?"),
        ("type: threshold, measure: count, above: 3, zzz: 3", "zzz: unknown key"),
        ("type: reach, followers: 3, above: 3", "above: type reach takes no such key"),
        ("type: spike, words: {any: [x]}", "words: type spike takes no such key"),
        ("type: campaign, languages: [en]", "languages: type campaign takes no such key"),
        ("type: keyword, words: {any: [x]}, min_mentions: 3", "min_mentions: type keyword takes no such key"),
        ("type: no_data, brands: [Acme]", "brands: type no_data takes no such key"),
        ("type: no_data, platforms: [x]", "platforms: type no_data takes no such key"),
        ("type: no_data, resolve: 5m", "resolve: type no_data takes no such key"),
        ("type: no_data, names: [Twitter]", "names: 'Twitter' is no platform's name: a small letter, then a-z 0-9 _ . -"),
        (
            "type: threshold, measure: count, above: 3, min_mentions: 10",
            "min_mentions: it is for shares and means, not for a number of mentions",
        ),
        (
            "type: threshold, measure: authors, above: 3, min_mentions: 10",
            "min_mentions: it is for shares and means, not for a number of authors",
        ),
        (
            "type: threshold, measure: likes, below: 3, min_mentions: 10",
            "min_mentions: it is for shares and means, not for a sum of likes",
        ),
        (
            "type: threshold, measure: score, above: 0.5, aggregate: mean",
            "aggregate: it is for followers, likes, shares, replies, not for score",
        ),
        ("type: threshold, measure: count, above: 3, zone: UTC", "zone: type threshold takes no such key"),
        (
            "type: spike, measure: negative_share, zone: UTC",
            "zone: it is for volume: the expected negative_share is the same at each hour",
        ),
    ],
)
def test_a_key_that_would_do_nothing_is_named(text: str, says: str) -> None:
    assert rule(text) == says


@pytest.mark.parametrize(
    "text",
    [
        "measure: likes, aggregate: mean, above: 3, min_mentions: 2",
        "measure: likes, aggregate: sum, above: 3",
        "measure: negative_share, above: 0.5, min_mentions: 2",
        "measure: score, below: 0.5, min_mentions: 2",
    ],
)
def test_a_key_that_does_something_is_taken(text: str) -> None:
    assert parse_rules(f"rules: [{{name: r, type: threshold, {text}}}]".encode(), Path("alerts.yaml")).rules


def test_a_key_that_stands_twice_is_named() -> None:
    said = rules("rules:\n - name: r\n   type: spike\n   severity: 3\n   severity: 5\n")
    assert "key 'severity' is there twice" in said and "line 5" in said
    merged = "x: &x {type: spike, severity: 3}\nrules: []\n"
    assert "x: unknown key" in rules(merged)
    both = parse_rules(
        b"rules:\n - &x {name: a, type: spike, severity: 3}\n - {<<: *x, name: b, severity: 5}\n", Path("alerts.yaml")
    )
    assert [rule.severity for rule in both.rules] == [3, 5]


def test_a_receiver_that_does_not_exist_and_a_type_that_does_not() -> None:
    known = "receivers: [{name: chat, type: webhook, url: 'https://x'}]"
    assert rules(f"{known}\nrules: [{{name: r, type: spike, receivers: [caht]}}]").endswith(
        "there is no 'caht', did you mean 'chat'?"
    )
    assert rules("receivers: [{name: a, type: webhook, url: 'https://x', tiemout: 5s}]").endswith(
        "receivers.0 (a): tiemout: unknown key, did you mean 'timeout'?"
    )
    assert rules("group: {intervall: 3s}").endswith("group.intervall: unknown key, did you mean 'interval'?")
    assert rules("rule: []").endswith("rule: unknown key, did you mean 'rules'?")


TYPES = "spike, threshold, keyword, reach, campaign or no_data"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{name: r, type: keyword, word: {any: [x]}}", "0 (r): word: unknown key, did you mean 'words'?"),
        ("{name: r, type: threshold, mesure: count, above: 3}", "0 (r): mesure: unknown key, did you mean 'measure'?"),
        ("{nme: r, type: spike}", "0: nme: unknown key, did you mean 'name'?"),
        ("{terms: [x], type: spike}", "0: name: it is missing"),
        ("{name: r, typ: spike}", "0 (r): typ: unknown key, did you mean 'type'?"),
        ("{name: r}", f"0 (r): type: it is missing: {TYPES}"),
        ("{name: r, type: spkie}", f"0 (r): type: it is {TYPES}, not 'spkie', did you mean 'spike'?"),
        ("{name: r, type: silence}", "0 (r): type: silence is named no_data now; nothing else about the rule changes"),
        ("r", "0: it is a mapping (key: value)"),
        ("{name: r, type: keyword, words: [a]}", "0 (r): words: it is a mapping (key: value)"),
        ("{name: r, type: keyword, words: {any: x}}", "0 (r): words.any: it is a list, as [x]"),
        ("{name: 3, type: spike}", "0: name: it is a text: quote a text that looks like another type"),
    ],
)
def test_what_is_missing_or_of_another_form_is_said_in_plain_words(text: str, says: str) -> None:
    assert rules(f"rules: [{text}]") == f"alerts.yaml: rules.{says}"


def test_a_line_of_yaml_is_told_by_its_number() -> None:
    assert "in line 2, column 3" in rules("rules: [\n  {name: A\n") and "byte string" not in rules("rules: [\n  {name: A\n")


def brands(text: str) -> str:
    with pytest.raises(SettingsError) as caught:
        parse_brands(text.encode(), Path("brands.yaml"))
    return str(caught.value).removeprefix("brands.yaml: ")


def test_the_near_miss_of_a_key_that_has_to_be_there() -> None:
    assert brands("brand: [{name: A, keywords: [a]}]") == "brand: unknown key, did you mean 'brands'?"
    assert brands("brands: [{Name: A, keywords: [a]}]") == "brands.0: Name: unknown key, did you mean 'name'?"
    assert brands("brands: {name: A}") == "brands: it is a list, as [a, b]"


def test_brands() -> None:
    assert brands("brands: [{name: A, keyword: [a]}]") == "brands.0 (A): keyword: unknown key, did you mean 'keywords'?"
    assert brands("brands: [{name: A, support: [{platfrom: x, id: '1'}]}]").startswith("brands.0 (A): support.0.platfrom: ")
    assert brands("brands: [{name: A, handles: [a], exclude: [b]}]") == (
        "brands.0 (A): exclude: it cancels keywords and phrases, and this brand has none"
    )
    assert brands("brands: [{name: Acme, competitors: [Blot]}, {name: Bolt}]").endswith(
        "'Blot' is no brand of this file, did you mean 'Bolt'?"
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (f"event: [{{fields: {EVENT}}}}}]", "event: unknown key, did you mean 'events'?"),
        (f"evnts: []\nevents: [{{fields: {EVENT}}}}}]", "evnts: unknown key, did you mean 'events'?"),
        (
            f"events: [{{fields: {EVENT}, text: {{form: x}}}}}}]",
            "events.0: fields.text.form: unknown key, did you mean 'from'?",
        ),
        (f"events: [{{fields: {EVENT}, txt: x}}}}]", "the event has no field 'txt', did you mean 'text'?"),
        (f"events: [{{whn: {{from: x}}, fields: {EVENT}}}}}]", "events.0: whn: unknown key, did you mean 'when'?"),
        (f"format: csv\nrows: data\nevents: [{{fields: {EVENT}}}}}]", "rows: it is for format json"),
        (
            f"events: [{{fields: {EVENT}, text: {{from: x, time: epoch_s, zone: UTC}}}}}}]",
            "events.0: fields.text: zone: times of format epoch_s have a zone of their own",
        ),
        (
            f"events: [{{fields: {EVENT}, text: {{from: x, time: '%Y %z', zone: UTC}}}}}}]",
            "events.0: fields.text: zone: times of format %Y %z have a zone of their own",
        ),
        (
            f"events: [{{fields: {EVENT}, text: {{switch: [{{then: a}}, {{when: {{from: x}}, then: b}}]}}}}}}]",
            "events.0: fields.text: switch: cases after the one without 'when' never apply",
        ),
    ],
)
def test_mappings(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "a.mapping.yaml"
    path.write_text(text)
    with pytest.raises(SettingsError) as caught:
        load_mapping(path)
    assert str(caught.value) == f"{path}: {says}" or str(caught.value).endswith(f": {says}")


@pytest.mark.parametrize(
    ("name", "near"), [("acme", ", did you mean 'Acme'?"), ("Akme", ", did you mean 'Acme'?"), ("Zorro", ""), ("", "")]
)
def test_the_nearest_name(name: str, near: str) -> None:
    assert hint(name, ["Acme", "Bolt", "Northwind Air"]) == near


def receiver(text: str) -> str:
    known = "rules: [{name: crisis, type: keyword, words: {any: [x]}}]"
    made = rules(f"{{receivers: [{{name: chat, type: webhook, url: 'https://ops.example/x', {text}}}], {known}}}")
    return made.removeprefix("alerts.yaml: ").removeprefix("receivers.0 (chat): ")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("when: {day: [mon]}", "when.day: unknown key, did you mean 'days'?"),
        ("when: [{zone: UTC}, {day: [mon]}]", "when.1.day: unknown key, did you mean 'days'?"),
        ("when: {days: [mon-fry]}", "when.days.0: there is no day 'fry', did you mean 'fri'?"),
        ("when: {days: [tue, tursday]}", "when.days.1: there is no day 'tursday', did you mean 'thursday'?"),
        ("when: {days: ['*']}", "when.days.0: there is no day '*': it should look like mon or mon-fri"),
        ("when: {days: mon-fri}", "when.days: it is a list, as [mon-fri]"),
        ("when: {days: []}", "when.days: name at least one"),
        ("when: {days: [So]}", "when.days.0: there is no day 'So', did you mean 'sun'?"),
        ("when: {days: [mon, Di-Do]}", "when.days.1: there is no day 'Di', did you mean 'tue'?"),
        ("when: {days: [montag]}", "when.days.0: there is no day 'montag', did you mean 'monday'?"),
        ("when: {tz: Europe/Berlin}", "when.tz: unknown key, did you mean 'zone'?"),
        ("when: '08:00-18:00'", 'when: write it as {days: [mon-fri], hours: "08:00-18:00"}'),
        ("when: {hours: 10:30}", "when.hours: '10:30' are no hours: it should look like 08:00-18:00"),
        ("when: {hours: 8}", "when.hours: '8' are no hours: it should look like 08:00-18:00"),
        (
            "when: {hours: ['08:00-12:00', '13:00-18:00']}",
            'when.hours: it is one text, as "08:00-18:00"; for several write a list of `when`',
        ),
        ("timeout: 1:30", "timeout: '1:30' is no duration: it should look like 90s, 10m, 4h or 1d"),
        ("min_severity: high", "min_severity: it is a whole number from 1 to 10"),
        ("min_severity: 2.5", "min_severity: it is a whole number from 1 to 10"),
        ("when: {hours: '8-18'}", "when.hours: '8-18' are no hours: it should look like 08:00-18:00"),
        ("when: {hours: '08:00-25:00'}", "when.hours: '08:00-25:00': a day has the hours 00:00 to 24:00"),
        ("when: {hours: '08:00-08:00'}", "when.hours: '08:00-08:00' begin when they end: the whole day is 00:00-24:00"),
        ("when: {zone: Europe/Berlim}", "when.zone: there is no time zone 'Europe/Berlim', did you mean 'Europe/Berlin'?"),
        ("when: {}, always: {}", "always: it names a severity, rules or both"),
        ("always: {severity: 8}", "`always` goes with `when`: without hours a receiver gets every alert"),
        (
            "when: {}, always: true",
            "always: write it as {severity: 8} or {rules: [vip]}; to hear at any hour, leave out `when`",
        ),
        ("when: {}, always: {severity: 11}", "always.severity: it is a whole number from 1 to 10"),
        ("when: {}, always: {severity: high}", "always.severity: it is a whole number from 1 to 10"),
        (
            "when: {}, always: {rules: [crisiss]}",
            "receiver chat: always: rules: there is no 'crisiss', did you mean 'crisis'?",
        ),
    ],
)
def test_what_is_wrong_with_the_hours_of_a_receiver_is_named(text: str, says: str) -> None:
    assert receiver(text) == says


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("type: spike, severity: hoch", "severity: it is a whole number from 1 to 10"),
        ("type: threshold, measure: negative_share, below: 50%", "below: it is a number: write 0.5"),
        ("type: threshold, measure: negative_share, above: 7.5 %", "above: it is a number: write 0.075"),
        ("type: threshold, measure: count, above: many", "above: it is a number"),
        ("type: reach, followers: 0", "followers: it is a whole number of 1 or more"),
    ],
)
def test_a_number_is_asked_for_with_its_limits(text: str, says: str) -> None:
    assert rule(text) == says


def test_a_language_of_a_rule_in_any_form_is_one_code() -> None:
    made = parse_rules(
        b"rules:\n- {name: s, type: spike, languages: [eng, Deutsch, pt-BR, zxx, fil]}\n"
        b"- {name: k, type: keyword, words: {eng: [a], any: [b]}}",
        Path("alerts.yaml"),
    )
    spike, keyword = made.rules
    assert isinstance(spike, SpikeRule) and isinstance(keyword, KeywordRule)
    assert spike.languages == ("en", "de", "pt", "zxx", "fil")
    assert keyword.words == {"en": ("a",), "any": ("b",)}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("type: spike, languages: [de, Klingon words]", "languages.1: 'Klingon words' is no language, as en"),
        ("type: spike, languages: [xx]", "languages.0: 'xx' is no language, as en"),
        (
            "type: keyword, words: {no: [a]}",
            "words: its languages are texts: quote a text that looks like another",
        ),
        ("type: spike, languages: [no]", "languages.0: it is a text: quote a text that looks like another type"),
        ("type: keyword, words: {all: [a]}", "words: 'all' is no language, as en, and not `any`"),
        ("type: keyword, words: {xx: [a]}", "words: 'xx' is no language, as en, and not `any`"),
        ("type: keyword, words: {en: [a], English: [b]}", "words: 'English' is en, which has words already"),
    ],
)
def test_what_is_no_language_is_named(text: str, says: str) -> None:
    assert rule(text) == says


def test_slack_is_a_template() -> None:
    text = "receivers: [{name: chat, type: slack, url: 'https://ops.example/x'}]"
    assert rules(text).endswith("receivers.0 (chat): type: write type: webhook, template: slack")


def test_a_time_of_day_is_a_text_and_no_number_of_seconds() -> None:
    made = parse_brands(b"brands: [{name: A, keywords: [12:30, 1:30.5]}]", Path("brands.yaml"))
    assert made.brands[0].keywords == ("12:30", "1:30.5")


def test_a_file_with_tabs_or_of_another_encoding_is_told_in_plain_words() -> None:
    said = rules("rules:\n  - name: r\n\ttype: spike\n")
    assert "in line 3, column 1" in said and said.endswith(": use spaces, not tabs")
    with pytest.raises(SettingsError) as caught:
        parse_rules("rules: [{name: r, type: spike, brands: [Süd]}]".encode("latin-1"), Path("alerts.yaml"))
    assert str(caught.value) == "alerts.yaml: byte 42 is no UTF-8: save the file as UTF-8"


def test_alertmanager_has_no_hours() -> None:
    text = "receivers: [{name: am, type: alertmanager, url: 'http://am.example', when: {days: [mon]}}]"
    assert rules(text).endswith("an alertmanager has no `when`: its own time_intervals say who is notified at which hours")


@pytest.mark.parametrize(
    ("escalate", "says"),
    [
        ("{after: 15m, to: [pagr]}", "rule r: escalate: to: there is no 'pagr', did you mean 'pager'?"),
        ("{after: 15m, too: [pager]}", "rules.0 (r): escalate.too: unknown key, did you mean 'to'?"),
        ("{to: [pager]}", "rules.0 (r): escalate.after: it is missing"),
        ("{after: 15m, receivers: [pager]}", "rules.0 (r): escalate.receivers: unknown key, did you mean 'to'?"),
        ("{after: 15m, to: []}", "rules.0 (r): escalate.to: name at least one"),
        ("{after: 15m, to: pager}", "rules.0 (r): escalate.to: it is a list, as [pager]"),
        (
            "{after: 15:00, to: [pager]}",
            "rules.0 (r): escalate.after: '15:00' is no duration: it should look like 90s, 10m, 4h or 1d",
        ),
        ("15m", "rules.0 (r): escalate: write it as {after: 15m, to: [pager]}"),
        (
            "{after: 0s, to: [pager]}",
            "rules.0 (r): escalate.after: it is 1 second at least: receivers that are notified at once are in `receivers`",
        ),
        (
            "{after: 15m, to: [pager, chat]}",
            "rule r: escalate: to names all receivers: say in `receivers` who is notified first",
        ),
    ],
)
def test_what_is_wrong_with_an_escalation_is_named(escalate: str, says: str) -> None:
    webhook = "type: webhook, url: 'https://ops.example/x'"
    receivers = f"receivers: [{{name: chat, {webhook}}}, {{name: pager, {webhook}}}]"
    made = rules(f"{{{receivers}, rules: [{{name: r, type: spike, escalate: {escalate}}}]}}")
    assert made.removeprefix("alerts.yaml: ") == says


@pytest.mark.parametrize(
    ("zone", "says"),
    [
        ("Europe/Belin", "there is no time zone 'Europe/Belin', did you mean 'Europe/Berlin'?"),
        ("europe/berlin", "there is no time zone 'europe/berlin', did you mean 'Europe/Berlin'?"),
        ("Europe", "there is no time zone 'Europe'"),
        ("Factory", "there is no time zone 'Factory': name a place, as Europe/Berlin"),
        ("CEST", "there is no time zone 'CEST': name a place, as Europe/Berlin"),
        ("../etc/passwd", "there is no time zone '../etc/passwd': name a place, as Europe/Berlin"),
        ("localtime", "there is no time zone 'localtime': name a place, as Europe/Berlin"),
        ("''", "there is no time zone '': name a place, as Europe/Berlin"),
        ("+01:00", "there is no time zone '+01:00': name a place, as Europe/Berlin"),
    ],
)
def test_an_unknown_time_zone_is_named_with_the_nearest_known_one(zone: str, says: str) -> None:
    assert rule(f"type: spike, zone: {zone}").startswith(f"zone: {says}")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("rules: [{name: r, type: reach, followers: " + "9" * 6000 + "}]", "it is no int that exists"),
        ("rules: [{name: 2026-02-30}]", "it is no timestamp that exists"),
        ("rules: &a [*a]", "an alias stands inside its own value"),
        (
            "a: &a [x, x, x, x, x, x, x, x, x, x]\n"
            + "".join(f"{b}: &{b} [{', '.join(['*' + a] * 10)}]\n" for a, b in pairwise("abcdefghij")),
            "aliases make over 100,000 values of it",
        ),
    ],
    ids=["a number of 6,000 digits", "30 February", "a ring of aliases", "aliases of aliases"],
)
def test_a_document_that_no_memory_holds_is_one_line(text: str, says: str) -> None:
    said = rules(text)
    assert said.startswith("alerts.yaml: ") and says in said and "\n" not in said


def test_aliases_of_a_usual_size_are_read(tmp_path: Path) -> None:
    (tmp_path / "m.yaml").write_text(f"events:\n  - fields: &x {EVENT}}}\n  - fields: *x\n", "utf-8")
    assert len(load_mapping(tmp_path / "m.yaml").events) == 2
