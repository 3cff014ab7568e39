"""The file of erasures outside of ClickHouse: commands and control write it at once."""

from __future__ import annotations

import fcntl
from pathlib import Path
from threading import Thread

from pipeline.privacy.noted import Notes, read_notes


def test_who_writes_waits_for_another(tmp_path: Path) -> None:
    path = tmp_path / "erasures"
    path.write_bytes(b'{"conversations":["01"]}\n{"conversa')  # one broke off
    with path.open("ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        writer = Thread(target=Notes(path).conversations, args=([2],))
        writer.start()
        writer.join(0.3)
        assert writer.is_alive()
        assert path.read_bytes().endswith(b"conversa")
    writer.join(60)
    assert read_notes(path).conversations == {1, 2}
