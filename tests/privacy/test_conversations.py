"""Conversations that are a person's alone: what colleagues said of them goes with the person."""

from __future__ import annotations

from datetime import timedelta

from pipeline.config.settings import Settings
from pipeline.privacy.subject import find, sets_of
from schemas.identity import account_key
from tests.support.erasing import ANN, BOB, planted
from tests.support.persons import AT

SECOND = timedelta(seconds=1)


def test_who_took_a_conversation_that_is_the_persons_alone_said_it_of_the_person(emptied: Settings) -> None:
    """Whichever of their accounts, or of their addresses, said the words; and whoever was the brand's."""
    said = {
        "two": [(ANN.id, "", "inbound", ""), ("", ANN.handle, "inbound", ""), ("acme", "", "outbound", "")],
        "address": [("", "", "inbound", ANN.email), ("acme", "", "outbound", "")],
        "last": [("cel", "", "inbound", ""), (ANN.id, "", "inbound", "")],
        "both": [(ANN.id, "", "inbound", ""), (BOB.id, "", "inbound", "")],
        "stranger": [("", "", "inbound", ANN.email), ("", "", "inbound", BOB.email)],
        "bystander": [(ANN.id, "", "inbound", ""), ("dan", "", "inbound", "")],
        "forms": [(ANN.id, "", "inbound", ""), ("", "", "inbound", "e" * 64)],
        "brands": [(ANN.id, "", "inbound", ""), ("dan", "", "inbound", "")],
    }
    words = [
        (f"{name}{n}", 1_000 * place + n, "twitter", name, "post", author, handle, direction, email, AT)
        for place, (name, its) in enumerate(said.items(), 1)
        for n, (author, handle, direction, email) in enumerate(its)
    ]
    with planted(emptied.clickhouse) as bench:
        columns = ("id", "event_key", "platform", "conversation_id", "kind", "author_id", "author_handle")
        bench.client.insert("interactions", words, column_names=(*columns, "direction", "author_email", "created_at"))
        opened = {"two": (ANN.bird, 2), "both": (ANN.bird, 2), "address": (0, 1), "stranger": (0, 1)}
        opened |= {"bystander": (ANN.bird, 1), "forms": (ANN.bird, 2), "brands": (ANN.bird, 1)}
        opened["last"] = (account_key("twitter", "cel"), 2)
        gone = [
            ("account", account_key("twitter", "cel"), "", 77),
            ("value", 0, "e" * 64, 78),
        ]  # who are erased at the same time
        bench.client.insert("suppressions", gone, column_names=("kind", "key", "value", "erasure"))
        threads = [("twitter", name, account_key("twitter", name), *by, AT) for name, by in opened.items()]
        names = ("platform", "conversation_id", "conversation", "customer", "customers", "opened")
        threads.append(("twitter", "brands", account_key("twitter", "brands"), account_key("twitter", "dan"), 1, AT + SECOND))
        bench.client.insert("threads", threads, column_names=names)
        bench.client.insert(
            "cases", [("twitter", name) for name in said if name != "brands"], column_names=("platform", "conversation_id")
        )
        person = find(bench.client, customer=f"twitter:{ANN.id}")
        shown = set(map(int, sets_of(bench.client, person).conversations.split(", ")))
        assert {name for name in said if account_key("twitter", name) in shown} == {
            "two", "address", "last", "forms",
        }  # fmt: skip
        later = AT + timedelta(hours=2)  # that is when Bob named a brand
        both = ("twitter", "both", account_key("twitter", "both"), ANN.bird, 2, AT, [int(later.timestamp()) // 900])
        bench.client.insert("threads", [both], column_names=(*names, "quarters"))
        erasing = bench.erasing()
        assert erasing.finish(bench.begin(erasing)) == []
        left = {name for (name,) in bench.numbers("SELECT conversation_id FROM cases FINAL")}
        assert left >= {"both", "stranger", "bystander"} and not left & {"two", "address", "last", "forms", f"{ANN.mark}-talk"}
        left = {name for (name,) in bench.numbers("SELECT conversation_id FROM threads")}
        assert not left & {"two", "address"} and left >= {"stranger", "brands"}, "old versions of what is made anew, too"
        heard = {at for rows in bench.heard for at in rows.get_column("created_at")}
        assert later in heard and AT in heard, "the thread of both is made anew by what Bob said"
