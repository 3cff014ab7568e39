"""Dead letters as workers write them, and read back."""

from __future__ import annotations

from clickhouse_connect.driver.client import Client

from pipeline.config.keys import DataKeys
from pipeline.processors.privacy import Pseudonymise
from pipeline.queries.letters import DeadLetter, matching, select
from pipeline.sinks.letter_encryption import LetterEncryption
from pipeline.sinks.letter_rows import LetterRows
from schemas.contacts import DEFAULT

DATA_KEY = "0123456789abcdef" * 4
"""Of the settings of the tests."""
DATA_KEYS = DataKeys((DATA_KEY,))
PRIVACY = Pseudonymise(b"the key of the tests", "", DEFAULT)
ROWS = LetterRows(LetterEncryption(DATA_KEYS), PRIVACY)


def read_letters(client: Client) -> list[DeadLetter]:
    """All of them, decrypted, by topic, partition and offset."""
    return list(matching(client, select("ORDER BY topic, partition, offset"), {}, DATA_KEYS))
