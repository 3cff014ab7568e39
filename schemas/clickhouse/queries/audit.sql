-- Who changed what, the last first: links of profiles, rules of identity, alerts, silences, files, erasures, and all other acts.
-- A file is there when it came into force. Erasures: consents that were withdrawn (link), events that their sources deleted (a row
-- a day), and rows that somebody deleted by SQL (ClickHouse keeps the last hundred of a table). Acts: what else people did in the
-- console, by an API or by a command, and what of it failed; table acts has all, with how it was before and after.
--
-- parameter from = 30d: changed then or later
-- parameter to = now: until before then
-- operators: it names who did what, and why
-- column at: when, UTC
-- column what: link, identity rules, alert, silence, file, erasure or act
-- column subject: profiles by their keys; the rule with its brand and platform; the version of the rules; the file; the table; what an act is about
-- column action: what was done, or the state that came of it; of a file the SHA-256 of its content
-- column by: who; the name that a token of the API has; blank: a file, or nobody knows
-- column why: as they said; of what was refused or failed, the reason
SELECT at, what, subject, action, by, why
FROM
(
    SELECT
        done_at AS at, 'link' AS what, concat(leftPad(lower(hex(a)), 16, '0'), if(b = 0, '', concat(' ', leftPad(lower(hex(b)), 16, '0')))) AS subject,
        concat(toString(action), if(refused = '', '', ', refused')) AS action, by, if(refused = '', why, refused) AS why
    FROM identity_commands FINAL
    UNION ALL
    SELECT applied_at, 'identity rules', concat('version ', toString(version)), 'applied', by, '' FROM identity_rules FINAL
    UNION ALL
    SELECT changed_at, 'alert', arrayStringConcat(arrayFilter(each -> each != '', [toString(rule), toString(brand), toString(platform)]), ' '),
        toString(state), actor, comment
    FROM alerts FINAL WHERE actor != ''
    UNION ALL
    SELECT changed_at, 'silence', arrayStringConcat(arrayFilter(each -> each != '', [toString(rule), toString(brand), toString(platform)]), ' '),
        concat('until ', formatDateTime(ends_at, '%Y-%m-%d %H:%i:%S', 'UTC')), actor, comment
    FROM alert_silences FINAL
    UNION ALL
    -- Without those that have a row of another kind.
    SELECT at, 'act', subject, concat(toString(act), if(outcome = 'done', '', ', failed')), actor, if(outcome = 'done', comment, outcome)
    FROM acts FINAL
    WHERE NOT (outcome = 'done' AND act IN ('acknowledge', 'silence', 'lift', 'test'))
        AND act NOT IN ('link', 'unlink', 'never', 'split', 'consent', 'withdraw', 'accept', 'reject', 'release', 'apply')
    UNION ALL
    SELECT since, 'file', toString(file), concat('in force: ', hash), '', '' FROM files_in_force FINAL
    UNION ALL
    SELECT max(ingested_at), 'erasure', 'interactions', concat(toString(uniqExact(event_key)), ' events deleted'), '', 'their sources deleted them'
    FROM interactions
    WHERE is_deleted = 1 AND ingested_at >= {from:DateTime64(3, 'UTC')} AND ingested_at < {to:DateTime64(3, 'UTC')}
    GROUP BY toDate(ingested_at)
    UNION ALL
    SELECT toDateTime64(create_time, 3, 'UTC'), 'erasure', table, if(is_done, 'rows deleted by SQL', 'rows are being deleted by SQL'), '', ''
    FROM system.mutations WHERE database = currentDatabase() AND match(command, '^[(]?(DELETE|UPDATE _row_exists = 0)')
        -- Control tidies up what it has counted by minutes.
        AND NOT (table = 'quarters' AND position(command, 'part > 0') > 0)
        AND NOT (table = 'pending_changes' AND position(command, 'revision != sipHash64(') > 0)  -- migration 007 did that
)
WHERE at >= {from:DateTime64(3, 'UTC')} AND at < {to:DateTime64(3, 'UTC')}
ORDER BY at DESC, what, subject, action
