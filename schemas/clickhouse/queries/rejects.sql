-- Dead letters per step and reason.
--
-- operators: dead letters hold records as they came, so user analyst may not read them
-- column step: of the worker
-- column reason: why a record was rejected
-- column records: how many
-- column newest: when the last one was rejected, UTC
-- plot bar: reason, records, step
SELECT step, reason, count() AS records, max(rejected_at) AS newest
FROM dead_letters FINAL
GROUP BY step, reason
ORDER BY records DESC, step, reason
