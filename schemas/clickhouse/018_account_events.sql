-- Repeatable.
-- The server reads the dictionary's rows as a user: {credentials} is blank where its user `default` may, else of the settings
-- (pipeline/clickhouse/dictionary.py).
CREATE OR REPLACE DICTIONARY customer_of (profile UInt64, customer_key UInt64)
PRIMARY KEY profile
SOURCE(CLICKHOUSE({credentials}QUERY 'SELECT profile, customer AS customer_key FROM {database}.assignments FINAL'))
LAYOUT(HASHED())
LIFETIME(0);

-- Rows with the customer of today.
CREATE OR REPLACE VIEW interactions_now AS
SELECT *, account_key, if(dictGet('customer_of', 'customer_key', account_key) AS customer = 0, account_key, customer) AS customer_now
FROM interactions;

-- The customer of each profile that was ever linked, as known at a time: assignments_as_of(at = '2026-01-01 00:00:00').
CREATE OR REPLACE VIEW assignments_as_of AS
SELECT profile, argMax(after, sequence) AS customer
FROM assignment_changes
WHERE changed_at <= {at:DateTime64(3, 'UTC')}
GROUP BY profile;

-- From now on each insert fills account_events; then the rows of before. Where both meet, the newest version of a row counts. An
-- insert that began before the view, and whose rows are not there yet, ends within five seconds: while workers insert, it is waited for.
CREATE MATERIALIZED VIEW IF NOT EXISTS account_events_filled TO account_events AS
SELECT account_key, created_at, event_key, version, is_deleted FROM interactions WHERE account_key != 0;

SELECT sleep(3) FROM (SELECT 1 FROM interactions WHERE ingested_at > now() - INTERVAL 1 HOUR LIMIT 1);

SELECT sleep(3) FROM (SELECT 1 FROM interactions WHERE ingested_at > now() - INTERVAL 1 HOUR LIMIT 1);

INSERT INTO account_events SELECT account_key, created_at, event_key, version, is_deleted FROM interactions WHERE account_key != 0;

-- Old rows have the key and the index of handles at once, but each query computes them; in the background they are stored.
ALTER TABLE interactions MATERIALIZE COLUMN account_key, MATERIALIZE INDEX handles SETTINGS mutations_sync = 0;
