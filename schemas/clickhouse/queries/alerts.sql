-- Current state of alerts, the last changed first, without historical ones.
--
-- column changed_at: when its state or figures changed last, UTC
-- column rule: of alerts.yaml
-- column brand: that it is about; blank: none
-- column platform: blank: all
-- column state: pending, firing, acknowledged or resolved
-- column severity: 0 to 10
-- column since: when it began, by the events' time, UTC
-- column observed: the figure that the rule looks at
-- column expected: what was usual; null: the rule knows none
-- column summary: the alert in one line
-- column key: for `earshot alerts show`
SELECT changed_at, rule, brand, platform, state, severity, since, observed, expected, summary, leftPad(lower(hex(alert_key)), 16, '0') AS key
FROM alerts_now FINAL
WHERE NOT historical
ORDER BY changed_at DESC, alert_key
