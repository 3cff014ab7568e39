-- Repeatable.
-- From now on each insert fills account_events; then the rows of before. Where both meet, the newest version of a row counts.
CREATE MATERIALIZED VIEW IF NOT EXISTS account_events_filled TO account_events AS
SELECT account_key, created_at, event_key, version, is_deleted FROM interactions WHERE account_key != 0;

INSERT INTO account_events SELECT account_key, created_at, event_key, version, is_deleted FROM interactions WHERE account_key != 0;
