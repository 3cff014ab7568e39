"""A migration that has been applied anywhere is never edited, not even in a comment: a database knows it by its checksum."""

from __future__ import annotations

from pipeline.clickhouse.migrations import read_migrations

PUBLISHED = {
    "001_interactions": 0x29B7EFA5577740DC,
    "002_lost_offsets": 0x11C921FBCA1829AF,
    "003_brands_given": 0x68D3F11B8C1F7B1C,
    "004_sentiment": 0x90DB53F6B3B7445A,
    "005_alerts": 0xD545FE740DB84DE0,
    "006_campaign": 0xFBB556CA4571FED1,
    "007_revisions": 0xC4139C76DB6D0434,
    "008_bounds": 0x57A033F1A2BD89F4,
    "009_leaders": 0x9BE6AB17FF6CDF36,
    "010_alert_platforms": 0x325C0BB344CB0238,
    "011_alert_escalation": 0x10789E159CBE2A46,
    "012_alert_waiting": 0xC324A2A1BF168133,
    "013_creates": 0xC887FAA3E090C630,
    "014_reconciled": 0x712CDE540FF1EA2A,
    "015_brands_linked": 0x9BC642168535D340,
    "016_sources": 0x1B8B6D03249B3FB0,
    "017_identity": 0x0CF3750AEC322C82,
    "018_account_events": 0x2CAD13CAF264E0FD,
    "019_quarters": 0x2568BBF27831AEEC,
    "020_threads": 0x413F1A03570646CF,
    "021_accounts": 0xFD57C6CA58BDA0B1,
    "022_orders": 0x2B2CE5DAB1AD2D65,
    "023_panels": 0x3F74E4D9825170DE,
    "024_retention": 0x0A3182FBB43CA312,
    "025_quarter_parts": 0xFFE8DA54888733A7,
    "026_comments": 0x7FC943395C0518A4,
    "027_console": 0xDF5CCBEC2A7FAE1D,
    "028_console_names": 0xAA98856E919D080B,
    "029_alerts_now": 0x26F3C6FD12BE8349,
    "030_source_arrivals": 0x3F226E94EA051DA8,
    "031_erasures": 0x784CE59C168A808F,
    "032_letters": 0x4C1536D2A613215E,
    "033_handles": 0xC13ECD8E47EE9C4B,
    "034_keys": 0xB614AB73DCA9EC25,
    "035_unreadable_letters": 0x761014460768D219,
    "036_blank_columns": 0xD0EC9D1E554E9DB3,
    "037_fewer_merges": 0xC5D7928744214ABA,
    "038_sketch_of_long_texts": 0x977FFB416515F830,
}
"""XXH3-64 by name. A new migration adds a line here; no line ever changes."""


def test_published_migrations_are_as_they_were_applied() -> None:
    lines = [f'"{migration.name}": 0x{migration.checksum:016X},' for migration in read_migrations()]
    assert lines == [f'"{name}": 0x{checksum:016X},' for name, checksum in PUBLISHED.items()]
