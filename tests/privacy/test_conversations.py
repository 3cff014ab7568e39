"""Conversations that are a person's alone: what colleagues said of them goes with the person."""

from __future__ import annotations

from pipeline.config.settings import Settings
from pipeline.privacy.subject import find, sets_of
from schemas.identity import account_key
from tests.support.erasing import ANN, BOB, planted
from tests.support.persons import AT


def test_who_took_a_conversation_that_is_the_persons_alone_said_it_of_the_person(emptied: Settings) -> None:
    """Whichever of their accounts, or of their addresses, said the words; and whoever was the brand's."""
    said = {
        "two": [(ANN.id, "", "inbound", ""), ("", ANN.handle, "inbound", ""), ("acme", "", "outbound", "")],
        "address": [("", "", "inbound", ANN.email), ("acme", "", "outbound", "")],
        "last": [("cel", "", "inbound", ""), (ANN.id, "", "inbound", "")],
        "both": [(ANN.id, "", "inbound", ""), (BOB.id, "", "inbound", "")],
        "stranger": [("", "", "inbound", ANN.email), ("", "", "inbound", BOB.email)],
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
        opened["last"] = (account_key("twitter", "cel"), 2)
        gone = [("account", account_key("twitter", "cel"), 77)]  # who is erased at the same time
        bench.client.insert("suppressions", gone, column_names=("kind", "key", "erasure"))
        threads = [("twitter", name, account_key("twitter", name), *by, AT) for name, by in opened.items()]
        names = ("platform", "conversation_id", "conversation", "customer", "customers", "opened")
        bench.client.insert("threads", threads, column_names=names)
        bench.client.insert("cases", [("twitter", name) for name in said], column_names=("platform", "conversation_id"))
        person = find(bench.client, customer=f"twitter:{ANN.id}")
        shown = set(map(int, sets_of(bench.client, person).conversations.split(", ")))
        assert {name for name in said if account_key("twitter", name) in shown} == {"two", "address", "last"}
        erasing = bench.erasing()
        assert erasing.finish(bench.begin(erasing)) == []
        left = {name for (name,) in bench.numbers("SELECT conversation_id FROM cases FINAL")}
        assert left >= {"both", "stranger"} and not left & {"two", "address", "last", f"{ANN.mark}-talk"}
        left = {name for (name,) in bench.numbers("SELECT conversation_id FROM threads")}
        assert not left & {"two", "address"} and "stranger" in left, "old versions of what is made anew, too"
