"""Which conversation a row of interactions is in, and whether somebody says something in it, as SQL."""

from __future__ import annotations

WORDS = ("post", "comment", "reply", "review", "message", "call", "email", "idea", "question", "answer")
"""Kinds of events in which somebody says something: a repost repeats, a like is silent."""
NAME_SQL = "multiIf(conversation_id != '', conversation_id, in_reply_to != '', in_reply_to, id)"
CONVERSATION_SQL = f"xxh3(concat(platform, ':', {NAME_SQL}))"
"""As in index `conversations` of interactions: ClickHouse takes the index for an expression that is written alike."""
IS_WORD_SQL = "kind IN ('" + "', '".join(WORDS) + "')"
