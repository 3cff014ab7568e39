-- Repeatable.
-- No table queues inserts, whatever the server's default for tables: a row is written before it is acknowledged (pipeline/pins.py).
ALTER TABLE interactions MODIFY SETTING async_insert = 0;
ALTER TABLE pending_changes MODIFY SETTING async_insert = 0;
ALTER TABLE dead_letters MODIFY SETTING async_insert = 0;
ALTER TABLE lost_offsets MODIFY SETTING async_insert = 0;
ALTER TABLE alerts MODIFY SETTING async_insert = 0;
ALTER TABLE alert_events MODIFY SETTING async_insert = 0;
ALTER TABLE alert_silences MODIFY SETTING async_insert = 0;
ALTER TABLE alert_deliveries MODIFY SETTING async_insert = 0;
ALTER TABLE alert_watermarks MODIFY SETTING async_insert = 0;
ALTER TABLE schema_migrations MODIFY SETTING async_insert = 0;

-- What is there goes when its part is merged: to rewrite a table at once takes longer than a request may.
-- A dead letter can be replayed for a year and a month.
ALTER TABLE dead_letters MODIFY TTL toDateTime(rejected_at) + INTERVAL 400 DAY SETTINGS materialize_ttl_after_modify = 0;

-- How an alert came to its end goes, its end stays: what is left of an alert never looks open. Open ones are saved all the time.
ALTER TABLE alerts MODIFY TTL toDateTime(changed_at) + INTERVAL 400 DAY DELETE WHERE state != 'resolved'
    SETTINGS materialize_ttl_after_modify = 0;

-- What is not done after 400 days waits longer than a worker lets it (worker.waiting_days); most of it is the row of a change
-- that was done, whose own row has gone before the two were merged.
ALTER TABLE pending_changes MODIFY TTL toDateTime(arrived_at) + INTERVAL 90 DAY DELETE WHERE done = 1,
    toDateTime(arrived_at) + INTERVAL 400 DAY
    SETTINGS materialize_ttl_after_modify = 0;
